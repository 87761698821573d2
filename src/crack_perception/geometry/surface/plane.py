# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Local planes of the inspected surface in the camera's optical frame, single and stacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.geometry.vectors import cross, dot, lengths

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

OPTICAL_AXIS = np.array([0.0, 0.0, 1.0])
_LEVEL, _UPRIGHT = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])

# Assumption about the surface's direction if only one distance is known.
SURFACE_FACING = "facing"
SURFACE_VERTICAL = "vertical"
SURFACE_HORIZONTAL = "horizontal"
SURFACE_ASSUMPTIONS = (SURFACE_VERTICAL, SURFACE_HORIZONTAL, SURFACE_FACING)

_MIN_PLANE_POINTS = 30
# Largest deviation from the median depth of samples in the first fit.
_FIRST_DEPTH_SHARE = 0.2
# A tighter limit costs precision without outliers: 3 % of the variance at 3 sigmas, 1 % here.
_OUTLIER_SIGMAS = 3.5
# Lower and upper bound: real surfaces are not flat and depth images are distorted, so no fit is better.
_TILT_SIGMA_RAD = (0.002, 0.5)
_MAX_DEPTH_INCIDENCE_RAD = np.deg2rad(85.0)
_FLATTEST_COSINE = np.cos(np.deg2rad(89.0))


@dataclass(frozen=True)
class SurfacePlane:
    """Plane given by a point and the unit normal towards the camera, in the optical frame.

    Attributes:
        range: Distance of that point along the optical axis, its standard deviation and source.
        normal: (3,) unit vector in the optical frame, pointing to the camera's side.
        normal_sigma_rad: Standard deviation of each of the normal's two tilts, or of the larger one.
        normal_in_map: The normal is known in the map frame, so an attitude error also tilts it in the camera frame.
        anchor_m: (3,) the point about which the tilts rotate; None if it lies on the optical axis.
        tilt_covariance: (3, 3) of the normal if its two tilts differ; None if both have ``normal_sigma_rad``.
        map_offset_sigma_m: The plane is known in the map frame, with this standard deviation along its normal:
            pose errors move the camera relative to it. None if the range was measured or assumed.
    """

    range: RangeReading
    normal: Array
    normal_sigma_rad: float
    normal_in_map: bool
    anchor_m: Array | None = None
    tilt_covariance: Array | None = None
    map_offset_sigma_m: float | None = None

    @property
    def point_m(self) -> Array:
        """Point (3,) of the plane about which its tilts rotate."""
        return self.range.range_m * OPTICAL_AXIS if self.anchor_m is None else self.anchor_m

    def meet(self, rays: npt.ArrayLike) -> Array:
        """Intersect rays (N, 3) from the camera with the plane: points (N, 3) in the optical frame, NaN for a miss."""
        directions = np.asarray(rays, dtype=np.float64).reshape(-1, 3)
        return meet(directions, self.normal, self.point_m)

    def tilts(self) -> tuple[Array, Array]:
        """Return two directions (2, 3) perpendicular to the normal, and the standard deviations (2,) of the tilts."""
        return self._tilts

    @cached_property
    def _tilts(self) -> tuple[Array, Array]:
        if self.tilt_covariance is not None:
            variances, directions = np.linalg.eigh(self.tilt_covariance)
            return directions.T[1:], np.sqrt(np.maximum(variances[1:], 0.0))
        first = cross(self.normal, _LEVEL if abs(self.normal[0]) < 0.9 else _UPRIGHT)
        first /= lengths(first)
        return np.stack([first, cross(self.normal, first)]), np.full(2, self.normal_sigma_rad)


def meet(rays: Array, normals: Array, points_m: Array) -> Array:
    """Intersect rays (..., 3) from the camera with planes given by normals and points (..., 3); NaN for a miss."""
    cosines = dot(rays, normals)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = dot(points_m, normals) / cosines
        is_met = (cosines < -_FLATTEST_COSINE * lengths(rays)) & (along > 0)
        return np.asarray(np.where(is_met, along, np.nan)[..., None] * rays)


