# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Buffer of stamped poses, interpolated at an image's stamp without extrapolation, stale poses or jumps.

Only ``expected_at`` extrapolates, for callers that cannot wait for the pose after an image.
"""

from __future__ import annotations

import bisect
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.covariance import at_lever, between
from crack_perception.geometry.poses.history import LEAST_STEP_BACK_NS, RESTART_NS, Arrivals, StampedHistory
from crack_perception.geometry.poses.pose import Pose

Array = npt.NDArray[np.float64]

# Scatter of estimates, however close in time, that does not count as a jump.
_SCATTER_M = 0.1
_SCATTER_RAD = np.deg2rad(3.0)

# Stamps that differ by more than this come from clocks with different epochs.
_SAME_CLOCK_NS = 60_000_000_000

# Ten seconds at 200 Hz; faster sources keep fewer seconds.
_MOST_POSES = 2000
# Stamps with two contradictory poses that are remembered: those of the images in work.
_MOST_CONTRADICTIONS = 200
# The tracks of one chain detect the same jump within this time, and their stamps differ by less than this.
_SAME_JUMP_S = 1.0
_SAME_TIME_NS = 200_000_000
_NEVER_NS = -(2**63)
# Time between two looks for new poses, where they have to be fetched.
_FETCH_PERIOD_S = 0.003

BEFORE_JUMP = "time was set back and no pose has been received since"

# (sequence number, parent frame, pose, covariance)
_Item = tuple[int, str, Pose, Array | None]


def _is_same_pose(one: _Item, other: _Item) -> bool:
    return one[1] == other[1] and all(
        np.array_equal(getattr(one[2], name), getattr(other[2], name)) for name in ("position_m", "quaternion")
    )


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


class TrackPose(NamedTuple):
    """Pose of a track: motion, parent frame, and sequence number of the older of the two neighbouring poses."""

    motion: MovingPose
    parent: str
    number: int


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


class PoseTrack:
    """Stamped poses of one moving frame; not thread-safe, the owner holds a lock.

    Each pose has a sequence number, so that poses from before and after the clock was set back are never mixed.

    Args:
        limits: Plausible motion between two neighbouring poses.
        history_s: Poses older than the newest by more than this are dropped.

    Attributes:
        arrivals: Arrival times of poses.
        restarts: Number of times the clock was set back.
        restarted_at: Sequence number of the first pose after the last restart.
    """

    def __init__(self, limits: MotionLimits, history_s: float) -> None:
        self._limits = limits
        self._history: StampedHistory[_Item] = StampedHistory(history_s, _MOST_POSES, _is_same_pose)
        self.arrivals = Arrivals(limits.max_gap_s)
        self.restarts = 0
        self.restarted_at = 0
        self._noticed_at = 0
        self._advanced_at = 0
        self._restart_ns = 0
        self._restarted_s = 0.0
        self._contradictions: deque[tuple[int, str]] = deque(maxlen=_MOST_CONTRADICTIONS)

    def push(self, number: int, stamp_ns: int, pose: Pose, covariance: Array | None = None, parent: str = "") -> None:
        """Add a pose with an ascending sequence number; a clock that was set back restarts the history.

        Two poses of one stamp that contradict each other come from two publishers; ``at`` then uses none of them.
        """
        stamps = self._history.stamps_ns
        newest_ns = stamps[-1] if stamps else _NEVER_NS
        if newest_ns - stamp_ns < LEAST_STEP_BACK_NS:
            self._compare_with_same_stamp(stamp_ns, pose, parent)
        if self._history.push(stamp_ns, (number, parent, pose, covariance)):
            self._restart(self._history.items[0][0], number, stamps[0])
        elif stamps[-1] > newest_ns:
            self._advanced_at = number
        self.arrivals.record(stamp_ns, time.monotonic())

    def _compare_with_same_stamp(self, stamp_ns: int, pose: Pose, parent: str) -> None:
        """Note a contradiction between this pose and one of the same stamp."""
        stamps = self._history.stamps_ns
        index = bisect.bisect_left(stamps, stamp_ns)
        if index == len(stamps) or stamps[index] != stamp_ns:
            return
        _, other_parent, other, _ = self._history.items[index]
        if parent != other_parent:
            self._contradictions.append((stamp_ns, f"it has the parents '{other_parent}' and '{parent}' at one stamp"))
            return
        try:
            self._limits.check(other, pose, 0.0)
        except PoseUnavailable:
            distance_m = float(np.linalg.norm(pose.position_m - other.position_m))
            turn_rad = 2 * np.arccos(min(1.0, abs(float(pose.quaternion @ other.quaternion))))
            text = f"two poses of one stamp differ by {distance_m:.2f} m and {np.rad2deg(turn_rad):.0f} deg"
            self._contradictions.append((stamp_ns, text))

    def set_back(self, number: int, now_ns: int) -> None:
        """Drop poses from before the clock was set back to ``now_ns``; the next pose has ``number``."""
        if self._history.set_back(now_ns):
            first = self._history.items[0][0] if self._history.items else number
            self._restart(first, number, now_ns)

    def clear(self) -> None:
        """Drop all poses and arrivals."""
        self._history.clear()
        self._contradictions.clear()
        self.arrivals.clear()

    def is_from_before_jump(self, stamp_ns: int, answered_ns: int, answered_at: int, asked_at: int) -> bool:
        """Return whether the poses are, or may be, older than a jump back in time that the images have already made.

        An image up to a second older than the one before is late, or its clock was set back. The first newer pose
        after it shows that no clock was set back. Poses around it that were received since the image before are right
        in both cases.

        Args:
            stamp_ns: Stamp of the image.
            answered_ns: Stamp of the last image that got a pose.
            answered_at: Sequence number of the newest pose at that time.
            asked_at: Sequence number of the newest pose when the pose of this image was asked for first.
        """
        stamps = self._history.stamps_ns
        step_back_ns = answered_ns - stamp_ns
        if step_back_ns < LEAST_STEP_BACK_NS or not stamps or stamps[-1] <= stamp_ns or self._noticed_at > answered_at:
            return False
        if step_back_ns > RESTART_NS and stamps[-1] > stamp_ns + RESTART_NS:
            return True
        after = bisect.bisect_left(stamps, stamp_ns)
        is_received_since = all(item[0] > answered_at for item in self._history.items[max(0, after - 1) : after + 1])
        return not is_received_since and self._advanced_at <= asked_at

    def may_reach(self, stamp_ns: int, timeout_s: float) -> bool:
        """Return whether a pose of this stamp or later is missing and expected within ``timeout_s``."""
        stamps = self._history.stamps_ns
        return (not stamps or stamps[-1] < stamp_ns) and self.arrivals.may_reach(stamp_ns, timeout_s, time.monotonic())

    @property
    def newest_parent(self) -> str:
        """Parent frame of the newest pose; empty without poses."""
        return self._history.items[-1][1] if self._history.items else ""

    def at(self, stamp_ns: int, beyond_ns: int = 0) -> TrackPose:
        """Return the pose at a stamp, at most ``beyond_ns`` after the newest pose.

        Raises:
            PoseUnavailable: No pose yet, the stamp lies outside the history, the gap around it is too wide in time,
                angle or distance, the parent frame changes there, or two poses of one stamp contradict each other.
        """
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
        for contradicted_ns, text in self._contradictions:
            if contradicted_ns in (stamps[after - 1], stamps[after]):
                raise PoseUnavailable(f"{text}: do two nodes publish it?")
        earlier, later = self._history.items[after - 1 : after + 1]
        if earlier[1] != later[1]:
            raise PoseUnavailable(f"its parent frame changes between '{earlier[1]}' and '{later[1]}'")
        self._limits.check(earlier[2], later[2], gap_ns / 1e9)
        fraction = (stamp_ns - stamps[after - 1]) / gap_ns
        motion = interpolate(earlier[2], later[2], gap_ns / 1e9, fraction)
        covariance = between(earlier[3], later[3], fraction)
        return TrackPose(replace(motion, covariance=covariance), later[1], min(earlier[0], later[0]))

    def predates_jump_of(self, other: PoseTrack, number: int) -> bool:
        """Return whether poses from ``number`` on were received before the clock was set back on another track."""
        if number >= other.restarted_at:
            return False
        if not self.restarted_at or abs(self._restarted_s - other._restarted_s) > _SAME_JUMP_S:
            return True
        # This track may have made the same jump slightly earlier: then its stamps had already restarted.
        before = (
            stamp
            for stamp, item in zip(reversed(self._history.stamps_ns), reversed(self._history.items), strict=True)
            if item[0] < other.restarted_at
        )
        return next(before, other._restart_ns) > other._restart_ns + _SAME_TIME_NS

    def _restart(self, first: int, noticed_at: int, stamp_ns: int) -> None:
        self.restarts += 1
        self._contradictions.clear()
        self.restarted_at = first
        self._noticed_at = self._advanced_at = noticed_at
        self._restart_ns = stamp_ns
        self._restarted_s = time.monotonic()


class PoseBuffer:
    """Thread-safe short history of stamped poses, filled by one thread and queried by another.

    Args:
        limits: Plausible motion between two neighbouring poses.
        history_s: Time for which poses are kept [s].
        fetch: Called again and again, without the lock, while ``at`` waits: pushes what has arrived elsewhere. None
            where another thread pushes every pose on its arrival.
    """

    def __init__(
        self,
        limits: MotionLimits | None = None,
        history_s: float = 10.0,
        fetch: Callable[[], object] | None = None,
    ) -> None:
        self._limits = limits or MotionLimits()
        self._track = PoseTrack(self._limits, history_s)
        self._fetch = fetch
        self._changed = threading.Condition()
        self._number = 0
        self._answered = (_NEVER_NS, 0)

    @property
    def time_jumps(self) -> int:
        """Number of times the clock was set back."""
        return self._track.restarts

    @property
    def silence_s(self) -> float | None:
        """Seconds since the last pose arrived; None before the first."""
        with self._changed:
            return self._track.arrivals.silence_s(time.monotonic())

    @property
    def has_stopped(self) -> bool:
        """Whether poses were received before and no longer arrive."""
        with self._changed:
            now_s = time.monotonic()
            return self._track.arrivals.silence_s(now_s) is not None and not self._track.arrivals.patience_s(now_s)

    def push(self, stamp_ns: int, pose: Pose, covariance: Array | None = None) -> None:
        """Add a pose, with its covariance as in MovingPose; a clock that was set back restarts the history."""
        with self._changed:
            self._number += 1
            self._track.push(self._number, stamp_ns, pose, covariance)
            self._changed.notify_all()

    def set_back(self, now_ns: int) -> None:
        """Drop poses from before the clock was set back to ``now_ns``."""
        with self._changed:
            self._track.set_back(self._number + 1, now_ns)

    def clear(self) -> None:
        """Drop everything (the node was deactivated) and end any wait in ``at``."""
        with self._changed:
            self._track.clear()
            self._answered = (_NEVER_NS, 0)
            self._changed.notify_all()

    def at(self, stamp_ns: int, timeout_s: float = 0.0) -> MovingPose:
        """Return the pose at a stamp; wait up to ``timeout_s`` for the pose that follows it if one is expected.

        Raises:
            PoseUnavailable: As in ``PoseTrack.at``, or the clock was set back and no pose was received since.
        """
        with self._changed:
            asked_at = self._number
            return wait_for_pose(
                self._changed,
                timeout_s,
                lambda: self._answer(stamp_ns, asked_at),
                lambda left_s: self._patience_s(stamp_ns, asked_at, left_s),
                self._fetch,
            )

    def expected_at(self, stamp_ns: int) -> Pose:
        """Return the pose at a stamp, extrapolated from the newest two by at most ``max_gap_s``.

        Raises:
            PoseUnavailable: As in ``at``.
        """
        with self._changed:
            return self._track.at(stamp_ns, int(self._limits.max_gap_s * 1e9)).motion.pose

    def _answer(self, stamp_ns: int, asked_at: int) -> MovingPose:
        if self._track.is_from_before_jump(stamp_ns, *self._answered, asked_at):
            raise PoseUnavailable(BEFORE_JUMP)
        motion = self._track.at(stamp_ns).motion
        self._answered = (stamp_ns, self._number)
        return motion

    def _patience_s(self, stamp_ns: int, asked_at: int, left_s: float) -> float:
        is_old = self._track.is_from_before_jump(stamp_ns, *self._answered, asked_at)
        if not is_old and not self._track.may_reach(stamp_ns, left_s):
            return 0.0
        return self._track.arrivals.patience_s(time.monotonic())


Answer = TypeVar("Answer")


def wait_for_pose(
    changed: threading.Condition,
    timeout_s: float,
    answer: Callable[[], Answer],
    patience_s: Callable[[float], float],
    fetch: Callable[[], object] | None = None,
) -> Answer:
    """Repeat ``answer`` until it succeeds, the timeout expires or no pose is expected; the caller holds ``changed``.

    Args:
        changed: Notified of every new pose; held once by the caller.
        answer: Raises PoseUnavailable if a pose is missing.
        patience_s: Returns, for the seconds left, how long to wait for a missing pose; 0 if none is expected.
        fetch: Pushes the poses that have arrived, called without the lock; None where another thread pushes them.

    Raises:
        PoseUnavailable: The last one raised by ``answer``.
    """
    end_s = time.monotonic() + timeout_s
    while True:
        try:
            return answer()
        except PoseUnavailable:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not (patience := patience_s(left_s)):
                raise
            if fetch is None:
                changed.wait(min(left_s, patience))
                continue
            changed.wait(min(left_s, patience, _FETCH_PERIOD_S))
            changed.release()  # another thread may be fetching, and waits for the lock to push
            try:
                fetch()
            finally:
                changed.acquire()


def _apart(difference_ns: int) -> str:
    """Format a difference of stamps."""
    if difference_ns < _SAME_CLOCK_NS:
        return f"{difference_ns / 1e6:.0f} ms"
    return f"{difference_ns / 1e9:.0f} s (do both use the same clock?)"
