"""Planned cracks drawn into a wall's texture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.wall.crack_layout import WallCrack
from crack_perception.simulation.wall.crack_rendering import crack_coverage, darken

FloatArray = NDArray[np.float64]

_CHUNK_VERTICES = 32


def draw_cracks(
    rng: np.random.Generator, texture: NDArray[np.uint8], mm_per_px: float, cracks: tuple[WallCrack, ...]
) -> None:
    """Draw cracks into a wall's texture (H, W, 3), in place."""
    for crack in cracks:
        # The centre of the first pixel lies half a pixel inside the wall's corner.
        line_px = crack.line_m * 1000 / mm_per_px - 0.5
        width_px = crack.width_mm / mm_per_px
        reach = float(width_px.max()) / 2 + 4
        low = np.maximum(np.floor(line_px.min(axis=0) - reach).astype(int), 0)
        high = np.minimum(np.ceil(line_px.max(axis=0) + reach).astype(int) + 1, texture.shape[1::-1])
        window = texture[low[1] : high[1], low[0] : high[0]]
        coverage = _long_coverage((window.shape[0], window.shape[1]), line_px - low, width_px)
        window[:] = darken(window, coverage, crack.contrast, rng)


def _long_coverage(shape: tuple[int, int], line_px: FloatArray, width_px: FloatArray) -> NDArray[np.float32]:
    """The coverage of a long crack, stroke by stroke, so that no supersampled plane of its whole extent is needed."""
    coverage = np.zeros(shape, np.float32)
    for first in range(0, len(line_px) - 1, _CHUNK_VERTICES):
        # Strokes share a few segments: pixels at their ends are then covered fully by one of the two.
        chunk = slice(max(first - 4, 0), first + _CHUNK_VERTICES + 5)
        points, widths = line_px[chunk], width_px[chunk]
        reach = float(widths.max()) / 2 + 2
        left, top = np.maximum(np.floor(points.min(axis=0) - reach).astype(int), 0)
        right, bottom = np.minimum(np.ceil(points.max(axis=0) + reach).astype(int) + 1, shape[::-1])
        window = coverage[top:bottom, left:right]
        stroke = crack_coverage((window.shape[0], window.shape[1]), points - [left, top], widths)
        np.maximum(window, stroke, out=window)
    return coverage
