# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Flow control of a playback: delays images to the rate that the node can process, so that no frames are dropped."""

from __future__ import annotations

import time
from collections.abc import Callable

# A frame without results for this long is lost; even on a quarter of a core, results take only a few seconds.
_LOST_AFTER_S = 15.0


class Pacer:
    """Delay of each image until the node has answered the one before.

    With a second image on the way, a third could replace it in the node: results are sent before the node takes the
    next image. A node that has an image waiting also skips measurements that belong in the report.

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
        self.held_s = 0.0

    def hold(self, sent: int, tick: Callable[[], None]) -> float:
        """Wait until the next image may be published; returns the waiting time [s].

        Args:
            sent: Number of images published so far.
            tick: Called repeatedly while waiting; must sleep briefly, and may raise to stop.
        """
        begin_s = time.monotonic()
        held_s = 0.0
        while sent - self._answered() - self._lost >= 1 and self.held_s + held_s < self._budget_s:
            if held_s >= _LOST_AFTER_S:
                self._lost = sent - self._answered()
                break
            tick()
            held_s = time.monotonic() - begin_s
        self.held_s += held_s
        return held_s
