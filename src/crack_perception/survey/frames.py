# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Common form of the recordings of a survey: parts that are processed independently, and the frames of a part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crack_perception.inspection.analysis import CrackDetection
from crack_perception.inspection.evidence import LocatedFrame
from crack_perception.mapping.coverage.view import InspectedView
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.survey.sources import FileStates

NO_FOOTPRINT: npt.NDArray[np.float64] = np.empty((0, 3))


@dataclass(frozen=True)
class Part:
    """Part of a recording.

    Attributes:
        number: From 0.
        start, stop: Nanoseconds since the start of a bag, or numbers of pictures; ``stop`` is not included.
    """

    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class RecordingPlan:
    """Parts of a recording, with what is known before it is processed.

    Attributes:
        content_sha256: Of the recording's files.
        frames: Expected number of frames.
        parts: In order.
        notes: Remarks about its topics or poses.
        origin: Place on the earth of the frame of its locations; None where they are in the structure's map frame.
        files: Digests of its files, by which it is recognised when some are added.
        state: Of its files, see ``Source.state``.
    """

    content_sha256: str
    frames: int
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    origin: GeographicOrigin | None = None
    files: tuple[str, ...] = ()
    state: FileStates = ()


@dataclass(frozen=True)
class InspectedFrame:
    """Processed frame of a recording.

    Attributes:
        name: File of a photograph; empty for the frame of a bag.
        stamp_ns: Time of the image; 0 where it is unknown.
        size_px: Width and height.
        tiles, processed_tiles: Numbers of tiles.
        detections: Cracked regions, strongest first.
        has_pose: Whether the pose of the camera is known.
        footprint_m: (M, 3) outline in the map of the inspected surface; (0, 3) where it is unknown.
        view: The same surface with its resolution; None where it is unknown.
        shown: Its pixels with camera and pose, of which photographs of cracks are made; None where both are unknown.
        detection_cpu_s, lines_cpu_s: Processor time of the model, with decoding, and of the measurement of lines, where
            it was measured [s].
    """

    name: str
    stamp_ns: int
    size_px: tuple[int, int]
    tiles: int
    processed_tiles: int
    detections: Sequence[CrackDetection]
    has_pose: bool = False
    footprint_m: npt.NDArray[np.float64] = field(default_factory=lambda: NO_FOOTPRINT)
    view: InspectedView | None = None
    shown: LocatedFrame | None = None
    detection_cpu_s: float = 0.0
    lines_cpu_s: float = 0.0


@dataclass
class Faults:
    """Messages and pictures of a part that could not be used.

    Attributes:
        counts: Kind -> number.
        texts: Kind -> last description.
    """

    counts: Counter[str] = field(default_factory=Counter)
    texts: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, text: str, number: int = 1) -> None:
        """Count faults of a kind."""
        if number > 0:
            self.counts[kind] += number
            self.texts[kind] = text


class Recording(Protocol):
    """Recording of a survey: frames, with a pose where it is known."""

    def plan(self) -> RecordingPlan:
        """Return the parts.

        Raises:
            UserError: The recording cannot be read.
        """
        ...

    def frames(self, part: Part, faults: Faults) -> Iterator[InspectedFrame]:
        """Process the frames of a part; those that cannot be used are counted.

        Raises:
            UserError: The recording cannot be read.
        """
        ...
