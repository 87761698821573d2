# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Brightness across lines, station by station."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.lines.line import evenly_spaced, smoothed
from crack_perception.vision.lines.tracing import TracedLine

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

_PITCH_PX = 0.7
# A cross-section reaches so many scales and pixels to either side: across the crack and onto the surface beside it.
_REACH_SCALES, _FLANK_PX = 2.2, 6.0
# A wide crack's centre line is traced as roughly as its edges are; it is smoothed with this share of its scale.
_SMOOTHING_SCALES = 0.5


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


def cross_sections(grey: Samples, lines: list[TracedLine], spacing_px: int) -> CrossSections:
    """Profiles across traced lines (at least one) of an image (H, W), stations about ``spacing_px`` apart.

    The lines should be of like scale: the widest one's reach sets how many samples a profile has.
    """
    scales = np.array([line.scale_px for line in lines])
    points, sizes = _paths(lines, scales)
    first, last = np.cumsum(sizes) - sizes, np.cumsum(sizes)
    tangents = np.empty_like(points)
    tangents[1:-1] = points[2:] - points[:-2]
    tangents[first], tangents[last - 1] = points[first + 1] - points[first], points[last - 1] - points[last - 2]
    tangents /= np.maximum(np.hypot(*tangents.T), 1e-12)[:, None]
    normals = np.column_stack([-tangents[:, 1], tangents[:, 0]])
    reach_px = _REACH_SCALES * scales + _FLANK_PX
    samples = 2 * round(float(reach_px.max()) / _PITCH_PX) + 1
    unit = np.linspace(-1, 1, samples, dtype=np.float32)
    offsets = np.repeat(reach_px, sizes).astype(np.float32)[:, None] * unit
    x, y = (
        points[:, axis, None].astype(np.float32) + offsets * normals[:, axis, None].astype(np.float32)
        for axis in (0, 1)
    )
    rows = cv2.remap(grey, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).reshape(offsets.shape)
    # A profile is the mean of the rows up to those of its neighbours on either side.
    line, at = _stations(sizes, spacing_px)
    begin = np.maximum(at - spacing_px + 1, first[line])
    end = np.minimum(at + spacing_px, last[line])
    sums = cv2.integral(rows, sdepth=cv2.CV_64F)
    levels = np.diff(sums[end] - sums[begin], axis=1) / (end - begin)[:, None]
    return CrossSections(line, points[at], normals[at], scales[line], offsets[at], levels.astype(np.float32))


def _paths(lines: list[TracedLine], scales: Floats) -> tuple[Floats, Indices]:
    """The traced lines smoothed, a vertex a pixel, in a row, and how many vertices each has."""
    return evenly_spaced([smoothed(line.points_px, _SMOOTHING_SCALES * line.scale_px) for line in lines], 1.0)


def _stations(sizes: Indices, spacing_px: int) -> tuple[Indices, Indices]:
    """Line and row of every station, over the rows of all lines; a line's ends are stations."""
    counts = np.maximum(2, np.rint((sizes - 1) / spacing_px).astype(np.int64) + 1)
    line = np.repeat(np.arange(len(sizes)), counts)
    place = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = place / (counts - 1)[line]
    return line, np.rint(share * (sizes - 1)[line]).astype(np.int64) + (np.cumsum(sizes) - sizes)[line]
