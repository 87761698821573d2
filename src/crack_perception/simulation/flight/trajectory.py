# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Exact poses of drone, gimbal and camera: nominal route plus sway and attitude motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.simulation.flight.route import NominalMotion, Route
from crack_perception.simulation.wall.noise_fields import SmoothSignal

FloatArray = NDArray[np.float64]

# Sway along the wall, up and towards it, as a share of the standoff: pilots keep the image steady.
_SWAY_SHARE = np.array([0.015, 0.02, 0.02])
_SWAY_HZ = (0.05, 0.4)
_ATTITUDE_HZ = (0.15, 1.5)
# Roll, pitch, yaw from independent signals: yaw partly follows roll (coordinated turns), pitch varies least.
_ATTITUDE_MIX = np.array([[1.0, 0.0, 0.0], [0.2, 0.7, 0.0], [0.4, 0.1, 0.8]])


class Trajectory:
    """Exact poses at any time.

    Sway and attitude depend only on ``rng``: they are the same for every route.

    Args:
        rng: Random generator of sway and attitude.
        route: Nominal motion of the camera.
        standoff_m: Distance from the wall that scales the sway.
        attitude_rad: Standard deviation of roll and (about) of pitch and yaw.
        lever_m: (3,) from the drone's centre to the gimbal with the camera, in the drone's frame.
        stabilised_share: Share of the drone's roll and pitch that the gimbal compensates.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        route: Route,
        standoff_m: float,
        attitude_rad: float,
        lever_m: FloatArray,
        stabilised_share: float = 0.0,
    ) -> None:
        self._stabilised_share = stabilised_share
        self._route = route
        self._lever_m = lever_m
        self._sway = SmoothSignal(rng, _SWAY_SHARE * standoff_m, *_SWAY_HZ)
        self._attitude = SmoothSignal(rng, np.full(3, attitude_rad), *_ATTITUDE_HZ)

    def base_poses(self, times_s: FloatArray) -> list[Pose]:
        """Return ``T_map_base`` at times (N,) [s]."""
        motion = self._route.motion_at(times_s)
        cameras_m = motion.cameras_m + self._swayed_m(motion, times_s)
        attitudes_rad = self._attitude.at(times_s) @ _ATTITUDE_MIX.T
        poses = []
        for camera_m, heading_rad, (roll_rad, pitch_rad, yaw_rad) in zip(
            cameras_m, motion.headings_rad, attitudes_rad, strict=True
        ):
            quaternion = rotations.from_euler(roll_rad, pitch_rad, heading_rad + yaw_rad)
            poses.append(Pose.of(camera_m - rotations.to_matrix(quaternion) @ self._lever_m, quaternion))
        return poses

    def gimbal_poses(self, times_s: FloatArray) -> list[Pose]:
        """Return ``T_base_gimbal`` at times (N,): the elevation of the view, minus the stabilised roll and pitch."""
        elevations_rad = self._route.motion_at(times_s).elevations_rad
        attitudes_rad = self._stabilised_share * self._attitude.at(times_s) @ _ATTITUDE_MIX.T
        return [
            Pose.of(self._lever_m, rotations.from_euler(-roll_rad, -pitch_rad - elevation_rad, 0.0))
            for elevation_rad, (roll_rad, pitch_rad, _) in zip(elevations_rad, attitudes_rad, strict=True)
        ]

    def camera_poses(self, times_s: FloatArray) -> list[Pose]:
        """Return ``T_map_camera`` at times (N,) [s]."""
        optical = Pose.of(np.zeros(3), FORWARD_LOOKING_OPTICAL)
        pairs = zip(self.base_poses(times_s), self.gimbal_poses(times_s), strict=True)
        return [base.compose(gimbal).compose(optical) for base, gimbal in pairs]

    def _swayed_m(self, motion: NominalMotion, times_s: FloatArray) -> FloatArray:
        """Return the sway (N, 3) in the map: along the rows and the columns of the image, and away from the wall."""
        cos_h, sin_h = np.cos(motion.headings_rad), np.sin(motion.headings_rad)
        cos_e, sin_e = np.cos(motion.elevations_rad), np.sin(motion.elevations_rad)
        right = np.stack([sin_h, -cos_h, np.zeros(len(times_s))], axis=1)
        back = -np.stack([cos_h * cos_e, sin_h * cos_e, sin_e], axis=1)
        down = np.cross(right, back)
        sway_m = self._sway.at(times_s)
        return np.asarray(sway_m[:, :1] * right + sway_m[:, 1:2] * down + sway_m[:, 2:] * back)
