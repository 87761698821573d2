# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Short histories of stamped items, and the arrival times of one source."""

from __future__ import annotations

import bisect
import operator
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Generic, TypeVar

Item = TypeVar("Item")

# Messages may arrive out of order, but not by this much: the clock was set back (a bag that loops, a simulator).
RESTART_NS = 1_000_000_000
# After a smaller step back the clock was set back, or a message is late. So many messages in a row with ascending
# stamps, all older than the newest, come from a clock that was set back; one or two are late.
_RESTART_MESSAGES = 3
# Stamps of one source that step back by less than this are not in question.
LEAST_STEP_BACK_NS = 50_000_000
# Some sources stamp messages slightly ahead of the clock.
AHEAD_NS = 100_000_000
_KEPT = 16
# With fewer arrivals the rate is unknown.
_RATE_KNOWN_FROM = 4
_SILENCE_UNKNOWN_RATE_S = 1.0
# Number of missed periods after which a source counts as stopped.
_PERIODS = 3.0


class StampedHistory(Generic[Item]):
    """Short history of items, sorted by stamp; not thread-safe, the owner holds a lock.

    Args:
        kept_s: Items older than the newest by more than this are dropped [s].
        most: Largest number of items; None for no limit.
        is_same: Return whether two items of the same stamp are one message that was sent twice.

    Attributes:
        stamps_ns: Ascending stamps.
        items: One for each stamp.
    """

    def __init__(
        self, kept_s: float, most: int | None = None, is_same: Callable[[Item, Item], bool] = operator.eq
    ) -> None:
        self._kept_ns = int(kept_s * 1e9)
        self._most = most
        self._is_same = is_same
        self._late: list[tuple[int, Item]] = []
        self.stamps_ns: list[int] = []
        self.items: list[Item] = []

    def push(self, stamp_ns: int, item: Item) -> bool:
        """Add an item or replace the one of the same stamp; return whether the history was restarted.

        Items from before and after the clock was set back (a bag that loops, a simulator's reset, a corrected clock)
        are never mixed. A stamp more than a second before the newest restarts the history. Up to a second before it,
        items are kept back: three in a row with ascending stamps restart the history with them, and fewer, followed by
        a newer stamp, were late and are added.
        """
        stamps = self.stamps_ns
        step_back_ns = stamps[-1] - stamp_ns if stamps else 0
        if step_back_ns > RESTART_NS:
            self.clear()
            self._insert(stamp_ns, item)
            return True
        if step_back_ns > (0 if self._late else LEAST_STEP_BACK_NS) and not self._is_repeated(stamp_ns, item):
            if self._late and stamp_ns <= self._late[-1][0]:
                self._insert_late()
            self._late.append((stamp_ns, item))
            if len(self._late) < _RESTART_MESSAGES:
                return False
            late = self._late
            self.clear()
            for entry in late:
                self._insert(*entry)
            return True
        if step_back_ns <= 0:
            self._insert_late()
        self._insert(stamp_ns, item)
        return False

    def set_back(self, now_ns: int) -> bool:
        """Drop the items from before the clock was set back to ``now_ns``; return whether there were any.

        Items that were kept back are from after it.
        """
        if not self.stamps_ns or self.stamps_ns[-1] <= now_ns + AHEAD_NS:
            return False
        late = self._late
        self.clear()
        for entry in late:
            self._insert(*entry)
        return True

    def clear(self) -> None:
        """Drop all items."""
        self._late = []
        self.stamps_ns.clear()
        self.items.clear()

    def _is_repeated(self, stamp_ns: int, item: Item) -> bool:
        index = bisect.bisect_left(self.stamps_ns, stamp_ns)
        return self.stamps_ns[index] == stamp_ns and self._is_same(self.items[index], item)

    def _insert_late(self) -> None:
        """Add the items that were kept back: they were only late."""
        late, self._late = self._late, []
        for entry in late:
            self._insert(*entry)

    def _insert(self, stamp_ns: int, item: Item) -> None:
        stamps, items = self.stamps_ns, self.items
        index = bisect.bisect_left(stamps, stamp_ns)
        if index < len(stamps) and stamps[index] == stamp_ns:
            items[index] = item
            return
        stamps.insert(index, stamp_ns)
        items.insert(index, item)
        expired = bisect.bisect_left(stamps, stamps[-1] - self._kept_ns)
        if self._most is not None:
            expired = max(expired, len(stamps) - self._most)
        del stamps[:expired], items[:expired]

    def nearest(self, stamp_ns: int) -> tuple[int, Item] | None:
        """Return distance [ns] and value of the item nearest to a stamp; None if empty."""
        if not self.stamps_ns:
            return None
        after = bisect.bisect_left(self.stamps_ns, stamp_ns)
        beside = [index for index in (after - 1, after) if 0 <= index < len(self.stamps_ns)]
        index = min(beside, key=lambda index: abs(self.stamps_ns[index] - stamp_ns))
        return abs(self.stamps_ns[index] - stamp_ns), self.items[index]


class Arrivals:
    """Recent arrival times of one source; not thread-safe, the owner holds a lock.

    Args:
        max_gap_s: Widest gap between two poses that is interpolated; a shorter silence does not count as a stop.
    """

    def __init__(self, max_gap_s: float) -> None:
        self._max_gap_s = max_gap_s
        self._last: deque[tuple[float, int]] = deque(maxlen=_KEPT)

    def record(self, stamp_ns: int, now_s: float) -> None:
        """Record an arrival at ``now_s`` (monotonic clock)."""
        self._last.append((now_s, stamp_ns))

    def clear(self) -> None:
        """Drop all arrivals."""
        self._last.clear()

    def silence_s(self, now_s: float) -> float | None:
        """Return seconds since the last arrival; None before the first."""
        return now_s - self._last[-1][0] if self._last else None

    def patience_s(self, now_s: float) -> float:
        """Return seconds until the source counts as stopped; 0 if it has stopped or never sent."""
        if not self._last:
            return 0.0
        allowed_s = max(self._max_gap_s, _SILENCE_UNKNOWN_RATE_S)
        if len(self._last) >= _RATE_KNOWN_FROM:
            widest_s = max(after - before for (before, _), (after, _) in pairwise(self._last))
            allowed_s = max(self._max_gap_s, _PERIODS * widest_s)
        return max(0.0, allowed_s - (now_s - self._last[-1][0]))

    def may_reach(self, stamp_ns: int, timeout_s: float, now_s: float) -> bool:
        """Return whether a pose of this stamp or later is expected within ``timeout_s``.

        False if the source has stopped, or if its stamps lag too far behind to catch up.
        """
        if not self.patience_s(now_s):
            return False
        if len(self._last) < _RATE_KNOWN_FROM:
            return True
        (first_s, first_ns), (last_s, last_ns) = self._last[0], self._last[-1]
        if last_ns <= first_ns:  # the clock was set back between these arrivals
            return True
        # A recording may be played faster than in real time; bursts look faster still.
        speed = max(1.0, (last_ns - first_ns) / 1e9 / max(last_s - first_s, 1e-6))
        widest_ns = max(after - before for (_, before), (_, after) in pairwise(self._last))
        reached_ns = last_ns + speed * 1e9 * (timeout_s + now_s - last_s) + widest_ns
        return stamp_ns <= reached_ns
