# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Flow control of a playback: delays images to the rate that the node can process, so that no frames are dropped."""

from __future__ import annotations

import time
from collections.abc import Callable

# One frame in the model and one waiting: a third frame would replace the waiting one.
_FRAMES_IN_FLIGHT = 2
# When images were delayed for more than this share of the time, the machine counts as slow and gets one image at a
# time: with a frame waiting, the node skips measurements that belong in the report.
_SLOW_SHARE = 0.2
_SLOW_AFTER_S = 0.5
# A frame without results for this long is lost; even on a quarter of a core, results take only a few seconds.
_LOST_AFTER_S = 15.0


class Pacer:
    """Delay of each image until the node has processed enough of the earlier ones.

    Args:
        answered: Number of images so far that the node has processed, or reported as dropped, failed or skipped.
        budget_s: Maximum total delay [s]; afterwards the playback keeps its rate.

    Attributes:
        held_s: Total delay so far [s].
    """

    def __init__(self, answered: Callable[[], int], budget_s: float) -> None:
        self._answered = answered
        self._budget_s = budget_s
        self._lost = 0
        self._in_flight = _FRAMES_IN_FLIGHT
        self._first_s: float | None = None
        self.held_s = 0.0

    def hold(self, sent: int, tick: Callable[[], None]) -> float:
        """Wait until the next image may be published; returns the waiting time [s].

        Args:
            sent: Number of images published so far.
            tick: Called repeatedly while waiting; must sleep briefly, and may raise to stop.
        """
        begin_s = time.monotonic()
        if self._first_s is None:
            self._first_s = begin_s
        held_s = 0.0
        while sent - self._answered() - self._lost >= self._in_flight and self.held_s + held_s < self._budget_s:
            if held_s >= _LOST_AFTER_S:
                self._lost = sent - self._answered()
                break
            tick()
            held_s = time.monotonic() - begin_s
        self.held_s += held_s
        if self.held_s > max(_SLOW_AFTER_S, _SLOW_SHARE * (time.monotonic() - self._first_s)):
            self._in_flight = 1
        return held_s
