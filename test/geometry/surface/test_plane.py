# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The plane under a region: assumed from one distance, or fitted to a depth image with holes and outliers."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import (
    SURFACE_FACING,
    SURFACE_HORIZONTAL,
    SURFACE_VERTICAL,
    SurfacePlane,
    assumed_plane,
    plane_from_depth,
)
from crack_perception.geometry.surface.range import RangeReading, depth_in_metres, depth_points

READING = RangeReading(3.0, 0.06, "range")
CAMERA = CameraModel.of(640, 480, [500.0, 0, 320.0, 0, 500.0, 240.0, 0, 0, 1], [-0.1, 0.02, 0, 0, 0], "plumb_bob")
SIZE_PX = (640, 480)
PATCH_PX = np.array([[220.0, 150.0], [420.0, 150.0], [420.0, 330.0], [220.0, 330.0]])


def camera_pose(roll_rad: float = 0.0, pitch_rad: float = 0.0, yaw_rad: float = 0.0) -> Pose:
    """A camera facing along its vehicle's heading; positive pitch is down."""
    body = rotations.from_euler(roll_rad, pitch_rad, yaw_rad)
    return Pose.of((1, 2, 3), rotations.multiply(body, rotations.FORWARD_LOOKING_OPTICAL))


def assumed(assumption: str, pose: Pose | None) -> SurfacePlane:
    return assumed_plane(READING, assumption, pose, normal_sigma_rad=0.1)


@functools.cache
def rays_of_patch() -> np.ndarray:
    """(rows, columns, 3) directions at depth 1 of the pixels of the patch."""
    (left, top), (right, bottom) = PATCH_PX.min(axis=0), PATCH_PX.max(axis=0)
    x, y = np.meshgrid(np.arange(left, right + 1), np.arange(top, bottom + 1))
    plane = CAMERA.normalised(np.column_stack([x.ravel(), y.ravel()]))
    return np.column_stack([plane, np.ones(len(plane))]).reshape(*x.shape, 3)


def depth_of_plane(normal: np.ndarray, range_m: float) -> np.ndarray:
    """Exact depth image (480, 640) of a plane, by intersecting the rays of the patch's pixels; zero elsewhere."""
    rays = rays_of_patch()
    (left, top) = PATCH_PX.min(axis=0).astype(int)
    depth_m = np.zeros((480, 640))
    depth_m[top : top + rays.shape[0], left : left + rays.shape[1]] = range_m * normal[2] / (rays @ normal)
    return depth_m


def tilted_normal(degrees_x: float, degrees_y: float) -> np.ndarray:
    turn = rotations.from_euler(np.deg2rad(degrees_x), np.deg2rad(degrees_y), 0)
    return rotations.to_matrix(turn) @ np.array([0.0, 0.0, -1.0])


def fitted(depth_m: np.ndarray, relative_sigma: float = 0.01) -> SurfacePlane | None:
    pixels, depths = depth_points(depth_m.astype(np.float32), PATCH_PX, SIZE_PX)
    return plane_from_depth(CAMERA, pixels, depths, relative_sigma)


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(min(1.0, a @ b))))


@pytest.mark.parametrize("pose", [None, camera_pose(pitch_rad=0.4)])
def test_assumed_plane_facing_is_perpendicular_to_axis(pose: Pose | None) -> None:
    plane = assumed(SURFACE_FACING, pose)
    assert plane.normal == pytest.approx([0, 0, -1])
    assert plane.range == READING
    assert plane.normal_sigma_rad == 0.1
    assert not plane.normal_in_map


@pytest.mark.parametrize("yaw_rad", [0.0, 2.1])
@pytest.mark.parametrize("pitch_rad", [-0.6, 0.0, 0.5])
def test_assumed_plane_vertical_faces_heading(yaw_rad: float, pitch_rad: float) -> None:
    pose = camera_pose(0.2, pitch_rad, yaw_rad)
    plane = assumed(SURFACE_VERTICAL, pose)
    towards_camera = -np.array([np.cos(yaw_rad), np.sin(yaw_rad), 0])
    assert pose.rotation @ plane.normal == pytest.approx(towards_camera, abs=1e-9)
    assert plane.normal_in_map


