"""The local plane of the inspected surface, in the camera's optical frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera import CameraModel
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.range_sources import RangeReading

Array = npt.NDArray[np.float64]

OPTICAL_AXIS = np.array([0.0, 0.0, 1.0])

# What is assumed of the surface's direction when only one distance to it is known.
SURFACE_FACING = "facing"
SURFACE_VERTICAL = "vertical"
SURFACE_HORIZONTAL = "horizontal"
SURFACE_ASSUMPTIONS = (SURFACE_VERTICAL, SURFACE_HORIZONTAL, SURFACE_FACING)

_MIN_PLANE_POINTS = 30


@dataclass(frozen=True)
class SurfacePlane:
    """A plane by its distance along the optical axis and its unit normal towards the camera, in the optical frame.

    Attributes:
        range: Distance along the optical axis, its spread and source.
        normal: (3,) unit vector in the optical frame, pointing to the camera's side.
        normal_sigma_rad: Standard deviation of each of the normal's two tilts.
        normal_in_map: The normal was assumed in the map frame, so an attitude error also tilts it in the camera frame.
    """

    range: RangeReading
    normal: Array
    normal_sigma_rad: float
    normal_in_map: bool


def assumed_plane(
    reading: RangeReading, assumption: str, map_from_camera: Pose | None, normal_sigma_rad: float
) -> SurfacePlane:
    """The plane at a measured or configured range under an assumption about its direction.

    ``vertical`` is a wall faced by the camera's heading, ``horizontal`` a deck below or a soffit above, ``facing`` a
    surface square to the optical axis. Without a pose, or where the assumption cannot hold (a camera that looks
    straight up at a "vertical" wall), the surface is taken as facing.
    """
    facing = SurfacePlane(reading, -OPTICAL_AXIS, normal_sigma_rad, normal_in_map=False)
    if assumption == SURFACE_FACING or map_from_camera is None:
        return facing
    axis_in_map = map_from_camera.rotation @ OPTICAL_AXIS
    if assumption == SURFACE_VERTICAL:
        normal_in_map = -np.array([axis_in_map[0], axis_in_map[1], 0.0])
    elif assumption == SURFACE_HORIZONTAL:
        normal_in_map = -np.array([0.0, 0.0, axis_in_map[2]])
    else:
        raise ValueError(f"unknown surface assumption '{assumption}', known are {', '.join(SURFACE_ASSUMPTIONS)}")
    length = float(np.linalg.norm(normal_in_map))
    if length < np.cos(np.deg2rad(80.0)):
        return facing
    normal = map_from_camera.rotation.T @ (normal_in_map / length)
    return SurfacePlane(reading, normal, normal_sigma_rad, normal_in_map=True)


def plane_from_depth(camera: CameraModel, pixels: Array, depths_m: Array, relative_sigma: float) -> SurfacePlane | None:
    """The plane through depth samples (N, 2), (N,), robust to holes and edges; None when too few or too scattered.

    Depth is z along the optical axis (REP 118). The fit is repeated once on the samples that lie within three median
    absolute deviations of the first plane.
    """
    if len(depths_m) < _MIN_PLANE_POINTS:
        return None
    points = np.column_stack([camera.normalised(pixels), np.ones(len(pixels))]) * depths_m[:, None]
    median = np.median(depths_m)
    points = points[(np.abs(depths_m - median) <= 0.2 * median) & np.all(np.isfinite(points), axis=1)]
    for _ in range(2):
        if len(points) < _MIN_PLANE_POINTS:
            return None
        centre = points.mean(axis=0)
        _, singular, directions = np.linalg.svd(points - centre, full_matrices=False)
        normal = directions[2]
        distances = np.abs((points - centre) @ normal)
        points = points[distances <= max(1e-6, 3 * 1.4826 * float(np.median(distances)))]
    normal = -normal if normal @ centre > 0 else normal
    if normal @ OPTICAL_AXIS > -np.cos(np.deg2rad(85.0)):
        return None
    range_m = float((normal @ centre) / (normal @ OPTICAL_AXIS))
    # Depth noise over the patch's extent is what tilts the plane.
    extent_m = float(singular[1]) / np.sqrt(len(points)) + 1e-6
    tilt_sigma = float(np.clip(relative_sigma * range_m / extent_m / np.sqrt(len(points)), 0.002, 0.5))
    return SurfacePlane(
        RangeReading(range_m, relative_sigma * range_m, "depth"), normal, tilt_sigma, normal_in_map=False
    )
