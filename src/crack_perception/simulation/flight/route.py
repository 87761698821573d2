"""Where the camera is meant to be over a whole flight: legs along facets, and the ways between them without images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.flight.paths import Path
from crack_perception.simulation.flight.place import Place
from crack_perception.simulation.flight.truth import TruthSurface

FloatArray = NDArray[np.float64]

_VELOCITY_STEP_S = 1e-3
# Ways round a corner keep away from it by this share of the standoff.
_DETOUR_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class Leg:
    """One facet flown along once.

    ``path`` is in its surface coordinates and begins at ``start_s``; ``facet`` is the facet's index.
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
        """When it is over."""
        return self.start_s + self.duration_s

    def cameras_m(self, times_s: FloatArray) -> FloatArray:
        """Camera positions (N, 3) in the map at times (N,) of the flight."""
        looked_at_m = self.surface.to_map(self.path.at(times_s - self.start_s))
        return np.asarray(looked_at_m + self.standoff_m * self.surface.normal)


@dataclass(frozen=True, eq=False)
class Courses:
    """Of N moments: camera positions (N, 3), headings (N,) of the drone and elevations (N,) of its camera."""

    cameras_m: FloatArray
    headings_rad: FloatArray
    elevations_rad: FloatArray


class Route:
    """Legs in order of time; between them position, heading and elevation change smoothly.

    Args:
        legs: At least one.
    """

    def __init__(self, legs: Sequence[Leg]) -> None:
        self.legs = tuple(legs)
        self._ends_s = np.array([leg.end_s for leg in self.legs])
        self._starts_s = np.array([leg.start_s for leg in self.legs])

    def leg_of(self, times_s: FloatArray) -> NDArray[np.int64]:
        """Index (N,) of the leg that is flown at times (N,), -1 on the way from one to the next."""
        last = len(self.legs) - 1
        begun = np.clip(np.searchsorted(self._starts_s, times_s, side="right") - 1, 0, last)
        return np.where((times_s <= self._ends_s[begun]) | (begun == last), begun, -1)

    def courses(self, times_s: FloatArray) -> Courses:
        """The courses at times (N,) in seconds; before the first leg and after the last one these go on."""
        courses = Courses(np.empty((len(times_s), 3)), np.empty(len(times_s)), np.empty(len(times_s)))
        flown = self.leg_of(times_s)
        for index, leg in enumerate(self.legs):
            at = flown == index
            courses.cameras_m[at] = leg.cameras_m(times_s[at])
            courses.headings_rad[at] = leg.place.heading_rad
            courses.elevations_rad[at] = leg.place.elevation_rad
        for before, after in zip(self.legs[:-1], self.legs[1:], strict=True):
            at = (times_s > before.end_s) & (times_s < after.start_s)
            _fill_way(courses, at, before, after, times_s[at])
        return courses


def _fill_way(courses: Courses, at: NDArray[np.bool_], before: Leg, after: Leg, times_s: FloatArray) -> None:
    """A cubic Hermite curve from one leg's end to the next one's start, bent outwards where it rounds a corner."""
    span_s = after.start_s - before.end_s
    share = (times_s - before.end_s)[:, None] / span_s
    smooth = share**2 * (3 - 2 * share)
    (from_m, from_m_s), (to_m, to_m_s) = _motion(before, before.end_s, -1), _motion(after, after.start_s, 1)
    bend_m = _DETOUR_SHARE * after.standoff_m * (before.surface.normal + after.surface.normal)
    if before.facet == after.facet:
        bend_m = np.zeros(3)
    courses.cameras_m[at] = (
        (1 - smooth) * from_m
        + smooth * to_m
        + share * (1 - share) ** 2 * span_s * from_m_s
        - share**2 * (1 - share) * span_s * to_m_s
        + 16 * share**2 * (1 - share) ** 2 * bend_m
    )
    turn_rad = after.place.heading_rad - before.place.heading_rad
    turn_rad = (turn_rad + np.pi) % (2 * np.pi) - np.pi
    rise_rad = after.place.elevation_rad - before.place.elevation_rad
    courses.headings_rad[at] = before.place.heading_rad + smooth[:, 0] * turn_rad
    courses.elevations_rad[at] = before.place.elevation_rad + smooth[:, 0] * rise_rad


def _motion(leg: Leg, time_s: float, side: int) -> tuple[FloatArray, FloatArray]:
    """Position and velocity (3,) on a leg; at its ends the velocity is that on the inner side (-1 before, 1 after)."""
    now, beside = leg.cameras_m(time_s + side * np.array([0.0, _VELOCITY_STEP_S]))
    return now, side * (beside - now) / _VELOCITY_STEP_S
