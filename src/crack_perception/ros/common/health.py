# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Health of a node: fault counters by kind, rate-limited log lines and texts for the diagnostics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from crack_perception.errors import printable

_LOG_EVERY_S = 5.0


@dataclass
class _Kind:
    count: int = 0
    unlogged: int = 0
    last_text: str = ""
    last_seen_s: float = -float("inf")
    last_logged_s: float = -float("inf")


class Health:
    """Count and log problems without flooding the log; thread-safe.

    Args:
        log: Function that writes one warning line.
    """

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._kinds: dict[str, _Kind] = {}
        self._lock = threading.Lock()

    def report(self, kind: str, text: str) -> None:
        """Count a problem of this kind and log its text unless one of the kind was logged within the last seconds.

        The text may hold names from messages: it is made printable and, if long, shortened.
        """
        text = printable(text)
        now_s = time.monotonic()
        with self._lock:
            state = self._kinds.setdefault(kind, _Kind())
            state.count += 1
            state.last_text = text
            state.last_seen_s = now_s
            if now_s - state.last_logged_s < _LOG_EVERY_S:
                state.unlogged += 1
                return
            repeated = f" ({state.unlogged} more of this kind since the last line)" if state.unlogged else ""
            state.unlogged = 0
            state.last_logged_s = now_s
        self._log(f"{text}{repeated}")

    def resolve(self, kind: str) -> None:
        """Mark a kind of problem as resolved."""
        with self._lock:
            if kind in self._kinds:
                self._kinds[kind].last_seen_s = -float("inf")

    def counts(self) -> dict[str, int]:
        """Return the number of problems by kind."""
        with self._lock:
            return {kind: state.count for kind, state in sorted(self._kinds.items())}

    def last_texts(self) -> dict[str, str]:
        """Return the last text of each kind."""
        with self._lock:
            return {kind: state.last_text for kind, state in sorted(self._kinds.items())}

    def present(self, within_s: float) -> list[str]:
        """Return the texts of the kinds that occurred within the last seconds."""
        return list(self._present(within_s).values())

    def present_kinds(self, within_s: float) -> frozenset[str]:
        """Return the kinds that occurred within the last seconds."""
        return frozenset(self._present(within_s))

    def _present(self, within_s: float) -> dict[str, str]:
        now_s = time.monotonic()
        with self._lock:
            return {kind: s.last_text for kind, s in sorted(self._kinds.items()) if now_s - s.last_seen_s <= within_s}
