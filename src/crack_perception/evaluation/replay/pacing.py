"""Flow control of a playback: slow it down to what the node can process, so that frames are not dropped."""

from __future__ import annotations

import time
from collections.abc import Callable

# One frame in the model and one that waits for it: a third would replace the one that waits.
_FRAMES_IN_FLIGHT = 2
# Once the images have been held back for this share of the time, the machine counts as slow and gets them one by one: a
# node with a frame waiting leaves out measurements that a report should show.
_SLOW_SHARE = 0.2
_SLOW_AFTER_S = 0.5
# A frame without an answer for this long is lost; a node on a quarter of a core answers within a few seconds.
_LOST_AFTER_S = 15.0


class Pacer:
    """Holds the next image back until the node has answered enough of those before.

    Args:
        answered: Number of images so far that the node has answered, or reported as dropped, failed or skipped.
        budget_s: Seconds that all images together may be held back; afterwards the playback keeps its rate.

    Attributes:
        held_s: Seconds that images were held back so far.
    """

    def __init__(self, answered: Callable[[], int], budget_s: float) -> None:
        self._answered = answered
        self._budget_s = budget_s
        self._lost = 0
        self._in_flight = _FRAMES_IN_FLIGHT
        self._first_s: float | None = None
        self.held_s = 0.0

    def hold(self, sent: int, tick: Callable[[], None]) -> float:
        """Wait until another image may be published; returns the seconds waited.

        Args:
            sent: Images published so far.
            tick: Called while waiting, must sleep for a moment; may raise to stop.
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
