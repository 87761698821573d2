# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Queues between the node's threads: a one-slot mailbox that keeps the newest item, and a lossless rendezvous queue."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Slot(Generic[Item]):
    """Slot for one item, shared by threads."""

    def __init__(self) -> None:
        self._item: Item | None = None
        self._closed = False
        self._changed = threading.Condition()

    @property
    def is_waiting(self) -> bool:
        """Return whether an item is waiting to be taken."""
        with self._changed:
            return self._item is not None


class Mailbox(_Slot[Item]):
    """Hold the newest item; the producer never waits, the consumer does.

    Every item that is put is either taken once or counted as lost once.
    """

    def put(self, item: Item) -> int:
        """Store an item and replace the waiting one.

        Returns:
            Number of lost items: 1 if an item was replaced, or if the mailbox is closed; else 0.
        """
        with self._changed:
            if self._closed:
                return 1
            lost = 0 if self._item is None else 1
            self._item = item
            self._changed.notify()
            return lost

    def take(self) -> Item | None:
        """Wait for an item; return None once the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> int:
        """Make ``take`` return None from now on.

        Returns:
            Number of lost items: 1 if an item was waiting, else 0.
        """
        with self._changed:
            lost = 0 if self._item is None else 1
            self._item = None
            self._closed = True
            self._changed.notify_all()
            return lost


class RendezvousQueue(_Slot[Item]):
    """Pass items from one producer thread to one consumer thread, in order and without loss; the producer waits.

    The queue holds one item, so the producer is never ahead of the consumer by more than one item. This bounds the age
    of the items.
    """

    def put(self, item: Item) -> None:
        """Offer an item and wait until it is taken."""
        with self._changed:
            self._item = item
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._item is None)

    def take(self) -> Item | None:
        """Wait for an item; return None once the producer has closed the queue."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """End the queue after the last item; called by the producer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
