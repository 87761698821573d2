# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs of the crack lines of a frame: which ones would be good, and their records."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.line_lifting import LiftedLine
from crack_perception.geometry.poses.pose import Pose
from crack_perception.inspection.analysis import CrackDetection
from crack_perception.mapping.evidence.choice import PhotographView
from crack_perception.mapping.evidence.photograph import Photograph, PhotographedLine
from crack_perception.vision.images.encodings import encode_jpeg
from crack_perception.vision.lines.line import CrackLine

Array = npt.NDArray[np.float64]

MOST_JPEG_BYTES = 480_000
"""Size above which a photograph is encoded again at less quality: larger messages do not fit into the shared memory of
Fast DDS, which has 512 KiB by default."""

MOST_SIDE_PX = 1280
_LEAST_SIDE_PX = 480
# Context around a line, as a share of its extent, and at least.
_MARGIN_SHARE, _LEAST_MARGIN_PX = 0.15, 64
# Shorter lines say little, and there are many of them.
_LEAST_LENGTH_PX = 64.0
# A line that comes so near to the border of the image may go on outside.
_BORDER_PX = 8.0
_CUT_OFF, _PARTLY_MEASURED = 0.7, 0.7
_LEAST_QUALITY, _QUALITY_STEP = 40, 15
# Lines of a frame that are considered; the others take their turn in the frames that follow.
_MOST_LINES = 8
# Vertices of all lines in a record, and lines beside the first.
_MOST_VERTICES, _MOST_OTHERS = 2000, 7
# Cells of the rough place, and steps of the rough value: each step is a factor of 1.41.
_CELL_M = 0.2
_RANKS_PER_OCTAVE = 2


class LocatedFrame(Protocol):
    """A frame with its results."""

    @property
    def frame(self) -> npt.NDArray[np.uint8]:
        """BGR (H, W, 3)."""
        ...

    @property
    def detections(self) -> list[CrackDetection]:
        """Cracked regions."""
        ...

    @property
    def camera(self) -> CameraModel | None:
        """Camera of the frame; None where it is unknown."""
        ...

    @property
    def pose(self) -> Pose | None:
        """Optical frame in the map; None where it is unknown."""
        ...

    @property
    def camera_frame(self) -> str:
        """Name of the optical frame."""
        ...

    @property
    def map_frame(self) -> str:
        """Name of the map frame."""
        ...


Frame = TypeVar("Frame", bound=LocatedFrame)


class Window(NamedTuple):
    """A part of an image: first column and row, and those after its last."""

    left: int
    top: int
    right: int
    bottom: int

    def shows(self, points_px: Array) -> npt.NDArray[np.bool_]:
        """Which points (N, 2) of the image lie inside."""
        x, y = points_px.T
        return np.asarray(
            (x >= self.left) & (x <= self.right - 1) & (y >= self.top) & (y <= self.bottom - 1), dtype=np.bool_
        )


