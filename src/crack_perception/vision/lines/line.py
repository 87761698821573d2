# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack lines: centre line and width of a crack in an image, and the geometry of polylines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CrackLine:
    """One measured crack line, in pixels of the original image.

    Attributes:
        points_px: (N, 2) sub-pixel vertices (x, y) in order along the crack, N >= 2.
        width_px: (N,) width of the crack at the vertices, ``nan`` where it could not be measured.
        width_sigma_px: (N,) its standard deviation.
        strength: Contrast of the line in standard deviations of the surrounding noise; weak lines are uncertain.
    """

    points_px: Floats
    width_px: Floats
    width_sigma_px: Floats
    strength: float

    @cached_property
    def length_px(self) -> float:
        """Length along the vertices."""
        return float(arc_lengths(self.points_px)[-1])


def arc_lengths(points: Floats) -> Floats:
    """Return the arc length (N,) from the first vertex to each vertex (N, 2)."""
    along = np.zeros(len(points))
    step_x, step_y = (points[1:] - points[:-1]).T
    np.cumsum(np.sqrt(step_x * step_x + step_y * step_y), out=along[1:])
    return along


def evenly_spaced(lines: Sequence[Floats], spacing_px: float) -> tuple[Floats, Indices]:
    """Resample lines (N, 2) at a spacing close to ``spacing_px`` that keeps both ends; at least two vertices each.

    Returns:
        The vertices (M, 2) of all lines in a row, and how many (L,) each line has.
    """
    points = np.concatenate(lines)
    sizes = np.array([len(line) for line in lines])
    last = np.cumsum(sizes) - 1
    first = last - sizes + 1
    along = arc_lengths(points)
    lengths = along[last] - along[first]
    counts = np.maximum(2, np.rint(lengths / spacing_px).astype(np.int64) + 1)
    line = np.repeat(np.arange(len(lines)), counts)
    place = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Beyond the last vertex the interpolation would run into the next line.
    at = np.minimum(along[first][line] + place * (lengths / (counts - 1))[line], along[last][line])
    return np.column_stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)]), counts


def smoothed(points: Floats, sigma: float) -> Floats:
    """Smooth vertices (N, 2) with a Gaussian of ``sigma`` vertices; both ends are kept."""
    reach = min(int(np.ceil(3 * sigma)), len(points) - 1)
    if reach < 1:
        return points
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    # Point reflection at the ends continues a straight line straight.
    before = 2 * points[0] - points[reach:0:-1]
    after = 2 * points[-1] - points[-2 : -reach - 2 : -1]
    longer = np.concatenate([before, points, after])
    return np.column_stack([np.convolve(longer[:, axis], kernel, "valid") for axis in (0, 1)])
