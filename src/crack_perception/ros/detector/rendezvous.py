"""Rendezvous queue of two threads: one item at a time, in order and without loss; the producer waits."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Handover(Generic[Item]):
    """Rendezvous queue of one producer and one consumer thread.

    Without room for a second item, the producer is never ahead of the consumer by more than one item, which bounds the
    age of the items.
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

    def give(self, item: Item) -> None:
        """Offer an item and wait until it is taken."""
        with self._changed:
            self._item = item
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._item is None)

    def take(self) -> Item | None:
        """Wait for an item; None once the producer has closed the queue."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Called by the producer: no item will follow."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
