# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Project image regions onto the surface: position, direction and size in the map, with covariance.

The covariance is the first-order propagation ``J S J^T`` of thirteen errors: the pixel (2), the range or the offset of
a known map plane (1), the surface normal's tilts (2), the camera's attitude (3) and position (3), the time stamp (1),
and the region's direction in the image (1), with a numerical Jacobian evaluated for all errors and all regions of a
frame at once. They are independent, except those of attitude and position if the pose has a covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import PlaneStack, SurfacePlane, meet
from crack_perception.geometry.vectors import cross, dot, lengths

Array = npt.NDArray[np.float64]

# Rays with a larger incidence locate the surface point too poorly.
MAX_INCIDENCE_RAD = np.deg2rad(80.0)
LEAST_COSINE = np.cos(MAX_INCIDENCE_RAD)

_HALF_PIXELS = np.array([[0.0, 0.0], [0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])

_ERRORS = 13
_RANGE_ERROR = 2
_TILTS = slice(3, 5)
_ATTITUDE = slice(5, 8)
_POSITION = slice(8, 11)
_TIME = slice(11, 12)
_DIRECTION = 12

# Error sets in steps: none, each forward, each backward.
_ONE_BY_ONE = np.concatenate([np.zeros((1, _ERRORS)), np.eye(_ERRORS), -np.eye(_ERRORS)])
# The nominal set and those that move rays in the camera, and the index of the rays that each set uses.
_IS_MOVED = _ONE_BY_ONE[:, [0, 1, _DIRECTION]].any(axis=1)
_MOVED = np.concatenate([[0], np.flatnonzero(_IS_MOVED)])
_RAYS_OF_SETS = np.where(_IS_MOVED, np.cumsum(_IS_MOVED), 0)


class NotOnSurface(Exception):
    """A pixel's ray does not meet the surface at a usable angle."""


@dataclass(frozen=True)
class NoiseModel:
    """Standard deviations of the inputs of the projection (besides those of the surface plane).

    Attributes:
        pixel_px: Of a region's centre, each axis.
        attitude_rad: Of the camera's attitude, each axis; used if the pose has no covariance.
        position_m: Of the camera's position, each axis; used if the pose has no covariance.
        time_s: Of the offset between image and pose stamps.
    """

    pixel_px: float = 2.0
    attitude_rad: float = 0.0175
    position_m: float = 0.02
    time_s: float = 0.005


@dataclass(frozen=True)
class SurfacePatch:
    """One region on the surface, independent of the pose.

    Attributes:
        point_m: (3,) in the optical frame.
        gsd_mm_per_px: Ground sampling distance there (geometric mean of the two image directions).
        incidence_rad: Angle between ray and surface normal.
        length_m: Distance on the surface between the ends of the region; NaN if an end is not on the surface.
    """

    point_m: Array
    gsd_mm_per_px: float
    incidence_rad: float
    length_m: float


@dataclass(frozen=True)
class LocatedRegion:
    """Region in the map: x of the pose is the crack's direction, z the surface normal.

    ``covariance`` (6, 6) refers to (x, y, z, rotation about x, y, z) in map axes, as in
    geometry_msgs/PoseWithCovariance.
    """

    pose: Pose
    covariance: Array


@dataclass(frozen=True, eq=False)
class ImageAxes:
    """Centres and long axes of R regions in the image.

    Attributes:
        centres_px: (R, 2) centres.
        ends_px: (R, 2, 2) the two ends of the long axes.
        direction_sigmas_rad: (R,) standard deviations of the axis directions in the image.
    """

    centres_px: Array
    ends_px: Array
    direction_sigmas_rad: Array


def patch_of(camera: CameraModel, plane: SurfacePlane, centre_px: Array, ends_px: Array) -> SurfacePatch:
    """Return the surface patch of a single region given by its centre (2,) and the two ends (2, 2) of its long axis.

    Raises:
        NotOnSurface: ``patches_of`` returns None for it.
    """
    axes = ImageAxes(centre_px[None], ends_px[None], np.zeros(1))
    (patch,) = patches_of(camera, PlaneStack.of([plane]), axes)
    if patch is None:
        raise NotOnSurface("the angle to the surface is too flat, or the calibration gives a pixel no size on it")
    return patch


def patches_of(camera: CameraModel, planes: PlaneStack, axes: ImageAxes) -> list[SurfacePatch | None]:
    """Return the surface patches of R regions on their planes.

    None if the centre's ray is too flat to the surface or points away from it, or its pixel has no size.
    """
    pixels = np.concatenate([axes.centres_px[:, None] + _HALF_PIXELS, axes.ends_px], axis=1)
    rays = camera.rays(pixels).reshape(*pixels.shape[:2], 3)
    cosines = -dot(rays[:, 0], planes.normals)
    points = meet(rays, planes.normals[:, None], planes.points_m[:, None])
    squares = cross(points[:, 1] - points[:, 2], points[:, 3] - points[:, 4])
    gsds_mm = 1000.0 * np.sqrt(lengths(squares))
    lengths_m = lengths(points[:, -1] - points[:, -2])
    is_visible = _is_steep(cosines) & (gsds_mm > 0) & (gsds_mm < np.inf)
    incidences_rad = np.arccos(np.clip(cosines, -1.0, 1.0))
    return [
        SurfacePatch(points[region, 0], float(gsds_mm[region]), float(incidences_rad[region]), float(lengths_m[region]))
        if is_visible[region]
        else None
        for region in range(len(points))
    ]


def locate(
    camera: CameraModel, planes: PlaneStack, motion: MovingPose, axes: ImageAxes, noise: NoiseModel
) -> list[LocatedRegion | None]:
    """Return poses and covariances in the map of R regions on their planes.

    None as in ``patches_of``, and if an end is not on the surface or the covariance overflows.

    Args:
        motion: The optical frame in the map at the image's stamp, with its velocities in map axes.
    """
    error_covariances = _error_covariances(planes, motion, axes, noise)
    # Steps of a tenth of a standard deviation keep the differences linear and far above rounding.
    steps = np.maximum(np.sqrt(error_covariances.diagonal(axis1=1, axis2=2)), 1e-6) / 10
    errors = steps[:, None] * _ONE_BY_ONE
    rays = _perturbed_rays(camera, axes, errors)
    points, frames = _perturbed(planes, motion, rays, errors)
    jacobians = np.empty((len(steps), 6, _ERRORS))
    forward, backward = slice(1, 1 + _ERRORS), slice(1 + _ERRORS, None)
    with np.errstate(over="ignore", invalid="ignore"):
        both = 2 * steps[..., None]
        jacobians[:, :3] = ((points[:, forward] - points[:, backward]) / both).transpose(0, 2, 1)
        turns = 0.5 * cross(frames[:, backward], frames[:, forward]).sum(axis=2)
        jacobians[:, 3:] = (turns / both).transpose(0, 2, 1)
        covariances = jacobians @ error_covariances @ jacobians.transpose(0, 2, 1)
    is_located = _is_steep(-dot(rays[:, 0, 0], planes.normals)) & np.isfinite(covariances).all(axis=(1, 2))
    return [
        LocatedRegion(Pose(point, rotations.from_matrix(frame.T)), 0.5 * (covariance + covariance.T)) if is_on else None
        for point, frame, covariance, is_on in zip(points[:, 0], frames[:, 0], covariances, is_located, strict=True)
    ]


def _is_steep(cosines: Array) -> npt.NDArray[np.bool_]:
    """Return which rays meet the surface at a usable angle; False where the cosine (...) of the incidence is NaN."""
    return np.asarray(cosines >= LEAST_COSINE)


def _error_covariances(planes: PlaneStack, motion: MovingPose, axes: ImageAxes, noise: NoiseModel) -> Array:
    """Return covariances (R, 13, 13) of the errors, in the order given in the module docstring."""
    offsets_m = planes.map_offset_sigmas_m
    sigmas = np.empty((len(planes.normals), _ERRORS))
    sigmas[:, :2] = noise.pixel_px
    sigmas[:, _RANGE_ERROR] = np.where(np.isnan(offsets_m), planes.range_sigmas_m, offsets_m)
    sigmas[:, _TILTS] = planes.tilt_sigmas_rad
    sigmas[:, _ATTITUDE] = noise.attitude_rad
    sigmas[:, _POSITION] = noise.position_m
    sigmas[:, _TIME] = noise.time_s
    sigmas[:, _DIRECTION] = axes.direction_sigmas_rad
    error_covariances = np.eye(_ERRORS) * (sigmas**2)[:, None]
    if motion.covariance is not None:
        pose = motion.covariance
        error_covariances[:, _POSITION, _POSITION], error_covariances[:, _POSITION, _ATTITUDE] = (
            pose[:3, :3],
            pose[:3, 3:],
        )
        error_covariances[:, _ATTITUDE, _POSITION], error_covariances[:, _ATTITUDE, _ATTITUDE] = (
            pose[3:, :3],
            pose[3:, 3:],
        )
    return error_covariances


def _perturbed(planes: PlaneStack, motion: MovingPose, rays: Array, errors: Array) -> tuple[Array, Array]:
    """Return map points (R, M, 3) and surface axes x, y, z as rows (R, M, 3, 3) under M error sets; the first is zero.

    Args:
        rays: (R, M, 3, 3) unit rays of the centre and the two ends under these errors.
        errors: (R, M, 13).
    """
    rotation = motion.pose.rotation
    time_s = errors[..., _TIME]
    turns = errors[..., _ATTITUDE] + time_s * motion.angular_velocity_rad_s
    shifts = errors[..., _POSITION] + time_s * motion.velocity_m_s

    def in_map_axes(vectors: Array, turns: Array) -> Array:
        straight = vectors @ rotation.T
        return straight + cross(turns, straight)

    def in_camera_axes(vectors: Array) -> Array:
        return (vectors - cross(turns, vectors)) @ rotation

    normals = planes.normals[:, None] + errors[..., _TILTS] @ planes.tilt_directions
    # A normal that is known in the map stays fixed there: an attitude error turns it in the camera frame.
    normals = np.where(planes.normal_in_map[:, None, None], in_camera_axes(normals @ rotation.T), normals)
    normals /= lengths(normals)[..., None]
    range_errors = errors[..., _RANGE_ERROR : _RANGE_ERROR + 1]
    anchors = planes.points_m[:, None] * (1 + range_errors / planes.ranges_m[:, None, None])
    is_mapped = ~np.isnan(planes.map_offset_sigmas_m)
    if is_mapped.any():
        # The plane stays fixed in the map: a pose error moves the camera relative to it.
        offset = (planes.points_m[:, None] + range_errors * planes.normals[:, None]) @ rotation.T
        anchors = np.where(is_mapped[:, None, None], in_camera_axes(offset - shifts), anchors)

    in_camera = meet(rays, normals[:, :, None], anchors[:, :, None])
    in_map = in_map_axes(in_camera, turns[:, :, None]) + (motion.pose.position_m + shifts)[:, :, None]
    z_axis = in_map_axes(normals, turns)
    x_axis = in_map[:, :, 2] - in_map[:, :, 1]
    x_axis = x_axis - dot(x_axis, z_axis)[..., None] * z_axis
    with np.errstate(divide="ignore", invalid="ignore"):
        x_axis /= lengths(x_axis)[..., None]
    return in_map[:, :, 0], np.stack([x_axis, cross(z_axis, x_axis), z_axis], axis=2)


def _perturbed_rays(camera: CameraModel, axes: ImageAxes, errors: Array) -> Array:
    """Return unit rays (R, M, 3, 3) of the centres and the two ends; only rays that an error moves are computed."""
    from_centre = np.zeros((len(errors), 1, 3, 2))
    from_centre[:, 0, 1:] = axes.ends_px - axes.centres_px[:, None]
    across = from_centre[..., ::-1] * [-1.0, 1.0]
    moved = errors[:, _MOVED, None]
    pixels = axes.centres_px[:, None, None] + from_centre + moved[..., _DIRECTION, None] * across + moved[..., :2]
    distinct = camera.rays(pixels).reshape(len(errors), -1, 3, 3)
    return distinct[:, _RAYS_OF_SETS]