def test_assumed_plane_vertical_with_pitch_of_30_degrees() -> None:
    # The wall's normal is level, so in the image of a camera that looks down (y down, z ahead) it leans down.
    plane = assumed(SURFACE_VERTICAL, camera_pose(pitch_rad=np.deg2rad(30)))
    assert plane.normal == pytest.approx([0, 0.5, -np.sqrt(0.75)], abs=1e-9)


@pytest.mark.parametrize(("pitch_rad", "up"), [(np.pi / 2, 1), (1.0, 1), (-1.0, -1), (-np.pi / 2, -1)])
def test_assumed_plane_horizontal_is_deck_or_soffit(pitch_rad: float, up: int) -> None:
    pose = camera_pose(pitch_rad=pitch_rad, yaw_rad=0.7)
    plane = assumed(SURFACE_HORIZONTAL, pose)
    assert pose.rotation @ plane.normal == pytest.approx([0, 0, up], abs=1e-9)
    assert plane.normal[2] < 0


@pytest.mark.parametrize(
    ("assumption", "pitch_rad"),
    [(SURFACE_VERTICAL, np.pi / 2), (SURFACE_VERTICAL, np.deg2rad(-81)), (SURFACE_HORIZONTAL, np.deg2rad(5))],
)
def test_assumed_plane_impossible_assumption_falls_back_to_facing(assumption: str, pitch_rad: float) -> None:
    plane = assumed(assumption, camera_pose(pitch_rad=pitch_rad))
    assert plane.normal == pytest.approx([0, 0, -1])
    assert not plane.normal_in_map


@pytest.mark.parametrize("assumption", [SURFACE_VERTICAL, SURFACE_HORIZONTAL])
def test_assumed_plane_without_pose_is_facing(assumption: str) -> None:
    assert assumed(assumption, None).normal == pytest.approx([0, 0, -1])


def test_assumed_plane_unknown_assumption_lists_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'slanted'.*vertical, horizontal, facing"):
        assumed("slanted", camera_pose())


@pytest.mark.parametrize(("degrees_x", "degrees_y"), [(0, 0), (30, 0), (-20, 40), (0, -65)])
def test_plane_from_depth_exact_depth_gives_exact_plane(degrees_x: float, degrees_y: float) -> None:
    normal = tilted_normal(degrees_x, degrees_y)
    plane = fitted(depth_of_plane(normal, 2.5))
    assert plane is not None
    # Depths more than 20 % from the median are excluded in a steep patch, which must not tilt the plane.
    assert degrees_between(plane.normal, normal) < 0.01
    assert plane.point_m @ plane.normal == pytest.approx(2.5 * normal[2], rel=1e-4)
    assert plane.range.range_m == pytest.approx(plane.point_m[2])
    assert plane.range.sigma_m == pytest.approx(0.01 * plane.range.range_m)
    assert plane.range.source == "depth"
    assert not plane.normal_in_map


def test_plane_from_depth_millimetres_and_metres_agree() -> None:
    exact_m = depth_of_plane(tilted_normal(15, -10), 2.0)
    stored = {"16UC1": np.round(exact_m * 1000).astype(np.uint16), "32FC1": exact_m.astype(np.float32)}
    planes = [fitted(depth_in_metres(depth, encoding)) for encoding, depth in stored.items()]
    assert planes[0] is not None
    assert planes[1] is not None
    assert planes[0].range.range_m == pytest.approx(planes[1].range.range_m, abs=0.001)
    assert degrees_between(planes[0].normal, planes[1].normal) < 0.1


def test_plane_from_depth_is_robust_to_holes_and_outliers() -> None:
    rng = np.random.default_rng(11)
    normal = tilted_normal(10, 20)
    depth_m = depth_of_plane(normal, 3.0)
    depth_m += rng.normal(0, 0.003, depth_m.shape)
    depth_m[rng.random(depth_m.shape) < 0.3] = np.nan
    depth_m[rng.random(depth_m.shape) < 0.1] *= 1.15
    depth_m[200:240, 250:300] = 1.0
    plane = fitted(depth_m)
    assert plane is not None
    assert degrees_between(plane.normal, normal) < 1.0
    assert plane.range.range_m == pytest.approx(3.0, abs=0.02)


