"""From pixels to points on the surface: position, direction and size in the map, with covariance.

The covariance is first-order propagation ``J S J^T`` of thirteen errors: the pixel (2), the range or the offset of a
plane that is given in the map (1), the surface normal's tilts (2), the camera's attitude (3) and position (3), the time
stamp (1), and the region's direction in the image (1), with a numerical Jacobian evaluated for all errors and all
regions of a frame at once. They are independent, but for those of attitude and position where the pose came with a
covariance of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.buffer import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import SurfacePlane, meet
from crack_perception.geometry.surface.plane_stack import PlaneStack
from crack_perception.geometry.vectors import cross, dot, lengths

Array = npt.NDArray[np.float64]

# Rays flatter than this to the surface say too little about where they meet it.
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

# Sets of errors in steps: none at all, each forwards, each backwards.
_ONE_BY_ONE = np.concatenate([np.zeros((1, _ERRORS)), np.eye(_ERRORS), -np.eye(_ERRORS)])
# Those that move rays in the camera, after the first one, and which of these rays every set has.
_IS_MOVED = _ONE_BY_ONE[:, [0, 1, _DIRECTION]].any(axis=1)
_MOVED = np.concatenate([[0], np.flatnonzero(_IS_MOVED)])
_RAYS_OF_SETS = np.where(_IS_MOVED, np.cumsum(_IS_MOVED), 0)


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


@dataclass(frozen=True, eq=False)
class ImageAxes:
    """Where R regions are in the image.

    Attributes:
        centres_px: (R, 2) their middles.
        ends_px: (R, 2, 2) the two ends of their long axes.
        direction_sigmas_rad: (R,) standard deviations of the axes' directions in the image.
    """

    centres_px: Array
    ends_px: Array
    direction_sigmas_rad: Array


def patch_of(camera: CameraModel, plane: SurfacePlane, centre_px: Array, ends_px: Array) -> SurfacePatch:
    """The surface patch of a single region given by its centre (2,) and the two ends (2, 2) of its long axis.

    Raises:
        NotOnSurface: ``patches_of`` has none.
    """
    axes = ImageAxes(centre_px[None], ends_px[None], np.zeros(1))
    (patch,) = patches_of(camera, PlaneStack.of([plane]), axes)
    if patch is None:
        raise NotOnSurface("the surface is seen too flat, or the calibration gives its pixels no size on it")
    return patch


def patches_of(camera: CameraModel, planes: PlaneStack, axes: ImageAxes) -> list[SurfacePatch | None]:
    """The surface patches of R regions on their planes.

    None where the centre's ray is too flat to the surface or points away from it, or its pixel has no size.
    """
    pixels = np.concatenate([axes.centres_px[:, None] + _HALF_PIXELS, axes.ends_px], axis=1)
    rays = camera.rays(pixels).reshape(*pixels.shape[:2], 3)
    cosines = -dot(rays[:, 0], planes.normals)
    points = meet(rays, planes.normals[:, None], planes.points_m[:, None])
    squares = cross(points[:, 1] - points[:, 2], points[:, 3] - points[:, 4])
    gsds_mm = 1000.0 * np.sqrt(lengths(squares))
    lengths_m = lengths(points[:, -1] - points[:, -2])
    is_seen = _is_steep(cosines) & (gsds_mm > 0) & (gsds_mm < np.inf)
    incidences_rad = np.arccos(np.clip(cosines, -1.0, 1.0))
    return [
        SurfacePatch(points[region, 0], float(gsds_mm[region]), float(incidences_rad[region]), float(lengths_m[region]))
        if is_seen[region]
        else None
        for region in range(len(points))
    ]


def locate(
    camera: CameraModel, planes: PlaneStack, motion: MovingPose, axes: ImageAxes, noise: NoiseModel
) -> list[LocatedRegion | None]:
    """Poses and covariances in the map of R regions on their planes.

    None as in ``patches_of``, and where an end is not on the surface, or the covariance overflows.

    Args:
        motion: The optical frame in the map at the image's stamp, with its velocities in map axes.
    """
    spread = _error_covariances(planes, motion, axes, noise)
    # Steps of a tenth of a sigma keep the differences linear and far above rounding.
    steps = np.maximum(np.sqrt(spread.diagonal(axis1=1, axis2=2)), 1e-6) / 10
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
        covariances = jacobians @ spread @ jacobians.transpose(0, 2, 1)
    is_located = _is_steep(-dot(rays[:, 0, 0], planes.normals)) & np.isfinite(covariances).all(axis=(1, 2))
    return [
        LocatedRegion(Pose(point, rotations.from_matrix(frame.T)), 0.5 * (covariance + covariance.T)) if is_on else None
        for point, frame, covariance, is_on in zip(points[:, 0], frames[:, 0], covariances, is_located, strict=True)
    ]


def _is_steep(cosines: Array) -> npt.NDArray[np.bool_]:
    """Which rays are at a usable angle to the surface; none where the cosine (...) of the incidence is NaN."""
    return np.asarray(cosines >= LEAST_COSINE)


def _error_covariances(planes: PlaneStack, motion: MovingPose, axes: ImageAxes, noise: NoiseModel) -> Array:
    """Covariances (R, 13, 13) of the errors, in the order of the module's first lines."""
    offsets_m = planes.map_offset_sigmas_m
    sigmas = np.empty((len(planes.normals), _ERRORS))
    sigmas[:, :2] = noise.pixel_px
    sigmas[:, _RANGE_ERROR] = np.where(np.isnan(offsets_m), planes.range_sigmas_m, offsets_m)
    sigmas[:, _TILTS] = planes.tilt_sigmas_rad
    sigmas[:, _ATTITUDE] = noise.attitude_rad
    sigmas[:, _POSITION] = noise.position_m
    sigmas[:, _TIME] = noise.time_s
    sigmas[:, _DIRECTION] = axes.direction_sigmas_rad
    spread = np.eye(_ERRORS) * (sigmas**2)[:, None]
    if motion.covariance is not None:
        own = motion.covariance
        spread[:, _POSITION, _POSITION], spread[:, _POSITION, _ATTITUDE] = own[:3, :3], own[:3, 3:]
        spread[:, _ATTITUDE, _POSITION], spread[:, _ATTITUDE, _ATTITUDE] = own[3:, :3], own[3:, 3:]
    return spread


