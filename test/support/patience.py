# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How long tests wait: generous ceilings for a machine on which other programs run, and limits that scale with them.

A test waits for a condition and goes on at once when it holds, so a high ceiling only costs time where something is
wrong. A limit on a duration, which a requirement names, holds as it is on a quiet machine and grows with the load.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

PATIENCE_S = 90.0
"""Ceiling for anything that must happen."""

_PROBE_S = 0.05
_PROBES = 3
_BUSY_SLOWDOWN = 1.25
_BUSY_MARGIN = 3.0


def wait_for(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Poll until the condition holds; fail when it does not in time."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, "what the test waits for did not happen"
        time.sleep(0.01)


def slowdown() -> float:
    """How many times longer a computation takes now than the processor works on it; 1 on a quiet machine."""
    wall_s, cpu_s = time.perf_counter(), time.thread_time()
    end_cpu_s = cpu_s + _PROBES * _PROBE_S
    while time.thread_time() < end_cpu_s:
        pass
    return max(1.0, (time.perf_counter() - wall_s) / (time.thread_time() - cpu_s))


def allowed_s(limit_s: float) -> float:
    """A required limit on a duration, stretched by what other programs take away at this moment."""
    factor = slowdown()
    return limit_s if factor < _BUSY_SLOWDOWN else limit_s * factor * _BUSY_MARGIN


def assert_ratio(measure: Callable[[], float], holds: Callable[[float], bool], tries: int = 3) -> None:
    """Fail when a ratio of times holds in none of a few tries; skip where the machine is too busy to measure it.

    A regression fails every time on a quiet machine. On a busy one neither outcome says anything about the code.
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
