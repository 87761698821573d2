"""The camera's poses over time: interpolated at an image's stamp, never extrapolated, stale or across a jump.

Only who cannot wait for the pose that follows an image, and has no need of the exact one, may ask for an expected one.
"""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.pose import Pose
from crack_perception.geometry.pose_covariance import at_lever, between
from crack_perception.geometry.stamped_history import StampedHistory

Array = npt.NDArray[np.float64]

# Estimates scatter, however close in time: so much is no jump.
_SCATTER_M = 0.1
_SCATTER_RAD = np.deg2rad(3.0)

# Clocks that differ by more than this do not run late, they count from different beginnings.
_SAME_CLOCK_NS = 60_000_000_000


class PoseUnavailable(Exception):
    """There is no pose for this stamp; the text says why."""


@dataclass(frozen=True)
class MotionLimits:
    """What is believed of two neighbouring poses.

    Attributes:
        max_gap_s: Widest gap in time that may be bridged by interpolation.
        max_turn_rate_rad_s, max_speed_m_s: Fastest motion from one to the other; more is a gimbal that flips, or an
            estimate that jumps.
    """

    max_gap_s: float = 0.2
    max_turn_rate_rad_s: float = 2 * np.pi
    max_speed_m_s: float = 50.0

    def check(self, before: Pose, after: Pose, interval_s: float) -> None:
        """Whether the motion between two poses can be real.

        Raises:
            PoseUnavailable: It is too fast.
        """
        turn_rad = 2 * np.arccos(min(1.0, abs(float(before.quaternion @ after.quaternion))))
        if turn_rad > self.max_turn_rate_rad_s * interval_s + _SCATTER_RAD:
            raise PoseUnavailable(
                f"the poses around the image turn by {np.rad2deg(turn_rad):.0f} deg in {interval_s * 1e3:.0f} ms "
                f"(a gimbal flip?), faster than {np.rad2deg(self.max_turn_rate_rad_s):.0f} deg/s"
            )
        way_m = float(np.linalg.norm(after.position_m - before.position_m))
        if way_m > self.max_speed_m_s * interval_s + _SCATTER_M:
            raise PoseUnavailable(
                f"the poses around the image are {way_m:.2f} m apart in {interval_s * 1e3:.0f} ms "
                f"(a jump of the estimate?), faster than {self.max_speed_m_s:g} m/s"
            )


@dataclass(frozen=True)
class MovingPose:
    """A pose and how fast it changes, in parent coordinates (m/s, rad/s; shape (3,)).

    ``covariance`` (6, 6) is the estimator's own, of (x, y, z, rotation about x, y, z) in parent axes; None where it
    gives none.
    """

    pose: Pose
    velocity_m_s: Array
    angular_velocity_rad_s: Array
    covariance: Array | None = None

    def compose(self, child: Pose) -> MovingPose:
        """The same motion seen at a frame that is rigidly attached to this one."""
        lever_arm_m = self.pose.rotation @ child.position_m
        velocity = self.velocity_m_s + np.cross(self.angular_velocity_rad_s, lever_arm_m)
        covariance = None if self.covariance is None else at_lever(self.covariance, lever_arm_m)
        return MovingPose(self.pose.compose(child), velocity, self.angular_velocity_rad_s, covariance)


def interpolate(before: Pose, after: Pose, interval_s: float, fraction: float) -> MovingPose:
    """Straight line for the position, slerp for the attitude, between two poses ``interval_s`` apart."""
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


class PoseBuffer:
    """A short history of stamped poses, filled by one thread and asked by another.

    Args:
        limits: What is believed of two neighbouring poses.
        history_s: How long poses are kept.
    """

    def __init__(self, limits: MotionLimits | None = None, history_s: float = 10.0) -> None:
        self._limits = limits or MotionLimits()
        self._history: StampedHistory[tuple[Pose, Array | None]] = StampedHistory(history_s)
        self._changed = threading.Condition()

    def push(self, stamp_ns: int, pose: Pose, covariance: Array | None = None) -> None:
        """Add a pose, with its covariance as in MovingPose; time that is set back restarts the history."""
        with self._changed:
            self._history.push(stamp_ns, (pose, covariance))
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything (the node was deactivated); whoever waits in ``at`` is told that there is no pose."""
        with self._changed:
            self._history.clear()
            self._changed.notify_all()

    def at(self, stamp_ns: int, timeout_s: float = 0.0) -> MovingPose:
        """The pose at a stamp, waiting up to ``timeout_s`` for the pose that follows it.

        Raises:
            PoseUnavailable: No pose yet, the stamp lies outside the history, or the gap around it is too wide in time,
                angle or distance.
        """
        with self._changed:
            stamps = self._history.stamps_ns
            # Where nothing has come yet there is nothing to wait for.
            if timeout_s > 0 and stamps:
                self._changed.wait_for(lambda: not stamps or stamps[-1] >= stamp_ns, timeout_s)
            return self._interpolated(stamp_ns)

    def expected_at(self, stamp_ns: int) -> Pose:
        """The pose at a stamp, or where the newest two lead to, no farther in time than the widest gap.

        Raises:
            PoseUnavailable: As in ``at``.
        """
        with self._changed:
            return self._interpolated(stamp_ns, int(self._limits.max_gap_s * 1e9)).pose

    def _interpolated(self, stamp_ns: int, beyond_ns: int = 0) -> MovingPose:
        stamps = self._history.stamps_ns
        if not stamps:
            raise PoseUnavailable("no pose has been received")
        if stamp_ns > stamps[-1] + beyond_ns:
            raise PoseUnavailable(f"the newest pose is {_apart(stamp_ns - stamps[-1])} older than the image")
        if stamp_ns < stamps[0]:
            raise PoseUnavailable(f"the oldest pose is {_apart(stamps[0] - stamp_ns)} younger than the image")
        if len(stamps) == 1:
            raise PoseUnavailable("a single pose has been received, its motion is unknown")
        after = min(max(1, bisect.bisect_left(stamps, stamp_ns)), len(stamps) - 1)
        gap_ns = stamps[after] - stamps[after - 1]
        if gap_ns > self._limits.max_gap_s * 1e9:
            raise PoseUnavailable(
                f"the poses around the image are {gap_ns / 1e6:.0f} ms apart, "
                f"more than {self._limits.max_gap_s * 1e3:.0f} ms"
            )
        (earlier, earlier_covariance), (later, later_covariance) = self._history.items[after - 1 : after + 1]
        self._limits.check(earlier, later, gap_ns / 1e9)
        fraction = (stamp_ns - stamps[after - 1]) / gap_ns
        motion = interpolate(earlier, later, gap_ns / 1e9, fraction)
        return replace(motion, covariance=between(earlier_covariance, later_covariance, fraction))


def _apart(difference_ns: int) -> str:
    """A difference of stamps in words."""
    if difference_ns < _SAME_CLOCK_NS:
        return f"{difference_ns / 1e6:.0f} ms"
    return f"{difference_ns / 1e9:.0f} s (do both use the same clock?)"
