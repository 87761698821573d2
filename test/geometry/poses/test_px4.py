# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Conversion from PX4 to ROS axes: known attitudes and round trips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rotation_angle import angle_between

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import names_frd, names_ned, swap_conventions, swap_covariance

NORTH, EAST, UP = np.array([0.0, 1, 0]), np.array([1.0, 0, 0]), np.array([0.0, 0, 1])
FORWARD, LEFT, TOP = np.eye(3)


def from_px4(roll_deg: float, pitch_deg: float, yaw_deg: float) -> Pose:
    """The pose in ROS of PX4's roll (to the right), pitch (nose up) and yaw (clockwise from north)."""
    return swap_conventions(Pose.of((0, 0, 0), rotations.from_euler(*np.deg2rad([roll_deg, pitch_deg, yaw_deg]))))


def test_swap_conventions_ned_position_becomes_enu() -> None:
    assert swap_conventions(Pose.of((10, 2, -30), (0, 0, 0, 1))).position_m == pytest.approx([2, 10, 30])


def test_swap_conventions_heading_north_is_yaw_90_degrees() -> None:
    assert angle_between(from_px4(0, 0, 0).quaternion, rotations.from_euler(0, 0, np.pi / 2)) < 1e-7


@pytest.mark.parametrize(
    ("attitude_deg", "forward", "left", "top"),
    [
        ((0, 0, 0), NORTH, -EAST, UP),
        ((0, 0, 90), EAST, NORTH, UP),
        ((0, 0, 180), -NORTH, EAST, UP),
        ((0, 0, -90), -EAST, -NORTH, UP),
        # Nose up.
        ((0, 90, 0), UP, -EAST, -NORTH),
        # Right wing down.
        ((90, 0, 0), NORTH, UP, EAST),
        # Nose down, heading east.
        ((0, -90, 90), -UP, NORTH, EAST),
    ],
)
def test_swap_conventions_body_axes_have_expected_directions(
    attitude_deg: tuple[float, float, float], forward: np.ndarray, left: np.ndarray, top: np.ndarray
) -> None:
    rotation = from_px4(*attitude_deg).rotation
    assert rotation @ FORWARD == pytest.approx(forward, abs=1e-12)
    assert rotation @ LEFT == pytest.approx(left, abs=1e-12)
    assert rotation @ TOP == pytest.approx(top, abs=1e-12)


def test_swap_conventions_small_tilts_have_ros_signs() -> None:
    # PX4: positive pitch lifts the nose. ROS: positive pitch lowers it (rotation about the left axis).
    body_from_level = from_px4(0, 0, 0).inverse().compose(from_px4(5, 10, 0))
    expected = rotations.from_euler(np.deg2rad(5), np.deg2rad(-10), 0)
    assert angle_between(body_from_level.quaternion, expected) < 1e-7


poses = st.builds(
    lambda position, vector: Pose.of(position, rotations.from_rotation_vector(vector)),
    st.tuples(*[st.floats(-1e3, 1e3)] * 3),
    st.tuples(*[st.floats(-3, 3)] * 3),
)


@settings(deadline=None)
@given(poses)
def test_swap_conventions_twice_is_identity(pose: Pose) -> None:
    again = swap_conventions(swap_conventions(pose))
    assert again.position_m == pytest.approx(pose.position_m)
    assert angle_between(again.quaternion, pose.quaternion) < 1e-6


@settings(deadline=None)
@given(poses, poses)
def test_swap_conventions_keeps_distances_and_angles(a: Pose, b: Pose) -> None:
    ours = swap_conventions(a), swap_conventions(b)
    assert np.linalg.norm(ours[0].position_m - ours[1].position_m) == pytest.approx(
        np.linalg.norm(a.position_m - b.position_m)
    )
    assert angle_between(ours[0].quaternion, ours[1].quaternion) == pytest.approx(
        angle_between(a.quaternion, b.quaternion), abs=1e-6
    )


def test_swap_covariance_rotates_with_axes() -> None:
    px4 = np.diag([1.0, 4.0, 9.0, 0.1, 0.2, 0.3])
    px4[0, 2] = px4[2, 0] = 0.5  # north with down
    px4[0, 5] = px4[5, 0] = 0.05  # north with heading
    ros = swap_covariance(px4)
    assert np.diag(ros) == pytest.approx([4.0, 1.0, 9.0, 0.2, 0.1, 0.3])
    assert ros[1, 2] == pytest.approx(-0.5)
    assert ros[1, 5] == pytest.approx(-0.05)
    assert swap_covariance(ros) == pytest.approx(px4)


@pytest.mark.parametrize("frame", ["map_ned", "odom_NED", "ned", "/uav1/local_ned", "uav1/map-ned"])
def test_names_ned_word_is_recognised(frame: str) -> None:
    assert names_ned(frame) and not names_frd(frame)


@pytest.mark.parametrize("frame", ["", "map", "planned_path", "edned", "base_link", "tuned_map", "frdom"])
def test_names_ned_other_words_are_not_recognised(frame: str) -> None:
    assert not names_ned(frame) and not names_frd(frame)


def test_names_frd_word_is_recognised() -> None:
    assert names_frd("base_link_frd") and names_frd("uav1/base_link_FRD")
