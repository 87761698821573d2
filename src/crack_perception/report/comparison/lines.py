# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack lines of one survey at even steps, and the nearest of them to points of another survey."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.polylines import arc_lengths, even_positions, interpolated, tangents

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

# Lines that differ more in direction, on surfaces that differ more, are not the same crack.
_MAX_ANGLE_RAD = math.radians(35)
_MAX_NORMAL_ANGLE_RAD = math.radians(40)
TANGENT_REACH = 4
"""Directions are taken over so many vertices to either side."""
# A point no farther beyond the end of a line still lies beside it.
_AT_END_M = 1e-6


@dataclass(frozen=True, eq=False)
class Feet:
    """The nearest points on lines.

    Attributes:
        line: (N,) index of the nearest line, -1 where there is none within reach.
        position: (N,) place on it, a fractional vertex index.
        point_m, tangent: (N, 3) place on it and direction there.
        beyond_m: (N,) how far the point lies beyond the end of that line; 0 beside it.
    """

    line: Index
    position: Array
    point_m: Array
    tangent: Array
    beyond_m: Array


class LineSet:
    """Several polylines whose nearest points are asked for.

    Args:
        lines_m: (N, 3) vertices of each line, N >= 2.
        normals: (3,) unit surface normal of each line.
    """

    def __init__(self, lines_m: Sequence[Array], normals: Sequence[Array]) -> None:
        self.lines_m = [np.asarray(line_m, np.float64) for line_m in lines_m]
        self.normals = np.array(normals, np.float64).reshape(-1, 3)
        self.tangents = [tangents(line_m, TANGENT_REACH) for line_m in self.lines_m]
        self._low = np.array([line_m.min(axis=0) for line_m in self.lines_m]).reshape(-1, 3)
        self._high = np.array([line_m.max(axis=0) for line_m in self.lines_m]).reshape(-1, 3)

    def __len__(self) -> int:
        return len(self.lines_m)

    def feet(self, points_m: Array, directions: Array, normal: Array, reach_m: float) -> Feet:
        """Nearest points on the lines of like direction and normal, for points (N, 3) with directions (N, 3)."""
        count = len(points_m)
        nothing = Feet(np.full(count, -1), np.zeros(count), points_m.copy(), directions.copy(), np.zeros(count))
        near = ((self._low <= points_m.max(axis=0) + reach_m) & (self._high >= points_m.min(axis=0) - reach_m)).all(
            axis=1
        ) & (self.normals @ normal >= math.cos(_MAX_NORMAL_ANGLE_RAD))
        chosen = near.nonzero()[0]
        if not len(chosen):
            return nothing
        lines_m = [self.lines_m[index] for index in chosen.tolist()]
        vertices, along = np.concatenate(lines_m), np.concatenate([self.tangents[index] for index in chosen.tolist()])
        owner = np.repeat(chosen, [len(line_m) for line_m in lines_m])
        first = np.repeat(np.cumsum([0, *(len(line_m) for line_m in lines_m[:-1])]), [len(each) for each in lines_m])
        last = np.repeat(np.cumsum([len(line_m) for line_m in lines_m]) - 1, [len(each) for each in lines_m])
        origin = vertices[0]
        local, queries = vertices - origin, points_m - origin
        squares = (local * local).sum(axis=1) - 2 * queries @ local.T
        squares[np.abs(directions @ along.T) < math.cos(_MAX_ANGLE_RAD)] = np.inf
        nearest = squares.argmin(axis=1)
        found = np.isfinite(squares[np.arange(count), nearest])
        best_square = np.full(count, np.inf)
        best_foot, best_position, overshoot = points_m.copy(), np.zeros(count), np.zeros(count)
        for step in (-1, 0):
            low = np.clip(nearest + step, first[nearest], np.maximum(last[nearest] - 1, first[nearest]))
            chord = vertices[low + 1] - vertices[low]
            length = np.maximum(np.sqrt((chord * chord).sum(axis=1)), 1e-12)
            share = ((points_m - vertices[low]) * chord).sum(axis=1) / length**2
            inside = np.clip(share, 0.0, 1.0)
            foot = vertices[low] + inside[:, None] * chord
            square = ((points_m - foot) ** 2).sum(axis=1)
            closer = square < best_square
            best_square = np.where(closer, square, best_square)
            best_foot[closer] = foot[closer]
            best_position = np.where(closer, low - first[nearest] + inside, best_position)
            at_end = ((low == first[nearest]) & (share < 0)) | ((low + 1 == last[nearest]) & (share > 1))
            past = np.where(at_end, np.maximum(-share, share - 1.0) * length, 0.0)
            overshoot = np.where(closer, past, overshoot)
        found &= best_square <= reach_m**2
        return Feet(
            np.where(found, owner[nearest], -1),
            best_position,
            best_foot,
            along[nearest],
            np.where(found & (overshoot > _AT_END_M), overshoot, 0.0),
        )


@dataclass(frozen=True, eq=False)
class Samples:
    """A line at even steps.

    Attributes:
        points_m, directions: (N, 3) each.
        positions: (N,) fractional vertex indices.
        step_m: Length that each sample stands for.
    """

    points_m: Array
    directions: Array
    positions: Array
    step_m: float


