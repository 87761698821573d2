"""How often the camera sends frames, by their arrival."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

_KEPT = 15
_LEAST = 3


class FrameInterval:
    """Median time between frames; pauses and frames that come in pairs do not disturb it."""

    def __init__(self) -> None:
        self._intervals_s: deque[float] = deque(maxlen=_KEPT)
        self._last_s: float | None = None
        self.seconds = math.inf
        """Infinite until a few frames have come."""

    def note(self, now_s: float) -> None:
        """A frame has arrived; ``now_s`` on a monotonic clock."""
        if self._last_s is not None:
            self._intervals_s.append(now_s - self._last_s)
        self._last_s = now_s
        if len(self._intervals_s) >= _LEAST:
            self.seconds = median(self._intervals_s)
