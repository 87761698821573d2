"""When which facet is flown: every pass takes all facets in turn, so that a facet is seen again after a while."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.flight.settings import FlightSettings

FloatArray = NDArray[np.float64]

# A later pass is flown beside the first one (as a share of the image's height on the wall) and at another distance.
_SHIFT_SHARE = 0.08
_STANDOFF_SHARE = 0.05
# Time for the way to the next leg: in seconds, and in seconds for every metre of standoff.
_WAY_S = 2.0
_WAY_S_PER_M = 1.0


@dataclass(frozen=True, eq=False)
class PlannedLeg:
    """One facet in one pass: its time, how far (2,) it is flown from the facet's first path, and its distance."""

    facet: int
    start_s: float
    duration_s: float
    shift_m: FloatArray
    standoff_m: float

    def image_times_s(self, fps: float) -> FloatArray:
        """Middle of every exposure in seconds of the flight."""
        return self.start_s + np.arange(max(1, round(self.duration_s * fps))) / fps


def plan_legs(settings: FlightSettings, standoff_m: float) -> tuple[PlannedLeg, ...]:
    """All legs in order; ``duration_s`` of the settings is shared among them, the ways between them come on top."""
    rng = settings.random("passes")
    duration_s = settings.leg_duration_s
    image_height_m = settings.height * standoff_m / settings.camera.focal_px
    way_s = _WAY_S + _WAY_S_PER_M * standoff_m
    legs: list[PlannedLeg] = []
    for number in range(settings.passes):
        for facet in range(settings.facets):
            shift, nearer = rng.uniform(-1, 1, 2), rng.uniform(-1, 1)
            if number == 0:
                shift, nearer = np.zeros(2), 0.0
            legs.append(
                PlannedLeg(
                    facet,
                    len(legs) * (duration_s + way_s),
                    duration_s,
                    _SHIFT_SHARE * image_height_m * shift,
                    standoff_m * (1 + _STANDOFF_SHARE * nearer),
                )
            )
    return tuple(legs)
