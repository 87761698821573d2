"""Polylines in space: their lengths, directions and even steps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def cross(a: Array, b: Array) -> Array:
    """Cross products of (N, 3) with (N, 3) or (3,); several times faster than numpy's on short arrays."""
    x, y, z = a[:, 0], a[:, 1], a[:, 2]
    u, v, w = b[..., 0], b[..., 1], b[..., 2]
    product = np.empty(a.shape)
    product[:, 0] = y * w - z * v
    product[:, 1] = z * u - x * w
    product[:, 2] = x * v - y * u
    return product


def arc_lengths(line: Array) -> Array:
    """Distance (N,) of every vertex of (N, 3) from the first, along the line."""
    steps = line[1:] - line[:-1]
    along = np.zeros(len(line))
    np.sqrt(np.einsum("ij,ij->i", steps, steps)).cumsum(out=along[1:])
    return along


def length_of(line: Array) -> float:
    """Length of (N, 3) vertices along the line."""
    return float(arc_lengths(line)[-1])


def tangents(line: Array, reach: int = 2) -> Array:
    """Unit directions (N, 3) at the vertices, over ``reach`` vertices to either side where there are so many.

    Two vertices that coincide over that reach have the direction of the whole line.
    """
    count = len(line)
    index = np.arange(count)
    ahead, behind = np.minimum(index + reach, count - 1), np.maximum(index - reach, 0)
    along = line[ahead] - line[behind]
    lengths = np.sqrt(np.einsum("ij,ij->i", along, along))
    if lengths.min() < 1e-9:
        chord = line[-1] - line[0]
        along[lengths < 1e-9] = chord if np.linalg.norm(chord) > 1e-9 else [1.0, 0.0, 0.0]
        lengths = np.sqrt(np.einsum("ij,ij->i", along, along))
    return np.asarray(along / lengths[:, None])


def hairpins(line: Array, reach: int) -> npt.NDArray[np.intp]:
    """Vertices (K,), rising, at which a line (N, 3) turns back: by more than 120 degrees over ``reach`` vertices."""
    count = len(line) - 2 * reach
    if count <= 0:
        return np.zeros(0, np.intp)
    chords = line[reach:] - line[:-reach]
    before, after = chords[:count], chords[reach:]
    inner = np.einsum("ij,ij->i", before, after)
    squares = np.einsum("ij,ij->i", chords, chords)
    turned = (inner < 0) & (4 * inner * inner > squares[:count] * squares[reach:])
    if not turned.any():
        return np.zeros(0, np.intp)
    return np.array([(start + stop - 1) // 2 + reach for start, stop in runs(turned)], np.intp)


def even_positions(along_m: Array, step_m: float) -> Array:
    """Fractional vertex indices (M,) at even distances of about ``step_m``, both ends included.

    Args:
        along_m: (N,) rising distances of the vertices along the line.
    """
    count = max(2, round(along_m[-1] / step_m) + 1)
    return np.interp(np.arange(count) * (along_m[-1] / (count - 1)), along_m, np.arange(len(along_m)))


def interpolated(values: Array, positions: Array) -> Array:
    """Values (N, ...) at fractional indices (M,), linear between the vertices and constant beyond the ends."""
    clipped = np.minimum(np.maximum(positions, 0), len(values) - 1)
    low = np.minimum(clipped.astype(int), max(len(values) - 2, 0))
    share = (clipped - low).reshape(-1, *[1] * (values.ndim - 1))
    high = np.minimum(low + 1, len(values) - 1)
    return np.asarray((1 - share) * values[low] + share * values[high])


def nearest_squares(a: Array, b: Array) -> Array:
    """Squared distance (N,) of points (N, 3) from the nearest of others (M, 3)."""
    # Squares of map coordinates may be large: they are taken near the points.
    first, second = a - a[0], b - a[0]
    inner = np.einsum("ij,ij->i", second, second) - 2 * (first @ second.T)
    return np.asarray(inner.min(axis=1) + np.einsum("ij,ij->i", first, first))


def runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open stretches of a mask (N,) that are true."""
    padded = np.zeros(len(mask) + 2, dtype=bool)
    padded[1:-1] = mask
    edges = (padded[1:] != padded[:-1]).nonzero()[0].tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
