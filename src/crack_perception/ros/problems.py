"""Problems by kind: each is counted, logged at most every few seconds, and kept for the diagnostics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_LOG_EVERY_S = 5.0


@dataclass
class _Kind:
    count: int = 0
    unlogged: int = 0
    last_text: str = ""
    last_seen_s: float = -float("inf")
    last_logged_s: float = -float("inf")


class Problems:
    """Collects what goes wrong without letting it flood the log.

    Args:
        log: Writes one warning line.
    """

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._kinds: dict[str, _Kind] = {}
        self._lock = threading.Lock()

    def report(self, kind: str, text: str) -> None:
        """Count a problem of this kind and log its text unless one of the kind was logged a moment ago."""
        now_s = time.monotonic()
        with self._lock:
            state = self._kinds.setdefault(kind, _Kind())
            state.count += 1
            state.last_text = text
            state.last_seen_s = now_s
            if now_s - state.last_logged_s < _LOG_EVERY_S:
                state.unlogged += 1
                return
            repeated = f" ({state.unlogged} more like it since the last line)" if state.unlogged else ""
            state.unlogged = 0
            state.last_logged_s = now_s
        self._log(f"{text}{repeated}")

    def counts(self) -> dict[str, int]:
        """How often each kind occurred."""
        with self._lock:
            return {kind: state.count for kind, state in sorted(self._kinds.items())}

    def present(self, within_s: float) -> list[str]:
        """Texts of the kinds seen within the last seconds."""
        now_s = time.monotonic()
        with self._lock:
            return [s.last_text for _, s in sorted(self._kinds.items()) if now_s - s.last_seen_s <= within_s]
