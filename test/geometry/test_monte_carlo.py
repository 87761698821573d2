# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Covariances against thousands of random error sets, for every kind of surface, lens and source of range.

A test draws what may be true given what was measured, with exact rotations and intersections of its own, and compares
the normalised estimation error squared with its chi-squared bounds (Bar-Shalom, Li, Kirubarajan 2001, 5.4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import ImageAxes, NoiseModel, locate
from crack_perception.geometry.surface.map_planes import MapPlanes
from crack_perception.geometry.surface.plane import (
    SURFACE_ASSUMPTIONS,
    PlaneStack,
    SurfacePlane,
    assumed_plane,
    plane_from_depth,
)
from crack_perception.geometry.surface.range import RangeReading

NOISE = NoiseModel(pixel_px=1.0, attitude_rad=np.deg2rad(1.0), position_m=0.02, time_s=0.005)
"""Range with a sigma of 2 % at 3 m: the case for which the map accuracy is specified."""
READING = RangeReading(3.0, 0.06, "range")
STANDOFF = RangeReading(3.0, 0.6, "standoff")
NORMAL_SIGMA_RAD = np.deg2rad(3.0)
DIRECTION_SIGMA_RAD = 0.05
SETS = 4000
CHI2_95 = 7.815
"""95 % quantile for three degrees of freedom."""

LENS = CameraModel.of(1920, 1080, [2060.0, 0, 959.5, 0, 2060.0, 539.5, 0, 0, 1], [-0.12, 0.03, 0, 0, 0], "plumb_bob")
FISHEYE = CameraModel.of(1600, 1200, [520.0, 0, 799.5, 0, 520.0, 599.5, 0, 0, 1], [0.02, -0.01, 0, 0], "equidistant")
TUNNEL = MapPlanes.of([0, -1, 0, -2.5, 0, 1, 0, -2.5, 0, 0, -1, -5, 0, 0, 1, 0], 0.03, np.deg2rad(1.0))
"""Along the map's x axis, 5 m wide and high."""


def camera_pose(pitch_deg: float = 0.0, yaw_deg: float = 0.0, roll_deg: float = 0.0) -> Pose:
    """A camera two metres up facing along its vehicle's heading; positive pitch is down."""
    body = rotations.from_euler(*np.deg2rad([roll_deg, pitch_deg, yaw_deg]))
    return Pose.of((4, 0.5, 2), rotations.multiply(body, rotations.FORWARD_LOOKING_OPTICAL))


@dataclass(frozen=True)
class Case:
    """Measured inputs: image, motion, and the function from pose and centre ray to the plane.

    ``is_linear`` says that the errors are small enough for a first-order covariance to be exact within its bounds.
    """

    plane: Callable[[Pose, np.ndarray], SurfacePlane | None]
    pose: Pose
    camera: CameraModel = LENS
    centre_px: tuple[float, float] = (1150.0, 400.0)
    half_length_px: tuple[float, float] = (160.0, 70.0)
    velocity_m_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_rate_rad_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    covariance: np.ndarray | None = None
    is_linear: bool = True


def assumed(
    assumption: str, reading: RangeReading = READING, normal_sigma_rad: float = NORMAL_SIGMA_RAD
) -> Callable[[Pose, np.ndarray], SurfacePlane]:
    assert assumption in SURFACE_ASSUMPTIONS
    return lambda pose, ray: assumed_plane(reading, assumption, pose, normal_sigma_rad)


def tunnel(reading: RangeReading | None = None) -> Callable[[Pose, np.ndarray], SurfacePlane | None]:
    return lambda pose, ray: TUNNEL.under(pose, ray, reading, NOISE)


def correlated_covariance() -> np.ndarray:
    """Filter covariance with different sigmas per axis, and heading correlated with position."""
    mixing = np.random.default_rng(3).normal(size=(6, 6)) + 2 * np.eye(6)
    scale = np.diag([0.01, 0.02, 0.015, 0.006, 0.004, 0.01])
    return scale @ mixing @ mixing.T @ scale / 6


CASES = {
    "facing": Case(assumed("facing"), camera_pose(5, 40, 3)),
    "wall from above": Case(assumed("vertical"), camera_pose(25, 120)),
    "soffit": Case(assumed("horizontal"), camera_pose(-65, 10, 5)),
    "standoff": Case(assumed("vertical", STANDOFF), camera_pose(-10), is_linear=False),
    "fisheye": Case(assumed("vertical"), camera_pose(10, 20), camera=FISHEYE, centre_px=(1050.0, 450.0)),
    "edge of a fisheye": Case(
        assumed("vertical"), camera_pose(10, 20), camera=FISHEYE, centre_px=(1200.0, 350.0), is_linear=False
    ),
    "in motion with a late clock": Case(
        assumed("vertical"),
        camera_pose(8, -30),
        velocity_m_s=(2.5, -1.5, 0.8),
        turn_rate_rad_s=(0.3, -0.4, 1.2),
    ),
    "wall known in the map, range measured": Case(tunnel(READING), camera_pose(5, 70)),
    "wall known in the map": Case(tunnel(), camera_pose(5, 70)),
    "oblique wall known in the map": Case(tunnel(), camera_pose(0, 35)),
    "soffit known in the map": Case(tunnel(), camera_pose(-50, 15)),
    "wall beside the way, in motion": Case(
        tunnel(),
        camera_pose(0, 0),
        camera=FISHEYE,
        centre_px=(240.0, 560.0),
        velocity_m_s=(3.0, 0.2, 0.0),
        turn_rate_rad_s=(0.0, 0.1, 0.5),
    ),
    "covariance of the estimator": Case(assumed("vertical"), camera_pose(10, 200), covariance=correlated_covariance()),
    "covariance of the estimator, known wall": Case(tunnel(), camera_pose(5, 75), covariance=correlated_covariance()),
}


def turns(vectors: np.ndarray) -> np.ndarray:
    """Rotation matrices (M, 3, 3) of rotation vectors (M, 3), by Rodrigues' formula."""
    angles = np.linalg.norm(vectors, axis=1)[:, None, None]
    crosses = np.cross(vectors[:, None], np.eye(3)[None]).transpose(0, 2, 1)
    return np.eye(3) + np.sinc(angles / np.pi) * crosses + 0.5 * np.sinc(angles / 2 / np.pi) ** 2 * crosses @ crosses


def turned(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("mij,mj->mi", matrices, vectors)


def meeting(rays: np.ndarray, normals: np.ndarray, points: np.ndarray) -> np.ndarray:
    return rays * (np.sum(normals * points, axis=1) / np.sum(normals * rays, axis=1))[:, None]


def axes_of(start: np.ndarray, end: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Rotations (M, 3, 3) whose columns are the crack's direction, its perpendicular, and the normal."""
    along = end - start
    along -= np.sum(along * normals, axis=1, keepdims=True) * normals
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return np.stack([along, np.cross(normals, along), normals], axis=2)


def drawn_planes(
    plane: SurfacePlane, pose: Pose, true_pose: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sampled plane normals and points (M, 3) in the axes of the true cameras."""
    true_position, true_rotation = true_pose
    to_camera = true_rotation.transpose(0, 2, 1)
    tilt = rng.normal(0, plane.normal_sigma_rad, true_position.shape)
    tilt -= (tilt @ plane.normal)[:, None] * plane.normal
    normals = turned(turns(tilt), np.tile(plane.normal, (len(tilt), 1)))
    if plane.normal_in_map:
        normals = turned(to_camera, normals @ pose.rotation.T)
    if plane.map_offset_sigma_m is None:
        return normals, plane.point_m * (1 + rng.normal(0, plane.range.sigma_m / plane.range.range_m, (len(tilt), 1)))
    offsets = rng.normal(0, plane.map_offset_sigma_m, (len(tilt), 1))
    in_map = pose.transform(plane.point_m) + offsets * (pose.rotation @ plane.normal)
    return normals, turned(to_camera, in_map - true_position)


def drawn_poses(case: Case, sets: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sampled camera positions (M, 3) and rotations (M, 3, 3)."""
    late_s = rng.normal(0, NOISE.time_s, (sets, 1))
    if case.covariance is None:
        shift_m, turn_rad = rng.normal(0, NOISE.position_m, (sets, 3)), rng.normal(0, NOISE.attitude_rad, (sets, 3))
    else:
        both = rng.multivariate_normal(np.zeros(6), case.covariance, sets)
        shift_m, turn_rad = both[:, :3], both[:, 3:]
    rotation = turns(turn_rad) @ turns(late_s * case.turn_rate_rad_s) @ case.pose.rotation
    return case.pose.position_m + late_s * case.velocity_m_s + shift_m, rotation


def drawn_rays(case: Case, sets: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Sampled rays (M, 3) of the crack's centre and its two ends."""
    centre = case.centre_px + rng.normal(0, NOISE.pixel_px, (sets, 2))
    direction = rng.normal(0, DIRECTION_SIGMA_RAD, sets)
    spun = turns(np.column_stack([np.zeros((sets, 2)), direction]))[:, :2, :2]
    half = np.einsum("mij,j->mi", spun, np.array(case.half_length_px))
    return [case.camera.rays(pixels) for pixels in (centre, centre - half, centre + half)]


def check_consistent(squares: np.ndarray, degrees_of_freedom: int) -> None:
    """The mean of normalised errors squared inside the 95 % bounds of its chi-squared distribution."""
    margin = 1.96 * np.sqrt(2 * degrees_of_freedom / len(squares))
    assert np.mean(squares) == pytest.approx(degrees_of_freedom, abs=margin)


def check_region(
    case: Case, plane: SurfacePlane, rng: np.random.Generator, planes: tuple[np.ndarray, np.ndarray] | None = None
) -> None:
    """Sample true states, with planes (M, 3), (M, 3) in camera axes if given, and evaluate the region's covariance."""
    centre, half = np.array(case.centre_px), np.array(case.half_length_px)
    motion = MovingPose(case.pose, np.array(case.velocity_m_s), np.array(case.turn_rate_rad_s), case.covariance)
    ends = np.stack([centre - half, centre + half])
    axes = ImageAxes(centre[None], ends[None], np.array([DIRECTION_SIGMA_RAD]))
    (region,) = locate(case.camera, PlaneStack.of([plane]), motion, axes, NOISE)
    assert region is not None

    sets = SETS if planes is None else len(planes[0])
    true_position, true_rotation = drawn_poses(case, sets, rng)
    normals, points = planes or drawn_planes(plane, case.pose, (true_position, true_rotation), rng)
    middle, start, end = (
        turned(true_rotation, meeting(rays, normals, points)) + true_position for rays in drawn_rays(case, sets, rng)
    )
    errors = errors_of(middle, axes_of(start, end, turned(true_rotation, normals)), region.pose)
    of_position = normalised(errors[:, :3], region.covariance[:3, :3])
    assert np.mean(of_position < CHI2_95) == pytest.approx(0.95, abs=0.01 if case.is_linear else 0.03)
    if case.is_linear:
        check_consistent(of_position, 3)
        check_consistent(normalised(errors[:, 3:], region.covariance[3:, 3:]), 3)
        check_consistent(normalised(errors, region.covariance), 6)


def errors_of(positions: np.ndarray, axes: np.ndarray, pose: Pose) -> np.ndarray:
    """Errors (M, 6) of position and rotation."""
    turn = axes @ pose.rotation.T
    sines = 0.5 * np.stack([turn[:, k, j] - turn[:, j, k] for j, k in ((1, 2), (2, 0), (0, 1))], axis=1)
    sine = np.linalg.norm(sines, axis=1, keepdims=True)
    angles = np.arctan2(sine, 0.5 * (np.trace(turn, axis1=1, axis2=2)[:, None] - 1))
    return np.column_stack([positions - pose.position_m, sines / sine * angles])


def normalised(errors: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.einsum("mi,ij,mj->m", errors, np.linalg.inv(covariance), errors)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_locate_error_sets_match_covariance(case: Case) -> None:
    plane = case.plane(case.pose, case.camera.rays(np.array(case.centre_px))[0])
    assert plane is not None
    check_region(case, plane, np.random.default_rng(11))


DEPTH_SIGMA = 0.01
PATCH_PX = np.array([[-250.0, -60.0], [250.0, -60.0], [250.0, 60.0], [-250.0, 60.0]])
"""Longer than high, so that depth determines one tilt better than the other."""


@pytest.mark.parametrize(
    ("centre_px", "turn_rad"),
    [((960.0, 540.0), (0.05, 0.1, 0)), ((1500.0, 250.0), (0.4, -0.5, 0)), ((300.0, 800.0), (-0.2, 0.7, 0))],
    ids=["facing", "oblique in a corner", "steep in a corner"],
)
def test_plane_from_depth_error_sets_match_covariance(
    centre_px: tuple[float, float], turn_rad: tuple[float, float, float]
) -> None:
    camera = CameraModel.of(1920, 1080, [1500.0, 0, 959.5, 0, 1500.0, 539.5, 0, 0, 1], [], "")
    case = Case(assumed("facing"), camera_pose(5, 50), camera, centre_px, (90.0, 30.0))
    rng = np.random.default_rng(5)
    normal = turns(np.array([turn_rad]))[0] @ [0.0, 0.0, -1.0]
    columns, rows = np.meshgrid(*(np.arange(low, high, 20.0) for low, high in zip(*PATCH_PX[[0, 2]], strict=True)))
    pixels = np.column_stack([columns.ravel(), rows.ravel()]) + centre_px
    rays = np.column_stack([camera.normalised(pixels), np.ones(len(pixels))])
    depths_m = 3.0 * normal[2] / (rays @ normal)
    depths_m *= 3.0 / np.median(depths_m)

    def fitted(errors: np.ndarray) -> SurfacePlane:
        plane = plane_from_depth(camera, pixels, depths_m * (1 + errors), DEPTH_SIGMA)
        assert plane is not None
        return plane

    fits = [fitted(rng.normal(0, DEPTH_SIGMA) + rng.normal(0, DEPTH_SIGMA, len(pixels))) for _ in range(2000)]
    planes = np.stack([plane.normal for plane in fits]), np.stack([plane.point_m for plane in fits])
    check_region(case, fitted(np.zeros(len(pixels))), rng, planes)
