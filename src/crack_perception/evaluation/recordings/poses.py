# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses in recorded messages of every type that the node accepts."""

from __future__ import annotations

from typing import Any

from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.px4 import swap_conventions, vehicle_odometry


def recorded_pose(message: Any) -> tuple[int, Pose]:
    """Return the stamp [ns] and the pose of a PoseStamped, PoseWithCovarianceStamped, Odometry or VehicleOdometry.

    The pose of a VehicleOdometry is converted to the axes of ROS; the others keep theirs.

    Raises:
        ValueError: Its numbers are no pose.
    """
    if hasattr(message, "timestamp_sample"):
        stamp_ns, pose, _ = vehicle_odometry(message)
        return stamp_ns, swap_conventions(pose)
    located = getattr(message.pose, "pose", message.pose)
    place, turn = located.position, located.orientation
    stamp = message.header.stamp
    pose = Pose.received((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec), pose
