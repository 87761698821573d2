"""A one-slot mailbox between threads: the newest item wins, what it replaces is counted."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds at most one item; putting never waits, taking does."""

    def __init__(self) -> None:
        self._item: Item | None = None
        self._closed = False
        self._dropped = 0
        self._changed = threading.Condition()

    @property
    def dropped(self) -> int:
        """How many items were replaced, or left behind by ``close``, before anybody took them."""
        with self._changed:
            return self._dropped

    @property
    def is_waiting(self) -> bool:
        """Whether an item waits to be taken."""
        with self._changed:
            return self._item is not None

    def put(self, item: Item) -> None:
        """Store an item, replacing the one that waits; ignored after ``close``."""
        with self._changed:
            if self._closed:
                return
            if self._item is not None:
                self._dropped += 1
            self._item = item
            self._changed.notify()

    def take(self) -> Item | None:
        """Wait for an item; None once the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """Let ``take`` return None from now on; an item that still waits counts as dropped."""
        with self._changed:
            if self._item is not None:
                self._dropped += 1
                self._item = None
            self._closed = True
            self._changed.notify_all()
