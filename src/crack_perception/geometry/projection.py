"""From pixels to points on the surface: position, direction and size in the map, with covariance.

The covariance is first-order propagation ``J S J^T`` of thirteen errors: the pixel (2), the range or the offset of a
plane that is given in the map (1), the surface normal's tilts (2), the camera's attitude (3) and position (3), the time
stamp (1), and the region's direction in the image (1), with a numerical Jacobian evaluated for all errors at once. They
are independent, but for those of attitude and position where the pose came with a covariance of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.camera import CameraModel
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.pose_buffer import MovingPose
from crack_perception.geometry.surface import SurfacePlane, meet

Array = npt.NDArray[np.float64]

# Rays flatter than this to the surface say too little about where they meet it.
MAX_INCIDENCE_RAD = np.deg2rad(80.0)

_ERRORS = 13
_IN_THE_IMAGE = [0, 1, 12]
_RANGE_ERROR = 2
_TILTS = slice(3, 5)
_ATTITUDE = slice(5, 8)
_POSITION = slice(8, 11)
_TIME = slice(11, 12)
_DIRECTION = 12


class NotOnSurface(Exception):
    """The pixel's ray does not meet the surface at a usable angle."""


@dataclass(frozen=True)
class NoiseModel:
    """Standard deviations of what the position is computed from (besides those of the surface plane).

    Attributes:
        pixel_px: Of a region's centre, each axis.
        attitude_rad: Of the camera's attitude, each axis, where the pose has no covariance of its own.
        position_m: Of the camera's position, each axis, where the pose has no covariance of its own.
        time_s: Of the offset between image and pose stamps.
    """

    pixel_px: float = 2.0
    attitude_rad: float = 0.0175
    position_m: float = 0.02
    time_s: float = 0.005


@dataclass(frozen=True)
class SurfacePatch:
    """What one region is on the surface, without any pose.

    Attributes:
        point_m: (3,) in the optical frame.
        gsd_mm_per_px: Ground sampling distance there (geometric mean of the two image directions).
        incidence_rad: Angle between ray and surface normal.
        length_m: Distance on the surface between the ends of the region; NaN where an end is not on the surface.
    """

    point_m: Array
    gsd_mm_per_px: float
    incidence_rad: float
    length_m: float


@dataclass(frozen=True)
class LocatedRegion:
    """A region in the map: x of the pose is the crack's direction, z the surface normal.

    ``covariance`` (6, 6) is of (x, y, z, rotation about x, y, z) in map axes, as in geometry_msgs/PoseWithCovariance.
    """

    pose: Pose
    covariance: Array


