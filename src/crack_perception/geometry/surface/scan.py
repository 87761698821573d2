# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Range straight ahead of a laser scanner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from crack_perception.geometry.surface.range import forward_beam


@dataclass(frozen=True)
class BeamAhead:
    """The reading of a scan's beam along its forward axis, with the attributes of a sensor_msgs/Range.

    Attributes:
        header: Of the scan.
        field_of_view: Angle between neighbouring beams [rad].
        min_range, max_range: Limits of the scanner [m].
        range: Reading [m]; nan where the scan does not cover the axis.
        problem: Why it does not cover the axis; empty where it does.
    """

    header: Any
    field_of_view: float
    min_range: float
    max_range: float
    range: float
    problem: str = ""

    @classmethod
    def of(cls, scan: Any) -> BeamAhead:
        """Return the beam nearest to angle 0 of a sensor_msgs/LaserScan."""
        problem, reading = "", math.nan
        try:
            reading = float(scan.ranges[forward_beam(scan.angle_min, scan.angle_increment, len(scan.ranges))])
        except ValueError as error:
            problem = str(error)
        return cls(
            header=scan.header,
            field_of_view=abs(scan.angle_increment),
            min_range=float(scan.range_min),
            max_range=float(scan.range_max),
            range=reading,
            problem=problem,
        )
