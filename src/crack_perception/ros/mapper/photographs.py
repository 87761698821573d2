# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs of a source: messages to checked records, and those that wait for their frame to be mapped."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage

from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.evidence.photograph import Photograph, PhotographedLine
from crack_perception.mapping.evidence.self_describing import photograph_in
from crack_perception.ros.common.stamps import stamp_ns

MAX_BYTES = 2_000_000
"""Largest photograph that is accepted."""

Array = npt.NDArray[np.float64]

_SIDES_PX = (16, 4096)
_MOST_LINES, _MOST_VERTICES = 64, 20_000
_MOST_CHARACTERS = 200
_FARTHEST_M = 1e6
# Photographs that wait for the map, and how long.
_MOST_WAITING = 40
_MOST_WAIT_S = 3.0


class BadPhotograph(Exception):
    """A photograph that is not accepted; the text says why."""


def photograph_of_message(message: CompressedImage, source: str, map_frame: str) -> tuple[Photograph, bytes]:
    """Return the record and the JPEG of a message; the record has neither file nor crack yet.

    Time, frame and source are those of the message: a record must not contradict them.

    Args:
        message: From the source.
        source: Name of the source.
        map_frame: Frame of the map.

    Raises:
        BadPhotograph: It is too large, no JPEG with a record, or its record holds impossible values.
    """
    if len(message.data) > MAX_BYTES:
        raise BadPhotograph(f"it has {len(message.data)} bytes, more than {MAX_BYTES}")
    jpeg = bytes(message.data)
    try:
        photograph = photograph_in(jpeg)
        pose = Pose.of(photograph.position_m, photograph.orientation_xyzw)
    except ValueError as error:
        raise BadPhotograph(str(error)) from error
    problem = _problem_with(photograph, map_frame)
    if problem:
        raise BadPhotograph(problem)
    return (
        replace(
            photograph,
            stamp_ns=stamp_ns(message.header.stamp),
            camera_frame=_confined(message.header.frame_id),
            source=source,
            model=_confined(photograph.model),
            model_sha256=_confined(photograph.model_sha256),
            orientation_xyzw=pose.quaternion,
        ),
        jpeg,
    )


def _problem_with(photograph: Photograph, map_frame: str) -> str:
    """Return what is impossible about a record; empty if nothing is."""
    if photograph.map_frame != map_frame:
        return f"its record is in frame '{_confined(photograph.map_frame)}', map_frame is '{map_frame}'"
    if not all(_SIDES_PX[0] <= side <= _SIDES_PX[1] for side in photograph.size_px):
        return f"it has {photograph.size_px} pixels"
    if not 0.0 < photograph.gsd_mm_per_px < math.inf:
        return f"its ground sampling distance is {photograph.gsd_mm_per_px} mm/px"
    if not 0.0 <= photograph.obliquity_deg <= 90.0:
        return f"its obliquity is {photograph.obliquity_deg} deg"
    for name in ("sharpness", "completeness", "score"):
        if not 0.0 <= getattr(photograph, name) <= 1.0:
            return f"its {name} is {getattr(photograph, name)}"
    if not all(map(math.isfinite, photograph.intrinsics_px)):
        return "its intrinsics are not finite"
    if not 1 <= len(photograph.lines) <= _MOST_LINES:
        return f"it has {len(photograph.lines)} lines"
    if sum(len(line.points_px) for line in photograph.lines) > _MOST_VERTICES:
        return f"its lines have more than {_MOST_VERTICES} vertices"
    limits_px = np.array(photograph.size_px, np.float64)
    return next(filter(None, (_problem_with_line(line, limits_px) for line in photograph.lines)), "")


def _problem_with_line(line: PhotographedLine, size_px: Array) -> str:
    if len(line.points_px) < 2 or len(line.points_m) != len(line.points_px):
        return "a line has fewer than two vertices with a place in the map"
    if not ((line.points_px > -1.0) & (line.points_px < size_px)).all():
        return "a line lies outside the picture"
    if not (np.abs(line.points_m) < _FARTHEST_M).all():
        return "a line lies on no map"
    widths_mm = np.concatenate([line.width_mm, line.width_sigma_mm])
    if not (np.isnan(widths_mm) | ((widths_mm >= 0.0) & (widths_mm < math.inf))).all():
        return "a line has impossible widths"
    return ""


def _confined(text: str) -> str:
    """A text of a message, printable and short."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MOST_CHARACTERS])


@dataclass(eq=False)
class _Waiting:
    photograph: Photograph
    jpeg: bytes
    since_s: float
    is_tried: bool = False


class WaitingPhotographs:
    """Photographs that wait until the map has been updated with their frames, in bounded memory.

    Attributes:
        given_up: Number of those that show no crack of the map, or had to give way to newer ones.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._mapped_ns: dict[str, int] = {}
        self.given_up = 0

    def note_mapped(self, source: str, stamp: int) -> None:
        """Record that a frame of a source was mapped."""
        self._mapped_ns[source] = stamp

    def put(self, photograph: Photograph, jpeg: bytes, now_s: float) -> None:
        """Add a photograph."""
        self._waiting.append(_Waiting(photograph, jpeg, now_s))
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            self.given_up += 1

    def place(self, now_s: float, crack_along: Callable[[Array], int | None]) -> list[tuple[Photograph, bytes]]:
        """Take the photographs whose cracks are known now, each with its crack and the lines of that crack.

        A photograph is tried when its frame was mapped, and again before it is given up.

        Args:
            now_s: Monotonic clock; infinite to give up all others.
            crack_along: Returns the crack that a line (N, 3) shows.
        """
        placed = []
        for each in list(self._waiting):
            is_mapped = self._mapped_ns.get(each.photograph.source, -1) >= each.photograph.stamp_ns
            is_last = now_s - each.since_s > _MOST_WAIT_S
            if not is_last and (each.is_tried or not is_mapped):
                continue
            each.is_tried = True
            found = each.photograph.of_its_crack(crack_along)
            if found is not None:
                placed.append((found, each.jpeg))
            elif is_last:
                self.given_up += 1
            if found is not None or is_last:
                self._waiting.remove(each)
        return placed

    def clear(self) -> None:
        """Forget all of them."""
        self._waiting.clear()
        self._mapped_ns.clear()
