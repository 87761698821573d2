"""Polling with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

_POLL_S = 0.02


def wait_until(condition: Callable[[], bool], timeout_s: float, check: Callable[[], None]) -> bool:
    """Poll until the condition holds or the time is over; returns whether it holds.

    Args:
        condition: What is waited for.
        timeout_s: For how long at most.
        check: Called at every poll; raises when waiting further is pointless.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        check()
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True
