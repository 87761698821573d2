# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Time limits of tests on a machine with other load: long timeouts, and required durations that scale with the load.

A test waits for a condition and continues as soon as it is met, so a long timeout only takes time if the test fails.
A required limit on a duration applies unchanged on an idle machine and grows with the load.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

PATIENCE_S = 90.0
"""Timeout for everything that must happen [s]."""

_PROBE_S = 0.05
_PROBES = 3
_BUSY_SLOWDOWN = 1.25
_BUSY_MARGIN = 3.0


def wait_for(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Poll until the condition is met; fail after the timeout."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, "what the test waits for did not happen"
        time.sleep(0.01)


def slowdown() -> float:
    """Measure the ratio of wall time to processor time of a computation; 1 on an idle machine."""
    wall_s, cpu_s = time.perf_counter(), time.thread_time()
    end_cpu_s = cpu_s + _PROBES * _PROBE_S
    while time.thread_time() < end_cpu_s:
        pass
    return max(1.0, (time.perf_counter() - wall_s) / (time.thread_time() - cpu_s))


def allowed_s(limit_s: float) -> float:
    """Scale a required limit on a duration [s] by the present load of other programs."""
    factor = slowdown()
    return limit_s if factor < _BUSY_SLOWDOWN else limit_s * factor * _BUSY_MARGIN


def assert_ratio(measure: Callable[[], float], holds: Callable[[float], bool], tries: int = 3) -> None:
    """Fail if a ratio of times is not met in any of a few attempts; skip if the machine is too busy to measure it.

    On an idle machine, a regression fails every time. On a busy machine, neither result is meaningful.
    """
    seen = []
    for _ in range(tries):
        seen.append(measure())
        if holds(seen[-1]):
            return
    factor = slowdown()
    if factor >= _BUSY_SLOWDOWN:
        pytest.skip(f"the machine is busy (computations take {factor:.1f} times longer), ratios {seen} mean nothing")
    raise AssertionError(f"the ratio holds in none of {tries} tries on a quiet machine: {seen}")
