"""Brightness across lines, station by station."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.crack_tracing import TracedLine
from crack_perception.vision.polylines import evenly_spaced, smoothed, unit_normals

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

_SAMPLES = 31
# A cross-section reaches so many scales and pixels to either side: across the crack and onto the surface beside it.
_REACH_SCALES, _FLANK_PX = 3.0, 6.0
# A wide crack's centre line is traced as roughly as its edges are; it is smoothed with this share of its scale.
_SMOOTHING_SCALES = 0.5
_LEAST_SPACING_PX = 4


@dataclass(frozen=True, eq=False)
class CrossSections:
    """Profiles across lines; every one is the mean over the stretch of line between its station's neighbours.

    Attributes:
        line: (S,) index of the line, ascending; the stations of a line are in order along it.
        stations_px: (S, 2) where the line is crossed.
        normals: (S, 2) unit directions across.
        scale_px: (S,) scale of the line.
        offsets_px: (S, M) of the samples from the station along the normal.
        levels: (S, M) brightness.
    """

    line: Indices
    stations_px: Floats
    normals: Floats
    scale_px: Floats
    offsets_px: Samples
    levels: Samples

    @property
    def starts(self) -> Indices:
        """(L,) index of every line's first station."""
        return np.flatnonzero(np.diff(self.line, prepend=-1))


def cross_sections(grey: Samples, lines: list[TracedLine]) -> CrossSections:
    """Profiles across traced lines (at least one) of an image (H, W), stations at least four pixels apart."""
    # One station a pixel at first, all lines in a row.
    paths = [_path(line) for line in lines]
    sizes = [len(path) for path in paths]
    scales = np.array([line.scale_px for line in lines])
    dense = np.concatenate(paths)
    normals = np.concatenate([unit_normals(path) for path in paths])
    unit = np.linspace(-1, 1, _SAMPLES, dtype=np.float32)
    reach = np.repeat(_REACH_SCALES * scales + _FLANK_PX, sizes).astype(np.float32)
    offsets = reach[:, None] * unit
    x, y = ((dense[:, axis, None] + offsets * normals[:, axis, None]).astype(np.float32) for axis in (0, 1))
    rows = cv2.remap(grey, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).reshape(offsets.shape)
    # A profile is the mean of the rows up to those of its neighbours on either side.
    line, at, first, last = _windows(sizes, scales)
    sums = np.concatenate([np.zeros((1, _SAMPLES)), np.cumsum(rows, axis=0, dtype=np.float64)])
    levels = ((sums[last] - sums[first]) / (last - first)[:, None]).astype(np.float32)
    return CrossSections(line, dense[at], normals[at], scales[line], offsets[at], levels)


def _path(line: TracedLine) -> Floats:
    """The traced line smoothed, a vertex a pixel."""
    path = smoothed(evenly_spaced(line.points_px, 1.0), _SMOOTHING_SCALES * line.scale_px)
    return evenly_spaced(path, 1.0)


def _windows(sizes: list[int], scales: Floats) -> tuple[Indices, Indices, Indices, Indices]:
    """Line, row, first and last (exclusive) row of every station, over the rows of all lines; ends are stations."""
    columns: list[list[Indices]] = [[], [], [], []]
    begin = 0
    for index, (size, scale) in enumerate(zip(sizes, scales, strict=True)):
        spacing = max(_LEAST_SPACING_PX, round(float(scale)))
        count = max(2, round((size - 1) / spacing) + 1)
        at = np.rint(np.linspace(0, size - 1, count)).astype(np.int64)
        window = (np.maximum(at - spacing + 1, 0) + begin, np.minimum(at + spacing, size) + begin)
        for column, values in zip(columns, (np.full(count, index), at + begin, *window), strict=True):
            column.append(values)
        begin += size
    line, at, first, last = (np.concatenate(column) for column in columns)
    return line, at, first, last
