# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Detection of parallel lines in one frame, which are reliable evidence for two separate cracks.

The position of a line in the map may be off by centimetres, but the distance between two lines of one frame is as
accurate as its pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.view_lines import ViewLine, ViewLines
from crack_perception.mapping.settings import MapSettings

Index = npt.NDArray[np.intp]

LEAST_PARALLEL_M = 0.03
"""Closer than this, two lines may be the two edges of one crack."""
# Further apart, they are not confused.
_MOST_M = 0.25
# Lines that cross or pass each other are close over fewer vertices.
_LEAST_VERTICES = 3
# The vertices are dense enough to process each second one only.
_EVERY = 2


@dataclass(frozen=True, eq=False)
class ParallelLines:
    """Vertices ``at`` (K,) of line ``line`` run parallel to vertices ``other_at`` (K,) of line ``other``."""

    line: int
    other: int
    at: Index
    other_at: Index


def find_parallel_lines(lines: ViewLines, settings: MapSettings) -> list[ParallelLines]:
    """Return the stretches over which lines of a frame run parallel; each pair is listed twice, once per line."""
    if len(lines) < 2:
        return []
    numbers = _lines_near_another(lines, settings)
    return _parallel([lines[number] for number in numbers], numbers, settings) if numbers else []


def _lines_near_another(lines: ViewLines, settings: MapSettings) -> list[int]:
    """Numbers of the lines whose bounding box is within reach of that of another one."""
    low = np.minimum.reduceat(lines.point_m, lines.bounds[:-1])
    high = np.maximum.reduceat(lines.point_m, lines.bounds[:-1])
    apart = np.maximum(low[:, None] - high, 0.0)
    apart = np.maximum(apart, apart.transpose(1, 0, 2))
    near = np.einsum("ijk,ijk->ij", apart, apart) <= _reach_m(settings) ** 2
    np.fill_diagonal(near, False)
    return near.any(axis=1).nonzero()[0].tolist()


def _reach_m(settings: MapSettings) -> float:
    return _MOST_M + _EVERY * settings.step_m


def _parallel(lines: Sequence[ViewLine], numbers: list[int], settings: MapSettings) -> list[ParallelLines]:
    """Parallel stretches of some lines, which have these numbers."""
    chosen = [np.arange(0, len(line), _EVERY) for line in lines]
    bounds = np.cumsum([0, *map(len, chosen)])
    starts = bounds[:-1]
    owner = np.repeat(np.arange(len(lines)), np.diff(bounds))
    points = np.concatenate([line.point_m[at] for line, at in zip(lines, chosen, strict=True)])
    tangents = np.concatenate([line.tangent[at] for line, at in zip(lines, chosen, strict=True)])
    normals = np.stack([line.normal for line in lines])

    # The nearest vertex of every other line, among those of alike direction.
    local = points - points[0]
    squares = np.einsum("ij,ij->i", local, local)
    gaps = squares - 2 * (local @ local.T)
    gaps[np.abs(tangents @ tangents.T) < np.cos(settings.max_angle_rad)] = np.inf
    nearest = np.stack([gaps[:, a:b].argmin(axis=1) for a, b in zip(starts, bounds[1:], strict=True)], axis=1) + starts
    least = gaps[np.arange(len(points))[:, None], nearest] + squares[:, None]
    facing = normals @ normals.T >= np.cos(settings.max_normal_angle_rad)
    np.fill_diagonal(facing, False)
    one, other = ((least <= _reach_m(settings) ** 2) & facing[owner]).nonzero()
    if not len(one):
        return []

    there = nearest[one, other]
    off, tangent, normal = points[one] - points[there], tangents[there], normals[other]
    along, deep = np.einsum("ij,ij->i", off, tangent), np.einsum("ij,ij->i", off, normal)
    across = np.sqrt(np.maximum(np.einsum("ij,ij->i", off, off) - along**2 - deep**2, 0.0))
    beside = (across >= LEAST_PARALLEL_M) & (across <= _MOST_M) & (np.abs(deep) <= _MOST_M)
    beside &= np.abs(along) <= 0.5 * _EVERY * settings.step_m + 0.3 * across
    one, other, there = one[beside], other[beside], there[beside]
    pair = owner[one] * len(lines) + other
    counts = np.bincount(pair, minlength=len(lines) ** 2).reshape(len(lines), len(lines))
    enough = np.minimum(counts, counts.T) * _EVERY >= _LEAST_VERTICES
    kept = enough.ravel()[pair].nonzero()[0]
    if not len(kept):
        return []
    kept = kept[pair[kept].argsort(kind="stable")]
    one, other, pair = one[kept], other[kept], pair[kept]
    at, beside_at = _EVERY * (one - starts[owner[one]]), _EVERY * (there[kept] - starts[other])
    # A skipped vertex has the result of the one before it.
    sizes = np.array([len(line) for line in lines])
    has_next = at + 1 < sizes[pair // len(lines)]
    edges = [0, *((pair[1:] != pair[:-1]).nonzero()[0] + 1).tolist(), len(pair)]
    found = []
    for first, last in pairwise(edges):
        a, b = divmod(int(pair[first]), len(lines))
        rows = slice(first, last)
        nexts = at[rows][has_next[rows]] + 1
        found.append(
            ParallelLines(
                numbers[a],
                numbers[b],
                np.concatenate([at[rows], nexts]),
                np.concatenate([beside_at[rows], beside_at[rows][has_next[rows]]]),
            )
        )
    return found
