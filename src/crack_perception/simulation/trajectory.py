"""How the drone moves: back and forth along the wall, swaying, with the attitude of something that flies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crack_perception.geometry import rotations
from crack_perception.geometry.pose import Pose
from crack_perception.simulation.noise_fields import SmoothSignal
from crack_perception.simulation.truth import TruthSurface

FloatArray = NDArray[np.float64]

# Sway along the wall, up and towards it as a share of the standoff: pilots hold what they see steady in the image.
_SWAY_SHARE = np.array([0.015, 0.02, 0.02])
_SWAY_HZ = (0.05, 0.4)
_ATTITUDE_HZ = (0.15, 1.5)
# Roll, pitch, yaw out of independent motions: yaw follows roll a little (coordinated turns), pitch is the calmest.
_ATTITUDE_MIX = np.array([[1.0, 0.0, 0.0], [0.2, 0.7, 0.0], [0.4, 0.1, 0.8]])


class Path(Protocol):
    """Where the camera would look, without sway, as surface coordinates."""

    def at(self, times_s: FloatArray) -> FloatArray:
        """Surface points (N, 2) in metres at times (N,)."""


@dataclass(frozen=True)
class HoverPath:
    """A path that stays at one surface point."""

    u_m: float
    v_m: float

    def at(self, times_s: FloatArray) -> FloatArray:
        """The point, (N, 2)."""
        return np.tile([self.u_m, self.v_m], (len(times_s), 1))


@dataclass(frozen=True)
class SerpentinePath:
    """Level rows joined by half circles, flown at constant speed; at its end it is flown back.

    ``left_m, top_m`` is the start of the first row, ``row_m`` the length of the rows, ``spacing_m`` their distance.
    """

    left_m: float
    top_m: float
    row_m: float
    spacing_m: float
    rows: int
    speed_m_s: float

    @property
    def length_m(self) -> float:
        """Length of the path, flown once."""
        return self.rows * self.row_m + (self.rows - 1) * np.pi * self.spacing_m / 2

    def at(self, times_s: FloatArray) -> FloatArray:
        """Surface points (N, 2) in metres at times (N,); times below 0 are before the start, on the same line."""
        radius_m = self.spacing_m / 2
        turn_m = np.pi * radius_m
        length_m = self.length_m
        flown_m = np.abs(times_s) * self.speed_m_s % (2 * length_m) if length_m > 0 else np.zeros(len(times_s))
        flown_m = np.minimum(flown_m, 2 * length_m - flown_m)
        row = np.minimum(flown_m // (self.row_m + turn_m), self.rows - 1) if length_m > 0 else flown_m
        in_row_m = flown_m - row * (self.row_m + turn_m)
        straight_m = np.minimum(in_row_m, self.row_m)
        angle_rad = np.maximum(in_row_m - self.row_m, 0) / radius_m if radius_m > 0 else np.zeros(len(flown_m))
        forward_m = straight_m + radius_m * np.sin(angle_rad)
        u_m = self.left_m + np.where(row % 2 == 0, forward_m, self.row_m - forward_m)
        v_m = self.top_m + row * self.spacing_m + radius_m * (1 - np.cos(angle_rad))
        return np.column_stack([u_m, v_m])


class Trajectory:
    """Exact poses at any time.

    Args:
        rng: Source of randomness of sway and attitude.
        path: Where the camera looks, without sway.
        surface: The wall.
        standoff_m: Mean distance of the camera from the wall.
        attitude_rad: Standard deviation of roll and (about) of pitch and yaw.
        base_from_camera: The camera's mount.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        path: Path,
        surface: TruthSurface,
        standoff_m: float,
        attitude_rad: float,
        base_from_camera: Pose,
    ) -> None:
        self._path = path
        self._surface = surface
        self._standoff_m = standoff_m
        self._base_from_camera = base_from_camera
        self._sway = SmoothSignal(rng, _SWAY_SHARE * standoff_m, *_SWAY_HZ)
        self._attitude = SmoothSignal(rng, np.full(3, attitude_rad), *_ATTITUDE_HZ)
        into = -surface.normal
        self._heading_rad = float(np.arctan2(into[1], into[0]))

    def base_poses(self, times_s: FloatArray) -> list[Pose]:
        """``T_map_base`` at times (N,) in seconds."""
        uv_m = self._path.at(times_s)
        sway_m = self._sway.at(times_s)
        distance_m = self._standoff_m + sway_m[:, 2:]
        cameras_m = self._surface.to_map(uv_m + sway_m[:, :2]) + distance_m * self._surface.normal
        attitudes_rad = self._attitude.at(times_s) @ _ATTITUDE_MIX.T
        poses = []
        for camera_m, (roll_rad, pitch_rad, yaw_rad) in zip(cameras_m, attitudes_rad, strict=True):
            quaternion = rotations.from_euler(roll_rad, pitch_rad, self._heading_rad + yaw_rad)
            lever_m = rotations.to_matrix(quaternion) @ self._base_from_camera.position_m
            poses.append(Pose.of(camera_m - lever_m, quaternion))
        return poses

    def camera_poses(self, times_s: FloatArray) -> list[Pose]:
        """``T_map_camera`` at times (N,) in seconds."""
        return [pose.compose(self._base_from_camera) for pose in self.base_poses(times_s)]
