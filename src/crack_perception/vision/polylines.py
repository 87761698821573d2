"""Polylines of image points: length, even spacing, smoothing, normals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def arc_lengths(points: Floats) -> Floats:
    """Distance (N,) of every vertex (N, 2) from the first along the line."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])


def evenly_spaced(points: Floats, spacing_px: float) -> Floats:
    """The line (N, 2) with vertices as near to ``spacing_px`` apart along it as keeps both ends; at least two."""
    along = arc_lengths(points)
    count = max(2, round(float(along[-1]) / spacing_px) + 1)
    at = np.linspace(0.0, along[-1], count)
    return np.column_stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)])


def smoothed(points: Floats, sigma: float) -> Floats:
    """Vertices (N, 2) averaged with a Gaussian of ``sigma`` vertices; both ends stay where they are."""
    reach = min(int(np.ceil(3 * sigma)), len(points) - 1)
    if reach < 1:
        return points
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    # Mirrored through its ends, a straight line goes on straight.
    before = 2 * points[0] - points[reach:0:-1]
    after = 2 * points[-1] - points[-2 : -reach - 2 : -1]
    longer = np.concatenate([before, points, after])
    return np.column_stack([np.convolve(longer[:, axis], kernel, "valid") for axis in (0, 1)])


def unit_normals(points: Floats) -> Floats:
    """Directions (N, 2) across the line at its vertices: the tangent turned from x towards y."""
    tangents = np.gradient(points, axis=0)
    tangents /= np.maximum(np.hypot(*tangents.T), 1e-12)[:, None]
    return np.column_stack([-tangents[:, 1], tangents[:, 0]])
