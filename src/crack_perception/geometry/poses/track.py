# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Stamped poses of one moving frame: the pose at a stamp, without extrapolation, stale poses or jumps."""

from __future__ import annotations

import bisect
import time
from collections import deque
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.covariance import between
from crack_perception.geometry.poses.history import LEAST_STEP_BACK_NS, RESTART_NS, Arrivals, StampedHistory
from crack_perception.geometry.poses.motion import MotionLimits, MovingPose, PoseUnavailable, interpolate
from crack_perception.geometry.poses.pose import Pose

Array = npt.NDArray[np.float64]

BEFORE_JUMP = "time was set back and no pose has been received since"
NEVER_NS = -(2**63)
"""Stamp before every other."""

# Stamps that differ by more than this come from clocks with different epochs.
_SAME_CLOCK_NS = 60_000_000_000

# Ten seconds at 200 Hz; faster sources keep fewer seconds.
_MOST_POSES = 2000
# Stamps with two contradictory poses that are remembered: those of the images in work.
_MOST_CONTRADICTIONS = 200
# The tracks of one chain detect the same jump within this time, and their stamps differ by less than this.
_SAME_JUMP_S = 1.0
_SAME_TIME_NS = 200_000_000

# (sequence number, parent frame, pose, covariance)
_Item = tuple[int, str, Pose, Array | None]


def _is_same_pose(one: _Item, other: _Item) -> bool:
    return one[1] == other[1] and all(
        np.array_equal(getattr(one[2], name), getattr(other[2], name)) for name in ("position_m", "quaternion")
    )


class TrackPose(NamedTuple):
    """Pose of a track: motion, parent frame, and sequence number of the older of the two neighbouring poses."""

    motion: MovingPose
    parent: str
    number: int


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
        newest_ns = stamps[-1] if stamps else NEVER_NS
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


def _apart(difference_ns: int) -> str:
    """Format a difference of stamps."""
    if difference_ns < _SAME_CLOCK_NS:
        return f"{difference_ns / 1e6:.0f} ms"
    return f"{difference_ns / 1e9:.0f} s (do both use the same clock?)"
