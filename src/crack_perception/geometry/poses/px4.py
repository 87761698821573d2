# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Poses of PX4, and their conversion between its axes and those of ROS.

PX4 has a front-right-down body (FRD) in a north-east-down map (NED), ROS a front-left-up body (FLU) in an
east-north-up map (ENU, REP 103). Both changes of axes are half turns, so each is its own inverse.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose

Array = npt.NDArray[np.float64]

# px4_msgs/VehicleOdometry.POSE_FRAME_NED
_POSE_FRAME_NED = 1
_ENU_FROM_NED = rotations.to_matrix(rotations.ENU_FROM_NED)


def swap_conventions(pose: Pose) -> Pose:
    """Convert the pose of an FRD body in NED to that of the FLU body in ENU, or back."""
    quaternion = rotations.multiply(rotations.ENU_FROM_NED, rotations.multiply(pose.quaternion, rotations.FLU_FROM_FRD))
    return Pose(_ENU_FROM_NED @ pose.position_m, rotations.normalise(quaternion))


def swap_covariance(covariance: Array) -> Array:
    """Convert a pose covariance (6, 6) from NED to ENU axes, or back."""
    both = np.kron(np.eye(2), _ENU_FROM_NED)
    return np.asarray(both @ covariance @ both.T)


def names_ned(frame: str) -> bool:
    """Return whether a frame's name indicates north-east-down axes (``map_ned``, ``uav1/odom_NED``)."""
    return "ned" in _words(frame)


def names_frd(frame: str) -> bool:
    """Return whether a frame's name indicates front-right-down axes (``base_link_frd``)."""
    return "frd" in _words(frame)


@functools.lru_cache(maxsize=1024)
def names_down(frame: str) -> bool:
    """Return whether a frame's name indicates axes whose z points down, north-east-down or front-right-down."""
    return names_ned(frame) or names_frd(frame)


def _words(frame: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", frame.lower())


def vehicle_odometry(message: Any) -> tuple[int, Pose, Array | None]:
    """Return stamp [ns], pose and covariance (6, 6) of a px4_msgs/VehicleOdometry, in PX4's axes (NED, FRD).

    Only the attributes of the message are read. The covariance is None where it is unknown (NaN). PX4 gives the
    variance of the attitude about the axes of the body.

    Raises:
        ValueError: Its pose is not in a north-east-down map, or its numbers are no pose.
    """
    if message.pose_frame != _POSE_FRAME_NED:
        raise ValueError(f"its pose_frame is {message.pose_frame}, not {_POSE_FRAME_NED} (NED): the heading is unknown")
    w, x, y, z = (float(number) for number in message.q)
    pose = Pose.received([float(number) for number in message.position], [x, y, z, w])
    position = np.asarray(message.position_variance, dtype=np.float64)
    attitude = np.asarray(message.orientation_variance, dtype=np.float64)
    covariance = None
    if np.all(np.isfinite(position)) and np.all(np.isfinite(attitude)):
        covariance = np.zeros((6, 6))
        covariance[:3, :3] = np.diag(position)
        covariance[3:, 3:] = (pose.rotation * attitude) @ pose.rotation.T
    return int(message.timestamp_sample or message.timestamp) * 1000, pose, covariance
