# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Straight ways of a mission against the surfaces that images have shown: distances, and what lies above a pose."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage

Array = npt.NDArray[np.float64]

# Steps along a way, as a share of the distance that counts as close.
_STEP_SHARE = 0.25
# A surface whose normal points down by more than this (15 degrees) is a soffit.
_DOWNWARDS = -math.sin(math.radians(15))
# A soffit this near above is over the whole drone: a climb drifts, and beside the seen part there is more of it.
_SOFFIT_REACH_M = 5.0
_BLOCK = 100_000


@dataclass(frozen=True, eq=False)
class Leg:
    """A straight way.

    Attributes:
        name: From where to where, for the user.
        start_m, end_m: (3,) its ends in the map.
    """

    name: str
    start_m: Array
    end_m: Array


@dataclass(frozen=True)
class CloseLeg:
    """A way that passes a seen surface too closely.

    Attributes:
        name: From where to where.
        distance_m: Least distance from the seen cells.
    """

    name: str
    distance_m: float

    def __str__(self) -> str:
        return f"{self.name} ({self.distance_m:.1f} m)"


def close_legs(legs: Sequence[Leg], surfaces: Sequence[SurfaceCoverage], least_m: float) -> list[CloseLeg]:
    """Return the ways that pass a seen surface closer than a distance; nothing is known of what no image has shown."""
    close = []
    for leg in legs:
        nearest_m = min((_distance_m(each, leg.start_m, leg.end_m, least_m) for each in surfaces), default=math.inf)
        if nearest_m < least_m:
            close.append(CloseLeg(leg.name, nearest_m))
    return close


def is_covered(position_m: Array, surfaces: Sequence[SurfaceCoverage], least_m: float) -> bool:
    """Return whether a seen surface lies above a position (3,), so that a drone cannot climb from there.

    Either the straight way up comes closer to it than ``least_m``, or it is a soffit nearby.
    """
    for surface in surfaces:
        top_m = position_m.copy()
        top_m[2] = max(position_m[2], _highest_m(surface))
        if _distance_m(surface, position_m, top_m, least_m) < least_m:
            return True
        if surface.normal[2] < _DOWNWARDS:
            for points_m in _seen_points(surface):
                is_above = points_m[:, 2] > position_m[2]
                gaps_m = np.linalg.norm(points_m[is_above, :2] - position_m[:2], axis=1)
                if (gaps_m < _SOFFIT_REACH_M).any():
                    return True
    return False


def highest_beside_m(start_m: Array, end_m: Array, surfaces: Sequence[SurfaceCoverage], least_m: float) -> float:
    """Return the greatest height of seen cells that a level flight from a position (3,) towards another has to clear.

    These are cells near the way in plan that are not below the start; minus infinity where there are none.
    """
    way_m = (end_m - start_m)[:2]
    length2 = max(float(way_m @ way_m), 1e-12)
    highest_m = -math.inf
    for surface in surfaces:
        reach_m = least_m + 0.5 * surface.cell_m
        for points_m in _seen_points(surface):
            points_m = points_m[points_m[:, 2] > start_m[2] - least_m]
            from_start = points_m[:, :2] - start_m[:2]
            share = np.clip(from_start @ way_m / length2, 0.0, 1.0)
            gaps_m = np.linalg.norm(from_start - share[:, None] * way_m, axis=1)
            highest_m = max(highest_m, float(points_m[gaps_m < reach_m, 2].max(initial=-math.inf)))
    return highest_m


def _distance_m(surface: SurfaceCoverage, start_m: Array, end_m: Array, least_m: float) -> float:
    """Return the distance of a way from the seen cells, to a fraction of ``least_m``; infinite if it is above that."""
    axes = np.stack([surface.u_axis, surface.v_axis, surface.normal])
    start, end = (np.stack([start_m, end_m]) - surface.corner_m) @ axes.T
    shares = _within(float(start[2]), float(end[2]), least_m)
    if shares is None:
        return math.inf
    length_m = float(np.linalg.norm(end - start)) * (shares[1] - shares[0])
    count = 2 + math.ceil(length_m / (_STEP_SHARE * least_m))
    places = start + np.linspace(*shares, count)[:, None] * (end - start)
    size_m = np.array(surface.gsd_mm_per_px.shape[::-1]) * surface.cell_m
    is_near = ((places[:, :2] > -least_m) & (places[:, :2] < size_m + least_m)).all(axis=1)
    return min((_place_distance_m(surface, place, least_m) for place in places[is_near]), default=math.inf)


def _within(start: float, end: float, limit: float) -> tuple[float, float] | None:
    """Return the shares between which a number that goes from start to end lies within a limit; None if never."""
    if abs(end - start) < 1e-9:
        return (0.0, 1.0) if abs(start) <= limit else None
    low, high = sorted(((-limit - start) / (end - start), (limit - start) / (end - start)))
    low, high = max(low, 0.0), min(high, 1.0)
    return (low, high) if low <= high else None


def _place_distance_m(surface: SurfaceCoverage, place: Array, least_m: float) -> float:
    """Return the distance of a place (3,), along u, v and normal, from the nearest seen cell within ``least_m``."""
    u, v, w = place.tolist()
    cell_m = surface.cell_m
    first_column, first_row = (max(0, math.floor((each - least_m) / cell_m)) for each in (u, v))
    end_column, end_row = (math.ceil((each + least_m) / cell_m) for each in (u, v))
    window = surface.gsd_mm_per_px[first_row : max(0, end_row), first_column : max(0, end_column)]
    rows, columns = np.nonzero(~np.isnan(window))
    if not len(rows):
        return math.inf
    beside_u = np.maximum(np.abs((first_column + columns + 0.5) * cell_m - u) - 0.5 * cell_m, 0.0)
    beside_v = np.maximum(np.abs((first_row + rows + 0.5) * cell_m - v) - 0.5 * cell_m, 0.0)
    return float(np.sqrt((beside_u**2 + beside_v**2).min() + w * w))


def _highest_m(surface: SurfaceCoverage) -> float:
    """Return the greatest height of a surface's grid."""
    rows, columns = surface.gsd_mm_per_px.shape
    along_u, along_v = columns * surface.cell_m * surface.u_axis[2], rows * surface.cell_m * surface.v_axis[2]
    return float(surface.corner_m[2] + max(along_u, 0.0) + max(along_v, 0.0))


def _seen_points(surface: SurfaceCoverage) -> Iterator[Array]:
    """Yield centres (N, 3) of seen cells in blocks that bound the memory."""
    rows, columns = np.nonzero(~np.isnan(surface.gsd_mm_per_px))
    for first in range(0, len(rows), _BLOCK):
        yield surface.centres_m(rows[first : first + _BLOCK], columns[first : first + _BLOCK])
