# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Range straight ahead of a laser scanner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BeamAhead:
    """The reading of a scan's beam along its forward axis, with the attributes of a sensor_msgs/Range.

    Attributes:
        header: Of the scan.
        field_of_view: Angle between neighbouring beams [rad].
        min_range, max_range: Limits of the scanner [m].
        range: Reading [m]; nan where the scan does not cover the axis.
    """

    header: Any
    field_of_view: float
    min_range: float
    max_range: float
    range: float

    @classmethod
    def of(cls, scan: Any) -> BeamAhead:
        """Return the beam nearest to angle 0 of a sensor_msgs/LaserScan."""
        index = index_ahead(scan.angle_min, scan.angle_increment, len(scan.ranges))
        return cls(
            header=scan.header,
            field_of_view=abs(scan.angle_increment),
            min_range=float(scan.range_min),
            max_range=float(scan.range_max),
            range=math.nan if index is None else float(scan.ranges[index]),
        )


def index_ahead(angle_min: float, angle_increment: float, count: int) -> int | None:
    """Return the index of the beam nearest to angle 0; None where the scan does not cover it.

    Args:
        angle_min: Angle of the first beam [rad].
        angle_increment: From beam to beam [rad]; 0 for a scan of one beam.
        count: Number of beams.
    """
    if count == 1:
        return 0
    if count < 1 or not angle_increment or not math.isfinite(angle_min) or not math.isfinite(angle_increment):
        return None
    for turn in (0.0, 2.0 * math.pi, -2.0 * math.pi):
        index = round((turn - angle_min) / angle_increment)
        if 0 <= index < count:
            return index
    return None
