"""The surface planes of several regions as arrays, so that all regions are worked out together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.surface.plane import SurfacePlane

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PlaneStack:
    """R planes, with what ``SurfacePlane`` says of each.

    Attributes:
        normals: (R, 3) unit vectors towards the camera.
        points_m: (R, 3) points about which the tilts turn.
        ranges_m, range_sigmas_m: (R,) distances of those points along the optical axis, and their spread.
        tilt_directions, tilt_sigmas_rad: (R, 2, 3) and (R, 2), square to the normals.
        normal_in_map: (R,) which normals were given in the map.
        map_offset_sigmas_m: (R,) spread along the normal of planes that were given in the map; NaN for others.
    """

    normals: Array
    points_m: Array
    ranges_m: Array
    range_sigmas_m: Array
    tilt_directions: Array
    tilt_sigmas_rad: Array
    normal_in_map: Mask
    map_offset_sigmas_m: Array

    @staticmethod
    def of(planes: Sequence[SurfacePlane]) -> PlaneStack:
        """The stack of R >= 1 planes."""
        tilts = [plane.tilts() for plane in planes]
        return PlaneStack(
            np.array([plane.normal for plane in planes]),
            np.array([plane.point_m for plane in planes]),
            np.array([plane.range.range_m for plane in planes]),
            np.array([plane.range.sigma_m for plane in planes]),
            np.array([directions for directions, _ in tilts]),
            np.array([sigmas_rad for _, sigmas_rad in tilts]),
            np.array([plane.normal_in_map for plane in planes]),
            np.array([plane.map_offset_sigma_m for plane in planes], dtype=np.float64),
        )
