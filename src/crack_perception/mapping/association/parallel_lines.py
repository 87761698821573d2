"""Lines of one frame that run along each other: the one sure sign that two cracks near each other are two.

Where a line is in the map may be off by centimetres, but the distance between two lines of one frame is as exact as its
pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.settings import MapSettings

Index = npt.NDArray[np.intp]

# Nearer to each other, two lines may be the two edges of one crack; further apart, nobody takes them for one.
_LEAST_M, _MOST_M = 0.03, 0.25
# Two lines that only pass each other do so over a vertex or two.
_LEAST_VERTICES = 3
# The vertices are dense enough to look at each second one only.
_EVERY = 2


@dataclass(frozen=True, eq=False)
class ParallelLines:
    """Vertices ``at`` (K,) of line ``line`` run parallel to vertices ``other_at`` (K,) of line ``other``."""

    line: int
    other: int
    at: Index
    other_at: Index


def find_parallel_lines(lines: Sequence[ViewLine], settings: MapSettings) -> list[ParallelLines]:
    """Where the lines of a frame run along each other; each pair of lines twice, once from either."""
    if len(lines) < 2:
        return []
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
    reach = _MOST_M + _EVERY * settings.step_m
    facing = normals @ normals.T >= np.cos(settings.max_normal_angle_rad)
    np.fill_diagonal(facing, False)
    one, other = ((least <= reach**2) & facing[owner]).nonzero()
    if not len(one):
        return []

    there = nearest[one, other]
    off, tangent, normal = points[one] - points[there], tangents[there], normals[other]
    along, deep = np.einsum("ij,ij->i", off, tangent), np.einsum("ij,ij->i", off, normal)
    across = np.sqrt(np.maximum(np.einsum("ij,ij->i", off, off) - along**2 - deep**2, 0.0))
    beside = (across >= _LEAST_M) & (across <= _MOST_M) & (np.abs(deep) <= _MOST_M)
    beside &= np.abs(along) <= 0.5 * _EVERY * settings.step_m + 0.3 * across
    one, other, there = one[beside], other[beside], there[beside]
    pair = owner[one] * len(lines) + other
    counts = np.bincount(pair, minlength=len(lines) ** 2).reshape(len(lines), len(lines))
    enough = np.minimum(counts, counts.T) * _EVERY >= _LEAST_VERTICES
    found = []
    for a, b in np.argwhere(enough).tolist():
        mine = pair == a * len(lines) + b
        at = _EVERY * (one[mine] - starts[a])
        beside_at = _EVERY * (there[mine] - starts[b])
        # A vertex that was not looked at goes with the one before it.
        has_next = at + 1 < len(lines[a])
        at, beside_at = np.append(at, at[has_next] + 1), np.append(beside_at, beside_at[has_next])
        found.append(ParallelLines(a, b, at, beside_at))
    return found
