# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Nominal motion of the camera over a whole flight: paths on facets, legs along them, and transits without images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.flight.place import Place
from crack_perception.simulation.flight.truth import TruthSurface

FloatArray = NDArray[np.float64]


_VELOCITY_STEP_S = 1e-3
# Clearance of transits around a corner, as a share of the standoff.
_DETOUR_SHARE = 0.3


class Path(Protocol):
    """Nominal aiming point of the camera on a surface, without sway."""

    def at(self, times_s: FloatArray) -> FloatArray:
        """Return surface points (N, 2) [m] at times (N,)."""


@dataclass(frozen=True)
class HoverPath:
    """Path that stays at one surface point."""

    u_m: float
    v_m: float

    def at(self, times_s: FloatArray) -> FloatArray:
        """Return the point for every time, (N, 2)."""
        return np.tile([self.u_m, self.v_m], (len(times_s), 1))


@dataclass(frozen=True)
class SerpentinePath:
    """Horizontal rows joined by half circles, at constant speed; reversed at the end.

    ``left_m, top_m`` is the start of the first row, ``row_m`` the length of the rows, ``spacing_m`` their spacing.
    """

    left_m: float
    top_m: float
    row_m: float
    spacing_m: float
    rows: int
    speed_m_s: float

    @property
    def length_m(self) -> float:
        """Length of the path in one direction."""
        return self.rows * self.row_m + (self.rows - 1) * np.pi * self.spacing_m / 2

    def at(self, times_s: FloatArray) -> FloatArray:
        """Return surface points (N, 2) [m] at times (N,); times below 0 mirror those above."""
        radius_m = self.spacing_m / 2
        turn_m = np.pi * radius_m
        length_m = self.length_m
        flown_m = np.abs(times_s) * self.speed_m_s % (2 * length_m) if length_m > 0 else np.zeros(len(times_s))
        flown_m = np.minimum(flown_m, 2 * length_m - flown_m)
        row = np.minimum(flown_m // (self.row_m + turn_m), self.rows - 1) if length_m > 0 else flown_m
        in_row_m = flown_m - row * (self.row_m + turn_m)
        straight_m = np.minimum(in_row_m, self.row_m)
        angle_rad = np.maximum(in_row_m - self.row_m, 0) / radius_m if radius_m > 0 else np.zeros(len(flown_m))
        forward_m = straight_m + radius_m * np.sin(angle_rad)
        u_m = self.left_m + np.where(row % 2 == 0, forward_m, self.row_m - forward_m)
        v_m = self.top_m + row * self.spacing_m + radius_m * (1 - np.cos(angle_rad))
        return np.column_stack([u_m, v_m])


@dataclass(frozen=True, eq=False)
class Leg:
    """One pass along one facet.

    ``path`` is in surface coordinates and starts at ``start_s``; ``facet`` is the index of the facet.
    """

    facet: int
    place: Place
    surface: TruthSurface
    path: Path
    standoff_m: float
    start_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        """End of the leg [s]."""
        return self.start_s + self.duration_s

    def cameras_m(self, times_s: FloatArray) -> FloatArray:
        """Return camera positions (N, 3) in the map at times (N,) of the flight."""
        aimed_at_m = self.surface.to_map(self.path.at(times_s - self.start_s))
        return np.asarray(aimed_at_m + self.standoff_m * self.surface.normal)


@dataclass(frozen=True, eq=False)
class NominalMotion:
    """Camera positions (N, 3), headings (N,) of the drone and elevations (N,) of its camera at N times."""

    cameras_m: FloatArray
    headings_rad: FloatArray
    elevations_rad: FloatArray


class Route:
    """Legs in temporal order; position, heading and elevation change smoothly in between.

    Args:
        legs: At least one.
    """

    def __init__(self, legs: Sequence[Leg]) -> None:
        self.legs = tuple(legs)
        self._ends_s = np.array([leg.end_s for leg in self.legs])
        self._starts_s = np.array([leg.start_s for leg in self.legs])

    def leg_of(self, times_s: FloatArray) -> NDArray[np.int64]:
        """Return the index (N,) of the leg at times (N,), -1 in transit."""
        last = len(self.legs) - 1
        begun = np.clip(np.searchsorted(self._starts_s, times_s, side="right") - 1, 0, last)
        return np.where((times_s <= self._ends_s[begun]) | (begun == last), begun, -1)

    def motion_at(self, times_s: FloatArray) -> NominalMotion:
        """Return the motion at times (N,) [s]; the first and the last leg extend beyond their ends."""
        motion = NominalMotion(np.empty((len(times_s), 3)), np.empty(len(times_s)), np.empty(len(times_s)))
        flown = self.leg_of(times_s)
        for index, leg in enumerate(self.legs):
            at = flown == index
            motion.cameras_m[at] = leg.cameras_m(times_s[at])
            motion.headings_rad[at] = leg.place.heading_rad
            motion.elevations_rad[at] = leg.place.elevation_rad
        for before, after in zip(self.legs[:-1], self.legs[1:], strict=True):
            at = (times_s > before.end_s) & (times_s < after.start_s)
            _fill_transit(motion, at, before, after, times_s[at])
        return motion


def _fill_transit(motion: NominalMotion, at: NDArray[np.bool_], before: Leg, after: Leg, times_s: FloatArray) -> None:
    """Fill in a cubic Hermite curve between two legs, bent outwards around a corner."""
    span_s = after.start_s - before.end_s
    share = (times_s - before.end_s)[:, None] / span_s
    smooth = share**2 * (3 - 2 * share)
    (from_m, from_m_s), (to_m, to_m_s) = _state(before, before.end_s, -1), _state(after, after.start_s, 1)
    bend_m = _DETOUR_SHARE * after.standoff_m * (before.surface.normal + after.surface.normal)
    if before.facet == after.facet:
        bend_m = np.zeros(3)
    motion.cameras_m[at] = (
        (1 - smooth) * from_m
        + smooth * to_m
        + share * (1 - share) ** 2 * span_s * from_m_s
        - share**2 * (1 - share) * span_s * to_m_s
        + 16 * share**2 * (1 - share) ** 2 * bend_m
    )
    turn_rad = after.place.heading_rad - before.place.heading_rad
    turn_rad = (turn_rad + np.pi) % (2 * np.pi) - np.pi
    rise_rad = after.place.elevation_rad - before.place.elevation_rad
    motion.headings_rad[at] = before.place.heading_rad + smooth[:, 0] * turn_rad
    motion.elevations_rad[at] = before.place.elevation_rad + smooth[:, 0] * rise_rad


def _state(leg: Leg, time_s: float, side: int) -> tuple[FloatArray, FloatArray]:
    """Return position and velocity (3,) on a leg; ``side`` is -1 or 1 for the difference before or after the time."""
    now, beside = leg.cameras_m(time_s + side * np.array([0.0, _VELOCITY_STEP_S]))
    return now, side * (beside - now) / _VELOCITY_STEP_S