@dataclass(frozen=True, eq=False)
class LocatedLine:
    """A crack line of a frame, in the image and in the map."""

    detection: CrackDetection
    image: CrackLine
    lifted: LiftedLine

    def rough_key(self, width_px: int, height_px: int) -> tuple[int, ...]:
        """Return its place in the map and its value for a photograph, both rough: equal for lines of equal worth.

        Computed from single numbers only, since it is needed for every line of every frame.
        """
        patch = self.detection.patch
        x, y, z = self.lifted.points_m[len(self.lifted.points_m) // 2].tolist()
        value = self.image.length_px
        if patch is not None and patch.gsd_mm_per_px > 0.0:
            length_m = 0.001 * patch.gsd_mm_per_px * value
            value = length_m / (length_m + 0.15) * math.cos(patch.incidence_rad) / patch.gsd_mm_per_px
        for end in (0, -1):
            column, row = self.image.points_px[end].tolist()
            if min(column, row, width_px - 1 - column, height_px - 1 - row) < _BORDER_PX:
                value *= _CUT_OFF
                break
        if not self.detection.is_measured:
            value *= _PARTLY_MEASURED
        rank = round(_RANKS_PER_OCTAVE * math.log2(value)) if value > 0.0 else 0
        return rank, round(x / _CELL_M), round(y / _CELL_M), round(z / _CELL_M)


@dataclass(frozen=True, eq=False)
class Candidate(Generic[Frame]):
    """A photograph that could be taken of a frame.

    Attributes:
        result: The frame.
        pose: Optical frame in the map.
        line: The line that it is taken of.
        window: Part of the image.
        completeness: As in ``Photograph``.
        obliquity_deg: As in ``Photograph``.
        gsd_mm_per_px: As in ``Photograph``.
    """

    result: Frame
    pose: Pose
    line: LocatedLine
    window: Window
    completeness: float
    obliquity_deg: float
    gsd_mm_per_px: float

    @property
    def picture(self) -> npt.NDArray[np.uint8]:
        """The pixels, a view of the frame."""
        left, top, right, bottom = self.window
        return self.result.frame[top:bottom, left:right]

    @property
    def around_line(self) -> npt.NDArray[np.uint8]:
        """The pixels around the middle of the line, at most 256 x 256: their sharpness counts."""
        x, y = np.rint(self.line.image.points_px[len(self.line.image.points_px) // 2]).astype(int).tolist()
        left, top, right, bottom = self.window
        rows = slice(max(y - 128, top), min(y + 128, bottom))
        return self.result.frame[rows, max(x - 128, left) : min(x + 128, right)]

    def quality(self, sharpness: float) -> float:
        """``Photograph.quality`` of it at a sharpness."""
        return (
            (0.25 + 0.75 * sharpness)
            * math.cos(math.radians(min(self.obliquity_deg, 85.0)))
            * (0.25 + 0.75 * self.completeness)
            / self.gsd_mm_per_px
        )

    def view(self, sharpness: float, stamp_ns: int) -> PhotographView:
        """Criteria for the choice of photographs."""
        return PhotographView.of(self.quality(sharpness), stamp_ns, self.line.lifted.points_m)


def lines_of(result: LocatedFrame, turn: int) -> list[LocatedLine]:
    """Return the lines of a frame that a photograph could be taken of; none without a pose.

    Args:
        result: The frame.
        turn: Number of the frame; of many lines, each frame considers others.
    """
    if result.pose is None or result.camera is None:
        return []
    lines = [line for line in _lines(result.detections) if line.image.length_px >= _LEAST_LENGTH_PX]
    if len(lines) > _MOST_LINES:
        first = turn * _MOST_LINES % len(lines)
        lines = (lines[first:] + lines[:first])[:_MOST_LINES]
    return lines


def record(
    candidate: Candidate[Frame], sharpness: float, stamp_ns: int, source: str, model: str, model_sha256: str
) -> Photograph:
    """Return the record of a photograph, its file and crack unknown; its own line comes first.

    Other lines in the picture are included: they may be parts of the same crack, which the map knows.
    """
    result, window = candidate.result, candidate.window
    assert result.camera is not None  # there are no candidates without it
    others = [line for line in _lines(result.detections) if line.lifted is not candidate.line.lifted]
    lines = [_photographed(candidate.line, window)]
    left = _MOST_VERTICES - len(lines[0].points_px)
    for line in sorted(others, key=lambda line: -line.image.length_px)[:_MOST_OTHERS]:
        photographed = _photographed(line, window)
        if 2 <= len(photographed.points_px) <= left:
            lines.append(photographed)
            left -= len(photographed.points_px)
    k = result.camera.k
    return Photograph(
        file="",
        crack_id=0,
        stamp_ns=stamp_ns,
        source=source,
        camera_frame=result.camera_frame,
        model=model,
        model_sha256=model_sha256,
        size_px=(window.right - window.left, window.bottom - window.top),
        offset_px=(window.left, window.top),
        intrinsics_px=(
            float(k[0, 0]),
            float(k[1, 1]),
            float(k[0, 2]) - window.left,
            float(k[1, 2]) - window.top,
        ),
        position_m=candidate.pose.position_m,
        orientation_xyzw=candidate.pose.quaternion,
        gsd_mm_per_px=candidate.gsd_mm_per_px,
        obliquity_deg=candidate.obliquity_deg,
        sharpness=sharpness,
        completeness=candidate.completeness,
        score=float(candidate.line.detection.crack.region.score),
        lines=tuple(lines),
        map_frame=result.map_frame,
    )


def encoded(picture: npt.NDArray[np.uint8], quality: int) -> bytes:
    """Return a picture (H, W, 3) as JPEG, at less quality where it would have more than ``MOST_JPEG_BYTES``.

    Args:
        picture: BGR.
        quality: 1 to 100.
    """
    while True:
        jpeg = encode_jpeg(picture, quality).tobytes()
        if len(jpeg) <= MOST_JPEG_BYTES or quality <= _LEAST_QUALITY:
            return jpeg
        quality = max(quality - _QUALITY_STEP, _LEAST_QUALITY)


def _lines(detections: list[CrackDetection]) -> Iterator[LocatedLine]:
    """Yield the lines that all of which lies on the surface."""
    for detection in detections:
        for lifted in detection.map_lines:
            image = detection.lines[lifted.rank]
            if len(image.points_px) == len(lifted.points_m):
                yield LocatedLine(detection, image, lifted)


def candidate_of(result: Frame, line: LocatedLine) -> Candidate[Frame] | None:
    """Return the photograph that could be taken of a line; None where it has no scale."""
    pose = result.pose
    assert pose is not None  # there are no lines without it
    height, width = result.frame.shape[:2]
    points_px, points_m = line.image.points_px, line.lifted.points_m
    middle = len(points_m) // 2
    gsd_mm = float(line.lifted.gsd_mm_per_px[middle])
    sight = pose.position_m - points_m[middle]
    distance_m = math.sqrt(sight @ sight)
    if not (0.0 < gsd_mm < math.inf and 0.0 < distance_m < math.inf):
        return None
    low, high = points_px.min(axis=0).tolist(), points_px.max(axis=0).tolist()
    at = points_px[middle].tolist()
    left, right = _span(low[0], high[0], at[0], width)
    top, bottom = _span(low[1], high[1], at[1], height)
    window = Window(left, top, right, bottom)
    is_whole = low[0] >= left and low[1] >= top and high[0] <= right - 1 and high[1] <= bottom - 1
    completeness = 1.0 if is_whole else float(window.shows(points_px).mean())
    if min(*low, width - 1 - high[0], height - 1 - high[1]) < _BORDER_PX:
        completeness *= _CUT_OFF
    if not line.detection.is_measured:
        completeness *= _PARTLY_MEASURED
    cosine = float(sight @ line.lifted.normal) / distance_m
    obliquity_deg = math.degrees(math.acos(min(max(cosine, 0.0), 1.0)))
    return Candidate(result, pose, line, window, completeness, obliquity_deg, gsd_mm)


def _span(low: float, high: float, middle: float, size: int) -> tuple[int, int]:
    """First pixel and that after the last one of a photograph along one axis of the image."""
    margin = max(_MARGIN_SHARE * (high - low), _LEAST_MARGIN_PX)
    length = min(max(high - low + 1 + 2 * margin, _LEAST_SIDE_PX), MOST_SIDE_PX, size)
    centre = 0.5 * (low + high) if high - low + 1 <= length else middle
    first = min(max(round(centre - 0.5 * length), 0), size - round(length))
    return first, first + round(length)


def _photographed(line: LocatedLine, window: Window) -> PhotographedLine:
    """The longest part of a line in a photograph, thinned out where it has very many vertices."""
    points_px = line.image.points_px
    inside = np.flatnonzero(window.shows(points_px))
    if not len(inside):
        return PhotographedLine(np.empty((0, 2)), np.empty(0), np.empty(0))
    runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
    run = max(runs, key=len)
    chosen = run[:: -(-len(run) // (_MOST_VERTICES // 2))]
    # Rounded far below the accuracy, which makes the record shorter by half.
    return PhotographedLine(
        np.round(points_px[chosen] - [window.left, window.top], 2),
        np.round(line.lifted.width_mm[chosen], 4),
        np.round(line.lifted.width_sigma_mm[chosen], 4),
        np.round(line.lifted.points_m[chosen], 5),
    )
