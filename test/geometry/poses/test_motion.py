# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Motion between two poses: interpolation, and motion of what is attached."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rotation_angle import angle_between

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.motion import MovingPose, interpolate
from crack_perception.geometry.poses.pose import Pose


def test_interpolate_quaternion_sign_is_irrelevant() -> None:
    before = Pose.of((0, 0, 0), rotations.from_euler(0, 0, 0.1))
    after = Pose.of((0, 0, 0), -rotations.from_euler(0, 0, 0.3))
    moving = interpolate(before, after, 0.1, 0.5)
    assert moving.angular_velocity_rad_s == pytest.approx([0, 0, 2])
    assert angle_between(moving.pose.quaternion, rotations.from_euler(0, 0, 0.2)) == pytest.approx(0, abs=1e-7)


def test_interpolate_angular_velocity_is_in_map_axes() -> None:
    # A vehicle banked by 90 degrees that turns about the map's vertical.
    banked = rotations.from_euler(np.pi / 2, 0, 0)
    turned = rotations.multiply(rotations.from_euler(0, 0, 0.2), banked)
    moving = interpolate(Pose.of((0, 0, 0), banked), Pose.of((0, 0, 0), turned), 0.1, 0.3)
    assert moving.angular_velocity_rad_s == pytest.approx([0, 0, 2])


def test_interpolate_equal_poses_have_zero_velocity() -> None:
    still = Pose.of((2, 1, 3), rotations.from_euler(0, 0, 0.5))
    moving = interpolate(still, still, 0.1, 0.5)
    assert moving.velocity_m_s == pytest.approx(np.zeros(3))
    assert moving.angular_velocity_rad_s == pytest.approx(np.zeros(3))


def test_compose_lever_arm_adds_velocity() -> None:
    base_from_camera = Pose.of((0.3, -0.2, 0.1), rotations.FORWARD_LOOKING_OPTICAL)
    before = Pose.of((0, 0, 2), rotations.from_euler(0.1, 0.2, 0.3))
    velocity, turn_rate = np.array([0.5, -1.0, 0.2]), np.array([0.3, -0.2, 0.9])
    camera = MovingPose(before, velocity, turn_rate).compose(base_from_camera)
    step_s = 1e-5
    turn = cv2.Rodrigues(turn_rate * step_s)[0]
    after = Pose(before.position_m + velocity * step_s, rotations.from_matrix(turn @ before.rotation))
    moved_m = after.compose(base_from_camera).position_m - before.compose(base_from_camera).position_m
    assert camera.velocity_m_s == pytest.approx(moved_m / step_s, abs=1e-4)
    assert camera.angular_velocity_rad_s == pytest.approx(turn_rate)
    assert camera.pose.position_m == pytest.approx(before.transform(base_from_camera.position_m))
