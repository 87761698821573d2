"""Arrival times of the poses of one source: has it stopped, and is another pose worth waiting for?"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

_KEPT = 16
# With fewer arrivals the rate is unknown.
_RATE_KNOWN_FROM = 4
_SILENCE_UNKNOWN_RATE_S = 1.0
# A source may skip so many of its periods before it counts as stopped.
_PERIODS = 3.0


class Arrivals:
    """The last arrivals of a source; whoever shares it between threads holds a lock.

    Args:
        max_gap_s: Widest gap between two poses that is interpolated: a shorter silence is no stop.
    """

    def __init__(self, max_gap_s: float) -> None:
        self._max_gap_s = max_gap_s
        self._last: deque[tuple[float, int]] = deque(maxlen=_KEPT)

    def note(self, stamp_ns: int, now_s: float) -> None:
        """Record an arrival at ``now_s`` (monotonic clock)."""
        self._last.append((now_s, stamp_ns))

    def clear(self) -> None:
        """Forget all arrivals."""
        self._last.clear()

    def silence_s(self, now_s: float) -> float | None:
        """Seconds since the last arrival; None before the first."""
        return now_s - self._last[-1][0] if self._last else None

    def patience_s(self, now_s: float) -> float:
        """Seconds from now after which the source counts as stopped; 0 where it has stopped or never sent."""
        if not self._last:
            return 0.0
        allowed_s = max(self._max_gap_s, _SILENCE_UNKNOWN_RATE_S)
        if len(self._last) >= _RATE_KNOWN_FROM:
            widest_s = max(after - before for (before, _), (after, _) in pairwise(self._last))
            allowed_s = max(self._max_gap_s, _PERIODS * widest_s)
        return max(0.0, allowed_s - (now_s - self._last[-1][0]))

    def may_reach(self, stamp_ns: int, timeout_s: float, now_s: float) -> bool:
        """Whether the source is expected to send a pose of this stamp or later within ``timeout_s``.

        It is not where the source has stopped, or where its stamps lag so far behind that they cannot catch up.
        """
        if not self.patience_s(now_s):
            return False
        if len(self._last) < _RATE_KNOWN_FROM:
            return True
        (first_s, first_ns), (last_s, last_ns) = self._last[0], self._last[-1]
        if last_ns <= first_ns:  # time was set back amid these arrivals
            return True
        # A recording may be played faster than in real time; bursts look faster still.
        speed = max(1.0, (last_ns - first_ns) / 1e9 / max(last_s - first_s, 1e-6))
        widest_ns = max(after - before for (_, before), (_, after) in pairwise(self._last))
        reached_ns = last_ns + speed * 1e9 * (timeout_s + now_s - last_s) + widest_ns
        return stamp_ns <= reached_ns
