# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses from PX4's odometry; only the attributes of the message are read, so that recorded ones need no ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.pose import Pose

Array = npt.NDArray[np.float64]

# px4_msgs/VehicleOdometry.POSE_FRAME_NED
_POSE_FRAME_NED = 1


def vehicle_odometry(message: Any) -> tuple[int, Pose, Array | None]:
    """Return stamp [ns], pose and covariance (6, 6) of a px4_msgs/VehicleOdometry, in PX4's axes (NED, FRD).

    The covariance is None where the message leaves it unknown (NaN). PX4 gives the variance of the attitude about the
    axes of the body.

    Raises:
        ValueError: Its pose is not in a north-east-down map.
    """
    if message.pose_frame != _POSE_FRAME_NED:
        raise ValueError(f"its pose_frame is {message.pose_frame}, not {_POSE_FRAME_NED} (NED): the heading is unknown")
    w, x, y, z = (float(number) for number in message.q)
    pose = Pose.of([float(number) for number in message.position], [x, y, z, w])
    position = np.asarray(message.position_variance, dtype=np.float64)
    attitude = np.asarray(message.orientation_variance, dtype=np.float64)
    covariance = None
    if np.all(np.isfinite(position)) and np.all(np.isfinite(attitude)):
        covariance = np.zeros((6, 6))
        covariance[:3, :3] = np.diag(position)
        covariance[3:, 3:] = (pose.rotation * attitude) @ pose.rotation.T
    return int(message.timestamp_sample or message.timestamp) * 1000, pose, covariance
