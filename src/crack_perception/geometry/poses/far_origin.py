"""Positions too far from the map's origin for messages whose coordinates are float32 (PointCloud2, Polygon)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.buffer import PoseUnavailable

# Up to here a coordinate in float32 is off by half a millimetre at most.
FARTHEST_M = 10_000.0


def float32_error_m(coordinate_m: float) -> float:
    """Largest rounding error of a coordinate of this size in float32 [m]."""
    return float(np.spacing(np.float32(abs(coordinate_m)))) / 2


def check_near_origin(position_m: npt.NDArray[np.float64]) -> None:
    """Whether a position (3,) is near enough to the map's origin.

    Raises:
        PoseUnavailable: A coordinate would lose more than half a millimetre in float32.
    """
    farthest_m = float(np.max(np.abs(position_m)))
    if farthest_m > FARTHEST_M:
        raise PoseUnavailable(
            f"the camera is {farthest_m / 1000:.0f} km from the map's origin, where crack_points and footprint "
            f"(float32) are off by up to {1000 * float32_error_m(farthest_m):.0f} mm. "
            f"Use a map_frame whose origin is within {FARTHEST_M / 1000:.0f} km, not UTM or ECEF"
        )
