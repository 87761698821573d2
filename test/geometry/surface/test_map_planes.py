# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Known map planes: which one a ray meets, and its range from the present pose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.map_planes import MapPlanes
from crack_perception.geometry.surface.plane import OPTICAL_AXIS, SurfacePlane
from crack_perception.geometry.surface.range import RangeReading

WALL_AHEAD = [-1.0, 0, 0, -10]
WALL_LEFT = [0.0, -1, 0, -4]
SOFFIT = [0.0, 0, -1, -6]
NOISE = NoiseModel(pixel_px=1, attitude_rad=0.01, position_m=0.03, time_s=0)
READING = RangeReading(3.0, 0.06, "range")


def planes(*equations: list[float], sigma_m: float = 0.04) -> MapPlanes:
    return MapPlanes.of([number for plane in equations for number in plane], sigma_m, 0.02)


def camera(x: float = 7.0, y: float = 0.0, z: float = 2.0, yaw_deg: float = 0.0, pitch_deg: float = 0.0) -> Pose:
    body = rotations.from_euler(0, np.deg2rad(pitch_deg), np.deg2rad(yaw_deg))
    return Pose.of((x, y, z), rotations.multiply(body, rotations.FORWARD_LOOKING_OPTICAL))


def under(known: MapPlanes, pose: Pose, ray: np.ndarray = OPTICAL_AXIS, reading: RangeReading | None = None):
    plane = known.under(pose, ray / np.linalg.norm(ray), reading, NOISE)
    assert isinstance(plane, SurfacePlane)
    return plane


def test_under_wall_at_three_metres_gives_range() -> None:
    plane = under(planes(WALL_AHEAD), camera())
    assert plane.point_m == pytest.approx([0, 0, 3])
    assert plane.normal == pytest.approx([0, 0, -1])
    assert (plane.range.range_m, plane.range.source) == (pytest.approx(3.0), "map_plane")
    assert plane.range.sigma_m == pytest.approx(np.hypot(0.04, 0.03))
    assert plane.map_offset_sigma_m == 0.04
    assert plane.normal_sigma_rad == 0.02
    assert plane.normal_in_map


def test_under_oblique_wall_sigma_includes_attitude() -> None:
    plane = under(planes(WALL_AHEAD), camera(yaw_deg=60))
    assert plane.range.range_m == pytest.approx(6.0)
    across_m = np.hypot(0.04, 0.03) / np.cos(np.deg2rad(60))
    along_m = 6.0 * np.tan(np.deg2rad(60)) * 0.01
    assert plane.range.sigma_m == pytest.approx(np.hypot(across_m, along_m))


@given(st.floats(-40, 40), st.floats(-25, 25), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_under_point_lies_on_plane_and_ray(yaw_deg: float, pitch_deg: float, right: float, down: float):
    pose, ray = camera(yaw_deg=yaw_deg, pitch_deg=pitch_deg), np.array([right, down, 1.0])
    plane = under(planes(WALL_AHEAD), pose, ray)
    assert pose.transform(plane.point_m)[0] == pytest.approx(10)
    assert np.cross(plane.point_m, ray) == pytest.approx(np.zeros(3), abs=1e-9)
    assert plane.range.range_m == pytest.approx(plane.point_m[2])
    assert pose.rotation @ plane.normal == pytest.approx([-1, 0, 0])


def test_under_each_ray_meets_nearest_face() -> None:
    room, pose = planes(WALL_AHEAD, WALL_LEFT, SOFFIT), camera(x=6, y=1, z=3)
    for face, ray in zip(room.planes, ([0, 0, 1], [-1, 0, 1], [0, -1, 1]), strict=True):
        met = room.first_met(pose, np.array(ray) / np.linalg.norm(ray))
        assert met is not None
        assert met[0] is face
    # 3 m to the left at 45 degrees.
    assert under(room, pose, np.array([-1.0, 0, 1])).point_m == pytest.approx([-3, 0, 3])


def test_under_wall_parallel_to_axis_is_met_beside_it() -> None:
    plane = under(planes(WALL_LEFT), camera(), np.array([-2.0, 0, 1]))
    assert plane.point_m == pytest.approx([-4, 0, 2])
    assert plane.normal == pytest.approx([1, 0, 0])


@pytest.mark.parametrize(
    "pose", [camera(yaw_deg=180), camera(x=12, yaw_deg=180), camera(x=12), camera(yaw_deg=90)], ids=str
)
def test_under_planes_behind_or_facing_away_are_ignored(pose: Pose) -> None:
    assert planes(WALL_AHEAD).under(pose, OPTICAL_AXIS, None, NOISE) is None


def test_under_nan_ray_returns_none() -> None:
    assert planes(WALL_AHEAD).under(camera(), np.full(3, np.nan), None, NOISE) is None


def test_under_measured_range_uses_direction_of_plane_ahead() -> None:
    plane = under(planes(WALL_AHEAD), camera(yaw_deg=30), reading=READING)
    assert plane.range == READING
    assert plane.point_m == pytest.approx([0, 0, 3])
    assert camera(yaw_deg=30).rotation @ plane.normal == pytest.approx([-1, 0, 0])
    assert plane.map_offset_sigma_m is None
    assert plane.normal_in_map


def test_under_measured_range_is_not_used_for_other_face() -> None:
    room, pose = planes(WALL_AHEAD, SOFFIT), camera(z=5)
    assert under(room, pose, np.array([0.0, -1, 1]), READING).range.source == "map_plane"
    assert under(room, pose, np.array([0.0, -0.2, 1]), READING).range == READING
    # The surface that the rangefinder hits here is unknown.
    assert planes(SOFFIT).under(pose, OPTICAL_AXIS, READING, NOISE) is None


def test_of_normals_of_any_length_are_normalised() -> None:
    (plane,) = planes([0.0, 0, 0, 0], [0.0, -2, 0, -8]).planes
    assert plane.normal == pytest.approx([0, -1, 0])
    assert plane.offset_m == pytest.approx(-4)
    assert planes([0.0, 0, 0, 0]).planes == ()
    assert MapPlanes.of([], 0.1, 0.1).planes == ()


@pytest.mark.parametrize(
    ("equations", "reason"),
    [([1.0, 0, 0], "four numbers"), ([0.0, 0, 0, 5], "no normal"), ([np.nan, 0, 0, 1], "no normal")],
)
def test_of_invalid_plane_is_refused(equations: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        MapPlanes.of(equations, 0.1, 0.1)
