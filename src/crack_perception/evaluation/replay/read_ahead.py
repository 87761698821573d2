# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reading of a bag in a separate thread, so that the disk does not delay publishing."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from crack_perception.evaluation.recordings.bag import BagMessage

DEFAULT_BUDGET_BYTES = 256 * 1024 * 1024


class ReadAhead:
    """Iterator over messages that a thread reads ahead; call ``close`` when done.

    Args:
        messages: Messages to read; an exception is raised in the consumer's thread.
        budget_bytes: Maximum size of the buffered messages (at least one message).
    """

    def __init__(self, messages: Iterable[BagMessage], budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._messages = messages
        self._budget_bytes = budget_bytes
        self._waiting: deque[BagMessage] = deque()
        self._waiting_bytes = 0
        self._finished = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="bag reader", daemon=True)
        self._thread.start()

    def wait_until_filled(self, timeout_s: float) -> None:
        """Wait until the budget is used or the bag is at its end."""
        with self._changed:
            self._changed.wait_for(lambda: self._finished or self._is_full(), timeout_s)

    def __iter__(self) -> Iterator[BagMessage]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._finished)
                if not self._waiting:
                    break
                message = self._waiting.popleft()
                self._waiting_bytes -= len(message.data)
                self._changed.notify_all()
            yield message
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop reading."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()
        self._thread.join()

    def _is_full(self) -> bool:
        return self._waiting_bytes >= self._budget_bytes

    def _read(self) -> None:
        try:
            for message in self._messages:
                with self._changed:
                    self._changed.wait_for(lambda: self._finished or not self._is_full())
                    if self._finished:
                        return
                    self._waiting.append(message)
                    self._waiting_bytes += len(message.data)
                    self._changed.notify_all()
        except BaseException as error:  # raised in the consumer's thread
            self._error = error
        finally:
            with self._changed:
                self._finished = True
                self._changed.notify_all()