def sampled(line_m: Array, step_m: float) -> Samples:
    """The middles of even steps of about ``step_m`` along a line (N, 3)."""
    along_m = arc_lengths(line_m)
    count = max(1, round(float(along_m[-1]) / step_m))
    middles_m = (np.arange(count) + 0.5) * (float(along_m[-1]) / count)
    positions = np.interp(middles_m, along_m, np.arange(len(along_m)))
    directions = interpolated(tangents(line_m), positions)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    return Samples(interpolated(line_m, positions), directions, positions, float(along_m[-1]) / count)


@dataclass(frozen=True, eq=False)
class Chain:
    """Lines of one survey that follow each other across short gaps: one crack, however it was mapped.

    Attributes:
        members: Index and direction of the lines, in order; True where a line is passed from its last vertex on.
        points_m: (N, 3) all vertices in order.
        owner: (N,) index of the line that a vertex belongs to.
        vertex: (N,) its index there.
    """

    members: tuple[tuple[int, bool], ...]
    points_m: Array
    owner: Index
    vertex: Index


def chains(lines_m: Sequence[Array], normals: Sequence[Array], gap_m: float, angle_rad: float) -> list[Chain]:
    """Join lines end to end.

    Args:
        gap_m: Widest gap that is closed.
        angle_rad: Largest bend between lines that follow each other.
    """
    links = _links(lines_m, normals, gap_m, math.cos(angle_rad))
    joined = {}
    for one, other in links:
        joined[one], joined[other] = other, one
    found, used = [], set()
    # Lines with a free end first; what remains then are rings.
    starts = sorted(range(len(lines_m)), key=lambda line: all((line, end) in joined for end in (0, 1)))
    for start in starts:
        if start in used:
            continue
        line, entry = start, 0 if (start, 0) not in joined else 1
        members = []
        while line not in used:
            used.add(line)
            members.append((line, entry == 1))
            following = joined.get((line, 1 - entry))
            if following is None:
                break
            line, entry = following
        found.append(_chain(members, lines_m))
    return found


def _links(
    lines_m: Sequence[Array], normals: Sequence[Array], gap_m: float, least_cosine: float
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs of ends (line, 0 or 1) that belong together; each end at most once, narrow gaps first."""
    if len(lines_m) < 2:
        return []
    ends = [(line, end) for line in range(len(lines_m)) for end in (0, 1)]
    points = np.array([lines_m[line][-end] for line, end in ends])
    outward = np.array([(1 if end else -1) * tangents(lines_m[line], TANGENT_REACH)[-end] for line, end in ends])
    owners = np.array([line for line, _ in ends])
    facing = np.array(normals).reshape(-1, 3)[owners]
    order = np.argsort(points[:, 0])
    candidates = []
    sorted_x = points[order, 0]
    for rank, index in enumerate(order.tolist()):
        stop = int(np.searchsorted(sorted_x, points[index, 0] + gap_m, side="right"))
        others = order[rank + 1 : stop]
        if not len(others):
            continue
        between = points[others] - points[index]
        distance = np.linalg.norm(between, axis=1)
        ahead = between @ outward[index] / np.maximum(distance, 1e-9)
        behind = -(between * outward[others]).sum(axis=1) / np.maximum(distance, 1e-9)
        bend = -(outward[others] @ outward[index])
        fits = (
            (owners[others] != owners[index])
            & (distance <= gap_m)
            & (bend >= least_cosine)
            & (facing[others] @ facing[index] >= math.cos(_MAX_NORMAL_ANGLE_RAD))
            # Ends that overlap a little lie behind each other.
            & (((ahead >= least_cosine) & (behind >= least_cosine)) | (distance <= 0.2 * gap_m))
        )
        candidates += [
            (float(gap), index, other)
            for gap, other in zip(distance[fits].tolist(), others[fits].tolist(), strict=True)
        ]
    taken: set[int] = set()
    links = []
    for _, one, other in sorted(candidates):
        if one not in taken and other not in taken:
            taken |= {one, other}
            links.append((ends[one], ends[other]))
    return links


def _chain(members: Sequence[tuple[int, bool]], lines_m: Sequence[Array]) -> Chain:
    order = [np.arange(len(lines_m[line]))[:: -1 if backwards else 1] for line, backwards in members]
    return Chain(
        tuple(members),
        np.concatenate([lines_m[line][index] for (line, _), index in zip(members, order, strict=True)]),
        np.concatenate([np.full(len(index), line) for (line, _), index in zip(members, order, strict=True)]),
        np.concatenate(order),
    )


def even(line_m: Array, step_m: float) -> Array:
    """The line (N, 3) with vertices at even steps."""
    return interpolated(line_m, even_positions(arc_lengths(line_m), step_m))


def runs_of(values: Sequence[int]) -> list[tuple[int, int, int]]:
    """Stretches of equal values: (value, start, stop), in order."""
    edges = [0, *(index for index in range(1, len(values)) if values[index] != values[index - 1]), len(values)]
    return [(values[start], start, stop) for start, stop in pairwise(edges) if stop > start]