def test_plane_from_depth_background_is_excluded() -> None:
    normal = tilted_normal(0, 15)
    depth_m = depth_of_plane(normal, 3.0)
    depth_m[:, 360:] = 9.0
    plane = fitted(depth_m)
    assert plane is not None
    assert degrees_between(plane.normal, normal) < 0.1


def test_plane_from_depth_noise_stays_within_sigma() -> None:
    rng = np.random.default_rng(2)
    normal = tilted_normal(5, -15)
    exact_m = depth_of_plane(normal, 2.0)
    tilts_sigma = []
    for _ in range(60):
        plane = fitted(exact_m * (1 + rng.normal(0, 0.05, exact_m.shape)), relative_sigma=0.05)
        assert plane is not None
        directions, sigmas_rad = plane.tilts()
        assert plane.normal_sigma_rad == pytest.approx(sigmas_rad.max())
        tilts_sigma.append(directions @ normal / sigmas_rad)
    assert np.std(tilts_sigma) == pytest.approx(1.0, abs=0.15)


def test_plane_from_depth_too_few_points_returns_none() -> None:
    few = np.full((480, 640), np.nan)
    few[200, 300:329] = 2.0
    assert fitted(few) is None
    assert fitted(np.full((480, 640), np.nan)) is None


def test_plane_from_depth_scattered_depths_return_none() -> None:
    rng = np.random.default_rng(4)
    depth_m = np.full((480, 640), np.nan)
    rows, columns = rng.integers(150, 330, 60), rng.integers(220, 420, 60)
    depth_m[rows, columns] = np.geomspace(0.5, 60.0, 60)
    assert fitted(depth_m) is None


def test_plane_from_depth_edge_on_surface_returns_none() -> None:
    # 60 points down a wall that runs along the optical axis.
    y = np.linspace(100, 380, 60)
    pixels = np.column_stack([np.full(60, 321.0), y])
    depths = np.linspace(1.9, 2.1, 60)[np.random.default_rng(0).permutation(60)]
    assert plane_from_depth(CAMERA, pixels, depths, 0.01) is None


def test_plane_from_depth_pixels_without_ray_are_skipped() -> None:
    fisheye = CameraModel.of(640, 480, [150.0, 0, 320.0, 0, 150.0, 240.0, 0, 0, 1], [0.0] * 4, "equidistant")
    x, y = np.meshgrid(np.arange(0.0, 640, 8), np.arange(160.0, 320, 8))
    pixels = np.column_stack([x.ravel(), y.ravel()])
    assert np.isnan(fisheye.rays(pixels)).any()
    plane = plane_from_depth(fisheye, pixels, np.full(len(pixels), 2.0), 0.01)
    assert plane is not None
    assert plane.normal == pytest.approx([0, 0, -1], abs=1e-6)
    assert plane.range.range_m == pytest.approx(2.0)


def test_plane_anchor_is_the_pivot_of_tilts() -> None:
    beside = np.array([0.9, -0.2, 2.4])
    normal = tilted_normal(20, -30)
    plane = SurfacePlane(RangeReading(2.4, 0.1, "depth"), normal, 0.02, normal_in_map=False, anchor_m=beside)
    assert plane.meet(beside) == pytest.approx(beside[None])
    assert plane.point_m == pytest.approx(beside)
    directions, sigmas_rad = plane.tilts()
    assert np.stack([normal, *directions]) @ np.stack([normal, *directions]).T == pytest.approx(np.eye(3))
    assert sigmas_rad == pytest.approx([0.02, 0.02])


@pytest.mark.parametrize("ray", [(0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (np.nan, 0.0, 1.0)])
def test_meet_missing_rays_are_nan(ray: tuple[float, float, float]) -> None:
    assert np.isnan(assumed(SURFACE_FACING, None).meet(ray)).all()


def test_plane_from_depth_steep_surface_uses_all_samples() -> None:
    # At 65 degrees the depth doubles across the patch: the fit must use all of it, not only samples near the median.
    normal = tilted_normal(0, -65)
    depth_m = depth_of_plane(normal, 2.5)
    depth_m *= 1 + np.random.default_rng(6).normal(0, 0.02, depth_m.shape)
    plane = fitted(depth_m, relative_sigma=0.02)
    assert plane is not None
    directions, sigmas_rad = plane.tilts()
    assert np.abs(directions @ normal / sigmas_rad).max() < 3
