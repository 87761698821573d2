# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Polylines in space: length, direction, resampling and distances."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


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
    return joined_tangents(line, 0, len(line) - 1, reach)


def joined_tangents(points: Array, first: Index | int, last: Index | int, reach: int = 2) -> Array:
    """Unit directions (N, 3) as ``tangents`` has them, of several lines whose vertices follow each other.

    Args:
        points: (N, 3) vertices of all lines.
        first, last: (N,) first and last vertex of the line that a vertex belongs to, or one for all.
    """
    index = np.arange(len(points))
    along = points[np.minimum(index + reach, last)] - points[np.maximum(index - reach, first)]
    lengths = np.sqrt(np.einsum("ij,ij->i", along, along))
    if np.minimum.reduce(lengths) < 1e-9:
        short = (lengths < 1e-9).nonzero()[0]
        chords = points[np.broadcast_to(last, len(points))[short]] - points[np.broadcast_to(first, len(points))[short]]
        chords[np.einsum("ij,ij->i", chords, chords) < 1e-18] = [1.0, 0.0, 0.0]
        along[short] = chords
        lengths = np.sqrt(np.einsum("ij,ij->i", along, along))
    along /= lengths[:, None]
    return along


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


def nearest_squares(a: Array, b: Array, axis: int = 1) -> Array:
    """Squared distances of points from the nearest of others.

    Args:
        a: (N, 3) points.
        b: (M, 3) points.
        axis: 1 for the distances (N,) of ``a``, 0 for those (M,) of ``b``.
    """
    # Squares of map coordinates may be large: they are computed relative to a point nearby.
    first, second = a - a[0], b - a[0]
    squares = np.einsum("ij,ij->i", first, first), np.einsum("ij,ij->i", second, second)
    between = (-2 * first) @ second.T
    between += squares[1] if axis == 1 else squares[0][:, None]
    return np.asarray(between.min(axis=axis) + squares[1 - axis])


def runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open stretches of a mask (N,) that are true."""
    padded = np.zeros(len(mask) + 2, dtype=bool)
    padded[1:-1] = mask
    edges = (padded[1:] != padded[:-1]).nonzero()[0].tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def inverses(matrices: Array) -> Array:
    """Inverses of positive definite symmetric matrices (N, 3, 3), in closed form, which is faster than numpy."""
    a, b, c, _, d, e, _, _, f = np.ascontiguousarray(matrices.reshape(-1, 9).T)
    adjugate = np.empty((9, len(matrices)))
    adjugate[0] = d * f - e * e
    adjugate[1] = adjugate[3] = c * e - b * f
    adjugate[2] = adjugate[6] = b * e - c * d
    adjugate[4] = a * f - c * c
    adjugate[5] = adjugate[7] = b * c - a * e
    adjugate[8] = a * d - b * b
    adjugate /= a * adjugate[0] + b * adjugate[1] + c * adjugate[2]
    return adjugate.T.reshape(-1, 3, 3)


def largest_eigenvalue(matrix: Array) -> float:
    """Largest eigenvalue of a symmetric matrix (3, 3), in closed form, which is faster than numpy."""
    (a, b, c), (_, d, e), (_, _, f) = matrix.tolist()
    mean = (a + d + f) / 3
    off = b * b + c * c + e * e
    a, d, f = a - mean, d - mean, f - mean
    radius = math.sqrt((a * a + d * d + f * f + 2 * off) / 6)
    if radius == 0.0:
        return float(mean)
    determinant = a * (d * f - e * e) - b * (b * f - e * c) + c * (b * e - d * c)
    angle = math.acos(min(max(determinant / (2 * radius**3), -1.0), 1.0)) / 3
    return float(mean + 2 * radius * math.cos(angle))
