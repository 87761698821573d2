"""How the drone moves: along its route, swaying, with the attitude of something that flies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.rotations import FORWARD_LOOKING_OPTICAL
from crack_perception.simulation.flight.route import Courses, Route
from crack_perception.simulation.wall.noise_fields import SmoothSignal

FloatArray = NDArray[np.float64]

# Sway along the wall, up and towards it as a share of the standoff: pilots hold what they see steady in the image.
_SWAY_SHARE = np.array([0.015, 0.02, 0.02])
_SWAY_HZ = (0.05, 0.4)
_ATTITUDE_HZ = (0.15, 1.5)
# Roll, pitch, yaw out of independent motions: yaw follows roll a little (coordinated turns), pitch is the calmest.
_ATTITUDE_MIX = np.array([[1.0, 0.0, 0.0], [0.2, 0.7, 0.0], [0.4, 0.1, 0.8]])


class Trajectory:
    """Exact poses at any time.

    Sway and attitude depend on ``rng`` alone: they are the same along every route.

    Args:
        rng: Source of randomness of sway and attitude.
        route: Where the camera is meant to be.
        standoff_m: The distance from the wall that the sway is a share of.
        attitude_rad: Standard deviation of roll and (about) of pitch and yaw.
        lever_m: (3,) from the drone's centre to the gimbal, where the camera sits, in the drone's frame.
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
        """``T_map_base`` at times (N,) in seconds."""
        courses = self._route.courses(times_s)
        cameras_m = courses.cameras_m + self._swayed_m(courses, times_s)
        attitudes_rad = self._attitude.at(times_s) @ _ATTITUDE_MIX.T
        poses = []
        for camera_m, heading_rad, (roll_rad, pitch_rad, yaw_rad) in zip(
            cameras_m, courses.headings_rad, attitudes_rad, strict=True
        ):
            quaternion = rotations.from_euler(roll_rad, pitch_rad, heading_rad + yaw_rad)
            poses.append(Pose.of(camera_m - rotations.to_matrix(quaternion) @ self._lever_m, quaternion))
        return poses

    def gimbal_poses(self, times_s: FloatArray) -> list[Pose]:
        """``T_base_gimbal`` at times (N,): turned up by the elevation of the view, and against roll and pitch where the
        gimbal is stabilised."""
        elevations_rad = self._route.courses(times_s).elevations_rad
        attitudes_rad = self._stabilised_share * self._attitude.at(times_s) @ _ATTITUDE_MIX.T
        return [
            Pose.of(self._lever_m, rotations.from_euler(-roll_rad, -pitch_rad - elevation_rad, 0.0))
            for elevation_rad, (roll_rad, pitch_rad, _) in zip(elevations_rad, attitudes_rad, strict=True)
        ]

    def camera_poses(self, times_s: FloatArray) -> list[Pose]:
        """``T_map_camera`` at times (N,) in seconds."""
        optical = Pose.of(np.zeros(3), FORWARD_LOOKING_OPTICAL)
        pairs = zip(self.base_poses(times_s), self.gimbal_poses(times_s), strict=True)
        return [base.compose(gimbal).compose(optical) for base, gimbal in pairs]

    def _swayed_m(self, courses: Courses, times_s: FloatArray) -> FloatArray:
        """The sway (N, 3) in the map: along the rows and the columns of the image, and away from the wall."""
        cos_h, sin_h = np.cos(courses.headings_rad), np.sin(courses.headings_rad)
        cos_e, sin_e = np.cos(courses.elevations_rad), np.sin(courses.elevations_rad)
        right = np.stack([sin_h, -cos_h, np.zeros(len(times_s))], axis=1)
        back = -np.stack([cos_h * cos_e, sin_h * cos_e, sin_e], axis=1)
        down = np.cross(right, back)
        sway_m = self._sway.at(times_s)
        return np.asarray(sway_m[:, :1] * right + sway_m[:, 1:2] * down + sway_m[:, 2:] * back)
