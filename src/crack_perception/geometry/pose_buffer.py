"""The camera's poses over time: interpolated at an image's stamp, never extrapolated, never stale."""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.pose import Pose

Array = npt.NDArray[np.float64]

# Poses may overtake each other on the way, but not by this much: time itself has begun again (a bag, a simulator).
_RESTART_NS = 1_000_000_000


class PoseUnavailable(Exception):
    """There is no pose for this stamp; the text says why."""


@dataclass(frozen=True)
class MovingPose:
    """A pose and how fast it changes, in parent coordinates (m/s, rad/s; shape (3,))."""

    pose: Pose
    velocity_m_s: Array
    angular_velocity_rad_s: Array

    def compose(self, child: Pose) -> MovingPose:
        """The same motion seen at a frame that is rigidly attached to this one."""
        lever_arm_m = self.pose.rotation @ child.position_m
        velocity = self.velocity_m_s + np.cross(self.angular_velocity_rad_s, lever_arm_m)
        return MovingPose(self.pose.compose(child), velocity, self.angular_velocity_rad_s)


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
        max_gap_s: Widest gap between two neighbouring poses that may be bridged by interpolation.
        history_s: How long poses are kept.
    """

    def __init__(self, max_gap_s: float = 0.2, history_s: float = 10.0) -> None:
        self._max_gap_ns = int(max_gap_s * 1e9)
        self._history_ns = int(history_s * 1e9)
        self._stamps_ns: list[int] = []
        self._poses: list[Pose] = []
        self._changed = threading.Condition()

    def push(self, stamp_ns: int, pose: Pose) -> None:
        """Add a pose; a stamp more than a second before the newest restarts the history (a bag that loops)."""
        with self._changed:
            if self._stamps_ns and stamp_ns < self._stamps_ns[-1] - _RESTART_NS:
                self._clear()
            index = bisect.bisect_left(self._stamps_ns, stamp_ns)
            if index < len(self._stamps_ns) and self._stamps_ns[index] == stamp_ns:
                self._poses[index] = pose
            else:
                self._stamps_ns.insert(index, stamp_ns)
                self._poses.insert(index, pose)
            expired = bisect.bisect_left(self._stamps_ns, self._stamps_ns[-1] - self._history_ns)
            del self._stamps_ns[:expired], self._poses[:expired]
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything (the node was deactivated); whoever waits in ``at`` is told that there is no pose."""
        with self._changed:
            self._clear()
            self._changed.notify_all()

    def at(self, stamp_ns: int, timeout_s: float = 0.0) -> MovingPose:
        """The pose at a stamp, waiting up to ``timeout_s`` for the pose that follows it.

        Raises:
            PoseUnavailable: No pose yet, the stamp lies outside the history, or the gap around it is too wide.
        """
        with self._changed:
            # Where nothing has come yet there is nothing to wait for.
            if timeout_s > 0 and self._stamps_ns:
                self._changed.wait_for(lambda: not self._stamps_ns or self._stamps_ns[-1] >= stamp_ns, timeout_s)
            return self._interpolated(stamp_ns)

    def _interpolated(self, stamp_ns: int) -> MovingPose:
        stamps = self._stamps_ns
        if not stamps:
            raise PoseUnavailable("no pose has been received")
        if stamp_ns > stamps[-1]:
            raise PoseUnavailable(f"the newest pose is {(stamp_ns - stamps[-1]) / 1e6:.0f} ms older than the image")
        if stamp_ns < stamps[0]:
            raise PoseUnavailable(f"the oldest pose is {(stamps[0] - stamp_ns) / 1e6:.0f} ms younger than the image")
        if len(stamps) == 1:
            raise PoseUnavailable("a single pose has been received, its motion is unknown")
        after = max(1, bisect.bisect_left(stamps, stamp_ns))
        gap_ns = stamps[after] - stamps[after - 1]
        if gap_ns > self._max_gap_ns:
            raise PoseUnavailable(
                f"the poses around the image are {gap_ns / 1e6:.0f} ms apart, more than {self._max_gap_ns / 1e6:.0f} ms"
            )
        fraction = (stamp_ns - stamps[after - 1]) / gap_ns
        return interpolate(self._poses[after - 1], self._poses[after], gap_ns / 1e9, fraction)

    def _clear(self) -> None:
        self._stamps_ns.clear()
        self._poses.clear()