def assumed_plane(
    reading: RangeReading, assumption: str, map_from_camera: Pose | None, normal_sigma_rad: float
) -> SurfacePlane:
    """Return the plane at a measured or configured range under an assumption about its direction.

    ``vertical`` is a wall perpendicular to the camera's heading, ``horizontal`` a deck below or a soffit above,
    ``facing`` a surface perpendicular to the optical axis. Without a pose, or if the assumption cannot hold (a camera
    that points straight up and a "vertical" wall), the surface is assumed to be facing.

    Raises:
        ValueError: The assumption is unknown.
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
    """Fit a plane to depth samples (N, 2), (N,), robust to holes and edges; None if they are too few or scattered.

    Depth is z along the optical axis (REP 118), so that its errors move points along their rays: the fit is linear in
    the inverse depth, and the residuals are relative depth errors. The first fit uses samples around the median depth,
    the second all that are not outliers of the first plane.

    Args:
        relative_sigma: Relative standard deviation of the depth, for the error common to all samples (it scales the
            plane) and for that of each sample (they tilt it).
    """
    if len(depths_m) < _MIN_PLANE_POINTS:
        return None
    points = np.column_stack([camera.normalised(pixels), np.ones(len(pixels))]) * depths_m[:, None]
    points = points[np.all(np.isfinite(points), axis=1)]
    median = np.median(depths_m)
    first = points[np.abs(points[:, 2] - median) <= _FIRST_DEPTH_SHARE * median]
    if len(first) < _MIN_PLANE_POINTS:
        return None
    steepness, _ = _fit(first)
    limit = _OUTLIER_SIGMAS * 1.4826 * float(np.median(np.abs(first @ steepness - 1)))
    used = points[np.abs(points @ steepness - 1) <= max(1e-6, limit)]
    if len(used) < _MIN_PLANE_POINTS:
        return None
    steepness, inverse = _fit(used)
    centre = used.mean(axis=0)
    length = float(np.linalg.norm(steepness))
    if not length * np.cos(_MAX_DEPTH_INCIDENCE_RAD) * np.linalg.norm(centre) < steepness @ centre:
        return None
    normal = -steepness / length
    anchor_m = centre / float(steepness @ centre)
    range_m = float(anchor_m[2])
    tilts = _tilt_covariance(normal, (relative_sigma / length) ** 2 * inverse)
    return SurfacePlane(
        RangeReading(range_m, relative_sigma * range_m, "depth"),
        normal,
        float(np.sqrt(np.linalg.eigvalsh(tilts)[-1])),
        normal_in_map=False,
        anchor_m=anchor_m,
        tilt_covariance=tilts,
    )


def _fit(points: Array) -> tuple[Array, Array]:
    """Fit the plane ``steepness . p = 1`` to points (N, 3); return it and the inverse (3, 3) of the second moments."""
    inverse: Array = np.linalg.pinv(points.T @ points).astype(np.float64)
    return inverse @ points.sum(axis=0), inverse


def _tilt_covariance(normal: Array, covariance: Array) -> Array:
    """Return the part (3, 3) of a vector's covariance perpendicular to its direction, within plausible bounds."""
    across = np.linalg.svd(normal[None])[2][1:]
    variances, turned = np.linalg.eigh(across @ covariance @ across.T)
    sigmas_rad = np.clip(np.sqrt(np.maximum(variances, 0.0)), *_TILT_SIGMA_RAD)
    directions = turned.T @ across
    return np.asarray((directions.T * sigmas_rad**2) @ directions)


@dataclass(frozen=True, eq=False)
class PlaneStack:
    """R surface planes as arrays, so that all regions of a frame are computed together.

    Attributes:
        normals: (R, 3) unit vectors towards the camera.
        points_m: (R, 3) points about which the tilts rotate.
        ranges_m, range_sigmas_m: (R,) distances of those points along the optical axis, and standard deviations.
        tilt_directions, tilt_sigmas_rad: (R, 2, 3) and (R, 2), perpendicular to the normals.
        normal_in_map: (R,) which normals are known in the map.
        map_offset_sigmas_m: (R,) standard deviation along the normal of known map planes; NaN for others.
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
        """Stack R >= 1 planes."""
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
