"""A one-slot mailbox between threads: the newest item wins, the one that it replaces is reported as lost."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds at most one item; putting never waits, taking does.

    Every item that is put is taken once or reported as lost once.
    """

    def __init__(self) -> None:
        self._item: Item | None = None
        self._closed = False
        self._changed = threading.Condition()

    @property
    def is_waiting(self) -> bool:
        """Whether an item waits to be taken."""
        with self._changed:
            return self._item is not None

    def put(self, item: Item) -> int:
        """Store an item in place of the one that waits.

        Returns:
            How many items are lost: 1 if one was replaced, or if this one comes after ``close``; else 0.
        """
        with self._changed:
            if self._closed:
                return 1
            lost = 0 if self._item is None else 1
            self._item = item
            self._changed.notify()
            return lost

    def take(self) -> Item | None:
        """Wait for an item; None once the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> int:
        """Let ``take`` return None from now on.

        Returns:
            How many items are lost: 1 if one still waited, else 0.
        """
        with self._changed:
            lost = 0 if self._item is None else 1
            self._item = None
            self._closed = True
            self._changed.notify_all()
            return lost
