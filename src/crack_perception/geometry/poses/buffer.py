# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Thread-safe buffer of stamped poses that answers at an image's stamp, and waits for the pose that follows it.

Only ``expected_at`` extrapolates, for callers that cannot wait for the pose after an image.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.poses.motion import MotionLimits, MovingPose, PoseUnavailable
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.poses.track import BEFORE_JUMP, NEVER_NS, PoseTrack

Array = npt.NDArray[np.float64]

# Time between two looks for new poses, where they have to be fetched.
_FETCH_PERIOD_S = 0.003


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
        self._answered = (NEVER_NS, 0)

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
            self._answered = (NEVER_NS, 0)
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
