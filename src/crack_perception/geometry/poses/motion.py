# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Motion of a frame between two stamped poses: interpolation, plausible limits, and why a pose is unavailable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.covariance import at_lever
from crack_perception.geometry.poses.pose import Pose

Array = npt.NDArray[np.float64]

# Scatter of estimates, however close in time, that does not count as a jump.
_SCATTER_M = 0.1
_SCATTER_RAD = np.deg2rad(3.0)


class PoseUnavailable(Exception):
    """No pose is available for a stamp; the text gives the reason."""


class WrongAxes(PoseUnavailable):
    """The poses contradict the ranges: they are in other axes than configured."""


@dataclass(frozen=True)
class MotionLimits:
    """Plausible motion between two neighbouring poses.

    Attributes:
        max_gap_s: Widest gap in time that is interpolated.
        max_turn_rate_rad_s, max_speed_m_s: Fastest motion between them; more is a gimbal flip or a jump of
            the estimate.
    """

    max_gap_s: float = 0.2
    max_turn_rate_rad_s: float = 2 * np.pi
    max_speed_m_s: float = 50.0

    def check(self, before: Pose, after: Pose, interval_s: float) -> None:
        """Check that the motion between two poses is plausible.

        Raises:
            PoseUnavailable: The motion is too fast.
        """
        turn_rad = 2 * np.arccos(min(1.0, abs(float(before.quaternion @ after.quaternion))))
        if turn_rad > self.max_turn_rate_rad_s * interval_s + _SCATTER_RAD:
            raise PoseUnavailable(
                f"the poses around the image turn by {np.rad2deg(turn_rad):.0f} deg in {interval_s * 1e3:.0f} ms "
                f"(a gimbal flip?), faster than {np.rad2deg(self.max_turn_rate_rad_s):.0f} deg/s"
            )
        distance_m = float(np.linalg.norm(after.position_m - before.position_m))
        if distance_m > self.max_speed_m_s * interval_s + _SCATTER_M:
            raise PoseUnavailable(
                f"the poses around the image are {distance_m:.2f} m apart in {interval_s * 1e3:.0f} ms "
                f"(a jump of the estimate?), faster than {self.max_speed_m_s:g} m/s"
            )


@dataclass(frozen=True)
class MovingPose:
    """Pose with its velocities in parent axes (m/s, rad/s; shape (3,)).

    ``covariance`` (6, 6) is reported by the estimator, of (x, y, z, rotation about x, y, z) in parent axes; None if it
    reports none.
    """

    pose: Pose
    velocity_m_s: Array
    angular_velocity_rad_s: Array
    covariance: Array | None = None

    def compose(self, child: Pose) -> MovingPose:
        """Return the motion of a frame that is rigidly attached to this one."""
        lever_arm_m = self.pose.rotation @ child.position_m
        velocity = self.velocity_m_s + np.cross(self.angular_velocity_rad_s, lever_arm_m)
        covariance = None if self.covariance is None else at_lever(self.covariance, lever_arm_m)
        return MovingPose(self.pose.compose(child), velocity, self.angular_velocity_rad_s, covariance)

    def compose_moving(self, child: MovingPose) -> MovingPose:
        """Return the motion of a frame that moves in this one (a gimbal on a drone); the covariance is unknown."""
        carried = self.compose(child.pose)
        rotation = self.pose.rotation
        return MovingPose(
            carried.pose,
            carried.velocity_m_s + rotation @ child.velocity_m_s,
            self.angular_velocity_rad_s + rotation @ child.angular_velocity_rad_s,
        )

    def inverse(self) -> MovingPose:
        """Return the motion of the parent frame in the child frame; the covariance is unknown."""
        back = self.pose.rotation.T
        return MovingPose(
            self.pose.inverse(),
            back @ (np.cross(self.angular_velocity_rad_s, self.pose.position_m) - self.velocity_m_s),
            -back @ self.angular_velocity_rad_s,
        )


def interpolate(before: Pose, after: Pose, interval_s: float, fraction: float) -> MovingPose:
    """Interpolate two poses ``interval_s`` apart: linear for the position, slerp for the attitude."""
    position = before.position_m + fraction * (after.position_m - before.position_m)
    turn = rotations.multiply(after.quaternion, rotations.conjugate(before.quaternion))
    turn = -turn if turn[3] < 0 else turn
    sine = float(np.linalg.norm(turn[:3]))
    angle = 2 * np.arctan2(sine, turn[3])
    rotation_vector = turn[:3] / sine * angle if sine > 1e-12 else np.zeros(3)
    return MovingPose(
        Pose(position, rotations.slerp(before.quaternion, after.quaternion, fraction)),
        (after.position_m - before.position_m) / interval_s,
        rotation_vector / interval_s,
    )
