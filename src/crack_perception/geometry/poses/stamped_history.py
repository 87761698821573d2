"""A short history of stamped items, sorted by stamp."""

from __future__ import annotations

import bisect
from typing import Generic, TypeVar

Item = TypeVar("Item")

# Messages may overtake each other on the way, but not by this much: time itself has begun again (a bag, a simulator).
RESTART_NS = 1_000_000_000


class StampedHistory(Generic[Item]):
    """A short history, sorted by stamp; users that share it between threads hold a lock.

    Args:
        kept_s: Items older than the newest by more than this are forgotten.
        most: So many items are kept at most; None for any number.

    Attributes:
        stamps_ns: Ascending stamps.
        items: One for each stamp.
    """

    def __init__(self, kept_s: float, most: int | None = None) -> None:
        self._kept_ns = int(kept_s * 1e9)
        self._most = most
        self.stamps_ns: list[int] = []
        self.items: list[Item] = []

    def push(self, stamp_ns: int, item: Item) -> bool:
        """Add an item; one of the same stamp is replaced. Returns whether the history was restarted.

        A stamp more than a second before the newest restarts the history: nothing from before time was set back (a bag
        that loops, a simulator's reset) is ever mixed with what comes after.
        """
        stamps, items = self.stamps_ns, self.items
        is_restart = bool(stamps) and stamp_ns < stamps[-1] - RESTART_NS
        if is_restart:
            self.clear()
        index = bisect.bisect_left(stamps, stamp_ns)
        if index < len(stamps) and stamps[index] == stamp_ns:
            items[index] = item
            return is_restart
        stamps.insert(index, stamp_ns)
        items.insert(index, item)
        expired = bisect.bisect_left(stamps, stamps[-1] - self._kept_ns)
        if self._most is not None:
            expired = max(expired, len(stamps) - self._most)
        del stamps[:expired], items[:expired]
        return is_restart

    def clear(self) -> None:
        """Forget everything."""
        self.stamps_ns.clear()
        self.items.clear()

    def nearest(self, stamp_ns: int) -> tuple[int, Item] | None:
        """How far from a stamp the item next to it is (nanoseconds, not negative), and the item; None if empty."""
        if not self.stamps_ns:
            return None
        after = bisect.bisect_left(self.stamps_ns, stamp_ns)
        beside = [index for index in (after - 1, after) if 0 <= index < len(self.stamps_ns)]
        index = min(beside, key=lambda index: abs(self.stamps_ns[index] - stamp_ns))
        return abs(self.stamps_ns[index] - stamp_ns), self.items[index]
