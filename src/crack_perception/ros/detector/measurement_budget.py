"""How long the cracks of a frame may be measured without making the camera's next frame wait."""

from __future__ import annotations

import math
from collections import deque

from crack_perception.ros.detector.frame_interval import FrameInterval

_KEPT = 15
# Few frames need longer than this share of those before them needed.
_QUANTILE = 0.8
# Share of the time between two frames that is kept free, because they do not arrive to the millisecond.
_SLACK = 0.1
# What placing and publishing may claim at most: a hiccup of the machine must not end all measuring.
_MOST_CLOSING = 0.5
# Assumed of it until a frame was closed.
_FIRST_CLOSING = 0.1


class MeasuringTime:
    """Plans the end of measuring from how often frames come and how long the rest of a frame's work takes.

    Measuring is the one step that can stop at any time; placing what was measured and publishing it, the closing of a
    frame, come after it and must have ended when the next frame arrives.
    """

    def __init__(self) -> None:
        self._interval = FrameInterval()
        self._closings_s: deque[float] = deque(maxlen=_KEPT)

    def note_arrival(self, now_s: float) -> None:
        """A frame has arrived; ``now_s`` on a monotonic clock."""
        self._interval.note(now_s)

    def note_closing(self, seconds: float) -> None:
        """So long after measuring had to end, the frame was done."""
        self._closings_s.append(seconds)

    def left_s(self, since_s: float, now_s: float) -> float:
        """Time for measuring from now on; infinite until a few frames have come.

        Args:
            since_s: When the present frame's interval began.
            now_s: On the same monotonic clock.
        """
        interval_s = self._interval.seconds
        if interval_s == math.inf:
            return math.inf
        closing_s = _FIRST_CLOSING * interval_s
        if self._closings_s:
            closing_s = sorted(self._closings_s)[int(_QUANTILE * (len(self._closings_s) - 1))]
        reserve_s = _SLACK * interval_s + min(closing_s, _MOST_CLOSING * interval_s)
        return max(since_s + interval_s - reserve_s - now_s, 0.0)
