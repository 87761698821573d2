# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Motion of a surface in the image from rotation and translation of the camera."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.camera.view_motion import SurfaceView
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import OPTICAL_AXIS, SurfacePlane, assumed_plane
from crack_perception.geometry.surface.range import RangeReading

WIDTH_PX, HEIGHT_PX, FOCAL_PX, RANGE_M = 1920, 1080, 1500.0, 2.5
VIEW_WIDTH_M = RANGE_M * WIDTH_PX / FOCAL_PX
K = [FOCAL_PX, 0, (WIDTH_PX - 1) / 2, 0, FOCAL_PX, (HEIGHT_PX - 1) / 2, 0, 0, 1]
READING = RangeReading(RANGE_M, 0.05, "range")
HERE = Pose.of([4.0, -2.0, 7.0], rotations.from_euler(0.3, -1.0, 2.0))

few = settings(deadline=None, max_examples=30)
lengths = st.floats(-0.5, 0.5)
angles = st.floats(-0.3, 0.3)


def view(d: tuple[float, ...] = (0.0,) * 5, model: str = "plumb_bob", plane: SurfacePlane | None = None) -> SurfaceView:
    camera = CameraModel.of(WIDTH_PX, HEIGHT_PX, K, d, model)
    return SurfaceView(camera, plane or assumed_plane(READING, "facing", None, 0.1), HERE)


def moved(way_m: tuple[float, float, float] = (0, 0, 0), turn_rad: tuple[float, float, float] = (0, 0, 0)) -> Pose:
    """Camera pose after a translation and a rotation in its own axes."""
    return HERE.compose(Pose.of(way_m, rotations.from_rotation_vector(turn_rad)))


def test_shift_share_camera_at_rest_is_zero() -> None:
    for lens in (view(), view((-0.3, 0.1, 0.001, 0.0, 0.0)), view((0.05, -0.01, 0.0, 0.0), "equidistant")):
        assert lens.shift_share(HERE) == pytest.approx(0.0, abs=1e-6)


@few
@given(lengths, lengths)
def test_shift_share_parallel_motion_is_share_of_view(x: float, y: float) -> None:
    assert view().shift_share(moved((x, y, 0))) == pytest.approx(math.hypot(x, y) / VIEW_WIDTH_M, abs=1e-9)


@pytest.mark.parametrize("way_m", [0.1, -0.1])
def test_shift_share_approach_is_measured_in_corners(way_m: float) -> None:
    corner_px = math.hypot(WIDTH_PX - 1, HEIGHT_PX - 1) / 2
    expected = corner_px * abs(RANGE_M / (RANGE_M - way_m) - 1) / WIDTH_PX
    assert view().shift_share(moved((0, 0, way_m))) == pytest.approx(expected)


@few
@given(angles)
def test_shift_share_rotation_is_independent_of_range(turn_rad: float) -> None:
    # Left and right, the corners move more than the middle, which moves by the tangent.
    assert view().shift_share(moved(turn_rad=(0, turn_rad, 0))) >= FOCAL_PX * math.tan(abs(turn_rad)) / WIDTH_PX - 1e-9
    rolled_px = math.hypot(WIDTH_PX - 1, HEIGHT_PX - 1) * abs(math.sin(turn_rad / 2))
    assert view().shift_share(moved(turn_rad=(0, 0, turn_rad))) == pytest.approx(rolled_px / WIDTH_PX, abs=1e-9)


@few
@given(lengths, lengths, lengths, angles, angles, angles)
def test_shift_share_any_motion_matches_surface_points(
    x: float, y: float, z: float, about_x: float, about_y: float, about_z: float
) -> None:
    tilted = np.array([0.3, -0.2, -1.0])
    plane = SurfacePlane(READING, tilted / np.linalg.norm(tilted), 0.1, normal_in_map=False)
    seen = view((-0.1, 0.02, 0.0, 0.0, 0.0), plane=plane)
    there = moved((x, y, z), (about_x, about_y, about_z))
    pixels = np.array([[0.0, 0.0], [WIDTH_PX - 1, 0.0], [0.0, HEIGHT_PX - 1], [WIDTH_PX - 1, HEIGHT_PX - 1]])
    points_m = HERE.transform(plane.meet(seen.camera.rays(pixels)))
    shifts_px = np.linalg.norm(seen.camera.project(there.inverse().transform(points_m)) - pixels, axis=1)
    assert seen.shift_share(there) >= shifts_px.max() / WIDTH_PX - 1e-9


def test_shift_share_sky_moves_only_by_rotation() -> None:
    # A deck at so flat an angle that the upper corners show the sky.
    normal = -np.array([0.0, math.cos(0.2), math.sin(0.2)])
    deck = view(plane=SurfacePlane(READING, normal, 0.1, normal_in_map=False))
    upper = deck.plane.meet(deck.camera.rays([[0.0, 0.0], [WIDTH_PX - 1, 0.0]]))
    assert np.isnan(upper).all()
    assert deck.shift_share(moved((0.05, 0, 0))) < 0.05
    assert deck.shift_share(moved(turn_rad=(0, 0.1, 0))) > 0.05


def test_shift_share_surface_behind_camera_is_infinite() -> None:
    assert view().shift_share(moved(turn_rad=(0, math.pi, 0))) == math.inf
    assert view().shift_share(moved(tuple(1.1 * RANGE_M * OPTICAL_AXIS))) == math.inf


@pytest.mark.parametrize(
    ("d", "model"), [((-0.35, 0.0, 0.0, 0.0), "plumb_bob"), ((0.0,) * 4, "equidistant")], ids=["barrel", "fisheye"]
)
def test_shift_share_fisheye_circle_detects_roll_and_approach(d: tuple[float, ...], model: str) -> None:
    focal_px = FOCAL_PX if model == "plumb_bob" else 300.0
    camera = CameraModel.of(WIDTH_PX, HEIGHT_PX, [focal_px, *K[1:4], focal_px, *K[5:]], d, model)
    assert np.isnan(camera.normalised([[0.0, 0.0], [WIDTH_PX - 1, HEIGHT_PX - 1]])).all()
    seen = SurfaceView(camera, assumed_plane(READING, "facing", None, 0.1), HERE)
    assert seen.shift_share(HERE) == pytest.approx(0.0, abs=1e-6)
    assert seen.shift_share(moved(turn_rad=(0, 0, 0.3))) > 0.05
    assert seen.shift_share(moved((0, 0, 0.5 * RANGE_M))) > 0.05


def test_shift_share_impossible_calibration_or_pose_hides_no_motion() -> None:
    # Only the centre pixel has a ray, then not even that.
    folded = (1e6, -1e9, 0.0, 0.0, 0.0)
    assert view(folded).shift_share(moved((0.2, 0, 0))) > 0.05
    beside = CameraModel.of(WIDTH_PX, HEIGHT_PX, [*K[:2], -1e6, *K[3:]], folded, "plumb_bob")
    assert SurfaceView(beside, view().plane, HERE).shift_share(HERE) == math.inf
    assert view().shift_share(Pose(np.full(3, 1e308), HERE.quaternion)) == math.inf
