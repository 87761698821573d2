# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Attitude of a gimbal as autopilots report it (MAVLink gimbal protocol v2), converted to the axes of ROS."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose

Array = npt.NDArray[np.float64]

# GIMBAL_DEVICE_FLAGS of MAVLink.
_YAW_LOCK = 16
_YAW_IN_VEHICLE_FRAME = 32
_YAW_IN_EARTH_FRAME = 64


def yaw_is_absolute(flags: int) -> bool:
    """Return whether the yaw of a gimbal's attitude counts from north; else it counts from the vehicle's heading.

    Devices that set neither of the two frame flags mean north exactly while their yaw is locked.
    """
    if flags & (_YAW_IN_VEHICLE_FRAME | _YAW_IN_EARTH_FRAME):
        return bool(flags & _YAW_IN_EARTH_FRAME)
    return bool(flags & _YAW_LOCK)


def heading_rad(map_from_body: Pose) -> float:
    """Return the heading, clockwise from north, of a body (forward-left-up axes) in an east-north-up map.

    Of a body that points straight up or down, the heading is that of its top or of its underside.
    """
    forward = map_from_body.rotation[:, 0]
    if math.hypot(forward[0], forward[1]) < 1e-6:
        forward = -np.sign(forward[2]) * map_from_body.rotation[:, 2]
    return math.atan2(forward[0], forward[1])


def gimbal_attitude(attitude_wxyz: npt.ArrayLike, flags: int, map_from_body: Pose) -> Array:
    """Return the attitude (x, y, z, w) in an east-north-up map of a gimbal's forward-left-up axes.

    Args:
        attitude_wxyz: (4,) quaternion w, x, y, z of the gimbal's forward-right-down axes. Roll and pitch count from the
            horizon, yaw from north or from the vehicle's heading.
        flags: GIMBAL_DEVICE_FLAGS of the message.
        map_from_body: Pose of the vehicle at the same time.

    Raises:
        ValueError: The quaternion is no rotation.
    """
    w, x, y, z = np.asarray(attitude_wxyz, dtype=np.float64).tolist()
    in_ned = rotations.normalise((x, y, z, w))
    if not yaw_is_absolute(flags):
        turn = rotations.from_euler(0.0, 0.0, heading_rad(map_from_body))
        in_ned = rotations.multiply(turn, in_ned)
    in_enu = rotations.multiply(rotations.ENU_FROM_NED, rotations.multiply(in_ned, rotations.FLU_FROM_FRD))
    return rotations.normalise(in_enu)


def camera_on_gimbal(
    map_from_body: Pose, attitude: npt.ArrayLike, gimbal_m: npt.ArrayLike, camera_m: npt.ArrayLike
) -> Pose:
    """Return the pose in the map of the optical frame of a camera on a gimbal, looking along the gimbal's forward axis.

    Args:
        map_from_body: Pose of the vehicle.
        attitude: (4,) quaternion x, y, z, w of the gimbal's forward-left-up axes in the map.
        gimbal_m: (3,) centre of the gimbal's axes in the vehicle's forward-left-up axes [m].
        camera_m: (3,) optical centre in the gimbal's forward-left-up axes [m].
    """
    gimbal = Pose.of(map_from_body.transform(gimbal_m), attitude)
    return gimbal.compose(Pose.of(camera_m, rotations.FORWARD_LOOKING_OPTICAL))