def patch_of(camera: CameraModel, plane: SurfacePlane, centre_px: Array, ends_px: Array) -> SurfacePatch:
    """The surface patch of a region given by its centre (2,) and the two ends (2, 2) of its long axis.

    Raises:
        NotOnSurface: The centre's ray is too flat to the surface or points away from it, or its pixel has no size.
    """
    steps = np.array([[0.0, 0.0], [0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
    rays = camera.rays(np.vstack([centre_px + steps, ends_px]))
    cosine = _incidence_cosine(rays[0], plane)
    points = plane.meet(rays)
    across, down = points[1] - points[2], points[3] - points[4]
    gsd_mm = 1000.0 * float(np.sqrt(np.linalg.norm(np.cross(across, down))))
    if not 0 < gsd_mm < np.inf:
        raise NotOnSurface("the calibration gives its pixels no size on the surface")
    ends = points[5:7]
    length_m = float(np.linalg.norm(ends[1] - ends[0])) if np.all(np.isfinite(ends)) else float("nan")
    return SurfacePatch(points[0], gsd_mm, float(np.arccos(min(1.0, cosine))), length_m)


def locate(
    camera: CameraModel,
    plane: SurfacePlane,
    motion: MovingPose,
    centre_px: Array,
    ends_px: Array,
    direction_sigma_rad: float,
    noise: NoiseModel,
) -> LocatedRegion:
    """Pose and covariance in the map of a region given by its centre (2,) and the ends (2, 2) of its long axis.

    Args:
        motion: The optical frame in the map at the image's stamp, with its velocities in map axes.
        direction_sigma_rad: Standard deviation of the long axis' direction in the image.

    Raises:
        NotOnSurface: As in ``patch_of``, or an end is not on the surface, or the covariance overflows.
    """
    spread = _error_covariance(plane, motion, direction_sigma_rad, noise)
    # Steps of a tenth of a sigma keep the differences linear and far above rounding.
    steps = np.maximum(np.sqrt(np.diag(spread)), 1e-6) / 10
    errors = np.vstack([np.zeros(_ERRORS), np.diag(steps), -np.diag(steps)])
    rays = _perturbed_rays(camera, centre_px, ends_px, errors)
    _incidence_cosine(rays[0, 0], plane)
    points, axes = _perturbed(plane, motion, rays, errors)
    if not (np.all(np.isfinite(points)) and np.all(np.isfinite(axes))):
        raise NotOnSurface("an end of the region lies beyond the surface's horizon")
    forward, backward = slice(1, 1 + _ERRORS), slice(1 + _ERRORS, None)
    jacobian = np.empty((6, _ERRORS))
    jacobian[:3] = ((points[forward] - points[backward]) / (2 * steps[:, None])).T
    turns = 0.5 * np.cross(axes[backward], axes[forward]).sum(axis=1)
    jacobian[3:] = (turns / (2 * steps[:, None])).T
    covariance = jacobian @ spread @ jacobian.T
    if not np.all(np.isfinite(covariance)):
        raise NotOnSurface("the camera's motion is beyond all measure")
    return LocatedRegion(Pose(points[0], rotations.from_matrix(axes[0].T)), 0.5 * (covariance + covariance.T))


def _incidence_cosine(ray: Array, plane: SurfacePlane) -> float:
    """Cosine of the angle between a unit ray (3,) and the surface normal.

    Raises:
        NotOnSurface: The ray is too flat to the surface, points away from it, or there is none (NaN).
    """
    cosine = float(-ray @ plane.normal)
    if not cosine >= np.cos(MAX_INCIDENCE_RAD):
        raise NotOnSurface("the surface is seen too flat")
    return cosine


def _error_covariance(plane: SurfacePlane, motion: MovingPose, direction_sigma_rad: float, noise: NoiseModel) -> Array:
    """Covariance (13, 13) of the errors, in the order of the module's first lines."""
    offset_sigma_m = plane.map_offset_sigma_m
    sigmas = np.empty(_ERRORS)
    sigmas[:2] = noise.pixel_px
    sigmas[_RANGE_ERROR] = plane.range.sigma_m if offset_sigma_m is None else offset_sigma_m
    sigmas[_TILTS] = plane.tilts()[1]
    sigmas[_ATTITUDE] = noise.attitude_rad
    sigmas[_POSITION] = noise.position_m
    sigmas[_TIME] = noise.time_s
    sigmas[_DIRECTION] = direction_sigma_rad
    spread = np.diag(sigmas**2)
    if motion.covariance is not None:
        own = motion.covariance
        spread[_POSITION, _POSITION], spread[_POSITION, _ATTITUDE] = own[:3, :3], own[:3, 3:]
        spread[_ATTITUDE, _POSITION], spread[_ATTITUDE, _ATTITUDE] = own[3:, :3], own[3:, 3:]
    return spread


def _perturbed(plane: SurfacePlane, motion: MovingPose, rays: Array, errors: Array) -> tuple[Array, Array]:
    """Map points (M, 3) and surface axes x, y, z as rows (M, 3, 3) under M sets of errors; the first set is none.

    Args:
        rays: (M, 3, 3) unit rays of the centre and the two ends under these errors.
    """
    time_s = errors[:, _TIME]
    turns = errors[:, _ATTITUDE] + time_s * motion.angular_velocity_rad_s
    rotation = motion.pose.rotation
    turned = rotation + np.cross(turns[:, None], rotation.T).transpose(0, 2, 1)
    shifts = errors[:, _POSITION] + time_s * motion.velocity_m_s

    range_errors = errors[:, _RANGE_ERROR : _RANGE_ERROR + 1]
    normals = plane.normal + errors[:, _TILTS] @ plane.tilts()[0]
    if plane.normal_in_map:
        # The normal stays where it is in the map; a turned camera sees it turned back.
        normals = _seen_from(turned, normals @ rotation.T)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    if plane.map_offset_sigma_m is None:
        anchors = plane.point_m * (1 + range_errors / plane.range.range_m)
    else:
        # The plane stays where it is in the map; the camera moves before it.
        anchors = _seen_from(turned, rotation @ plane.point_m + range_errors * (rotation @ plane.normal) - shifts)

    in_camera = np.stack([meet(rays[:, i], normals, anchors) for i in range(3)], axis=1)
    in_map = np.einsum("mij,mkj->mki", turned, in_camera) + (motion.pose.position_m + shifts)[:, None]
    z_axis = np.einsum("mij,mj->mi", turned, normals)
    x_axis = in_map[:, 2] - in_map[:, 1]
    x_axis = x_axis - np.sum(x_axis * z_axis, axis=1, keepdims=True) * z_axis
    x_axis /= np.linalg.norm(x_axis, axis=1, keepdims=True)
    axes = np.stack([x_axis, np.cross(z_axis, x_axis), z_axis], axis=1)
    return in_map[:, 0], axes


def _perturbed_rays(camera: CameraModel, centre_px: Array, ends_px: Array, errors: Array) -> Array:
    """Unit rays (M, 3, 3) of the centre and the two ends; most errors leave them alone, and lenses cost time."""
    from_centre = np.stack([np.zeros(2), ends_px[0] - centre_px, ends_px[1] - centre_px])
    across = from_centre[:, ::-1] * [-1.0, 1.0]
    is_moved = np.any(errors[:, _IN_THE_IMAGE] != 0, axis=1)
    is_moved[0] = True
    moved = errors[is_moved]
    pixels = centre_px + from_centre + moved[:, _DIRECTION, None, None] * across + moved[:, None, :2]
    distinct = camera.rays(pixels.reshape(-1, 2)).reshape(-1, 3, 3)
    rays = np.repeat(distinct[:1], len(errors), axis=0)
    rays[is_moved] = distinct
    return rays


def _seen_from(turned: Array, vectors: Array) -> Array:
    """Vectors (M, 3) of the map in the axes of turned cameras, rotations (M, 3, 3)."""
    return np.asarray(np.einsum("mij,mi->mj", turned, vectors))