def _perturbed(planes: PlaneStack, motion: MovingPose, rays: Array, errors: Array) -> tuple[Array, Array]:
    """Map points (R, M, 3) and surface axes x, y, z as rows (R, M, 3, 3) under M sets of errors; the first is none.

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
    # A normal that is given in the map stays there; a turned camera sees it turned back.
    normals = np.where(planes.normal_in_map[:, None, None], in_camera_axes(normals @ rotation.T), normals)
    normals /= lengths(normals)[..., None]
    range_errors = errors[..., _RANGE_ERROR : _RANGE_ERROR + 1]
    anchors = planes.points_m[:, None] * (1 + range_errors / planes.ranges_m[:, None, None])
    is_mapped = ~np.isnan(planes.map_offset_sigmas_m)
    if is_mapped.any():
        # The plane stays where it is in the map; the camera moves before it.
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
    """Unit rays (R, M, 3, 3) of the centres and the two ends; most errors leave them alone, and lenses cost time."""
    from_centre = np.zeros((len(errors), 1, 3, 2))
    from_centre[:, 0, 1:] = axes.ends_px - axes.centres_px[:, None]
    across = from_centre[..., ::-1] * [-1.0, 1.0]
    moved = errors[:, _MOVED, None]
    pixels = axes.centres_px[:, None, None] + from_centre + moved[..., _DIRECTION, None] * across + moved[..., :2]
    distinct = camera.rays(pixels).reshape(len(errors), -1, 3, 3)
    return distinct[:, _RAYS_OF_SETS]
