# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""PX4's own odometry: conversion of its fields, and nodes that start where px4_msgs is missing."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from patience import PATIENCE_S

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.px4 import swap_conventions, swap_covariance, vehicle_odometry


def odometry(**changes: Any) -> SimpleNamespace:
    """The fields of px4_msgs/VehicleOdometry: 10 m north, 2 m east, 30 m up, heading east."""
    yaw = rotations.from_euler(0, 0, np.pi / 2)
    fields = {
        "timestamp": 1_700_000_000_000_900,
        "timestamp_sample": 1_700_000_000_000_500,
        "pose_frame": 1,
        "position": np.array([10.0, 2.0, -30.0], np.float32),
        "q": np.array([yaw[3], yaw[0], yaw[1], yaw[2]], np.float32),
        "position_variance": np.array([0.01, 0.04, 0.09], np.float32),
        "orientation_variance": np.array([1e-4, 1e-4, 4e-4], np.float32),
    }
    return SimpleNamespace(**(fields | changes))


def test_vehicle_odometry_becomes_a_pose_in_the_axes_of_ros() -> None:
    stamp_ns, pose, covariance = vehicle_odometry(odometry())
    assert stamp_ns == 1_700_000_000_000_500_000
    in_ros = swap_conventions(pose)
    assert in_ros.position_m == pytest.approx([2, 10, 30])
    assert in_ros.rotation @ [1, 0, 0] == pytest.approx([1, 0, 0], abs=1e-6)
    assert covariance is not None and np.diag(covariance) == pytest.approx([0.01, 0.04, 0.09, 1e-4, 1e-4, 4e-4])


def test_vehicle_odometry_without_a_sample_time_uses_its_timestamp() -> None:
    assert vehicle_odometry(odometry(timestamp_sample=0))[0] == 1_700_000_000_000_900_000


def test_vehicle_odometry_of_unknown_variance_has_no_covariance() -> None:
    assert vehicle_odometry(odometry(position_variance=np.full(3, np.nan)))[2] is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pose_frame": 0}, "pose_frame is 0"),
        ({"pose_frame": 2}, "heading is unknown"),
        ({"position": [np.nan, 0, 0]}, "three finite numbers"),
        ({"q": [np.nan, 0, 0, 0]}, "four finite numbers"),
        ({"q": [0, 0, 0, 0]}, "no rotation"),
    ],
)
def test_vehicle_odometry_without_a_usable_pose_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        vehicle_odometry(odometry(**changes))


def test_vehicle_odometry_variance_of_the_attitude_is_turned_from_the_body_into_the_map() -> None:
    # Heading east: the nose's axis is east, so a roll is a rotation about east.
    message = odometry(orientation_variance=np.array([1e-4, 4e-4, 9e-4], np.float32))
    covariance = vehicle_odometry(message)[2]
    assert covariance is not None
    assert np.diag(covariance)[3:] == pytest.approx([4e-4, 1e-4, 9e-4])
    assert swap_covariance(covariance)[3, 3] == pytest.approx(1e-4)


WITHOUT_PX4 = """
import sys
sys.modules["px4_msgs"] = sys.modules["px4_msgs.msg"] = None
from crack_perception.ros.executables import {name}
sys.argv = ["{name}", "--ros-args", "-p", "autostart:=true", *{arguments!r}]
sys.exit({name}())
"""


@pytest.mark.parametrize(
    ("name", "arguments"), [("px4_transforms", []), ("crack_node", ["-p", "odom_type:=VehicleOdometry"])]
)
def test_node_without_px4_msgs_starts_and_reports_the_remedy(name: str, arguments: list[str]) -> None:
    program = WITHOUT_PX4.format(name=name, arguments=arguments)
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "Cannot configure" in line)
        assert "px4_msgs cannot be imported" in line and "MAVROS" in line
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0, "the node was not alive"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
