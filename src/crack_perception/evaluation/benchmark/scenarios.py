# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Load scenarios of the node: highest sustained rate, fixed rates, overload, idle and soak test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil

from crack_perception.evaluation.benchmark.flight import FlightInMemory
from crack_perception.evaluation.benchmark.node_run import NodeRun
from crack_perception.evaluation.benchmark.node_under_test import NodeUnderTest
from crack_perception.evaluation.benchmark.options import Lengths
from crack_perception.evaluation.replay.timing import age_figures


def highest_rate(holds: Callable[[float], bool], first_hz: float, max_hz: float, resolution: float) -> float | None:
    """Find the highest rate that holds, by doubling and bisection.

    Args:
        holds: Tests a rate [Hz].
        first_hz: First rate tested.
        max_hz: Highest rate tested.
        resolution: Width of the final bracket, relative to its lower end.

    Returns:
        The highest tested rate that held; None when even a sixteenth of the first rate did not.
    """
    low, high = 0.0, float("inf")
    rate = first_hz
    while high > low * (1.0 + resolution):
        if holds(rate):
            low = rate
            if low >= max_hz:
                break
        else:
            high = rate
            if low == 0.0 and high < first_hz / 10:
                return None
        if high == float("inf"):
            rate = min(2.0 * low, max_hz)
        elif low == 0.0:
            rate = high / 2.0
        else:
            rate = (low * high) ** 0.5
    return low


MAX_MISSED_SHARE = 0.05
"""Share of the images that may be missed at a sustained rate."""

_FIRST_HZ = 10.0
_MAX_HZ = 240.0
# With fewer images a single missed one would decide.
_MIN_IMAGES = 21
_MIN_SENT_SHARE = 0.95
_RATE_REDUCTION = 0.93
_TRIES = 6

Say = Callable[[str], None]


def sustains(run: NodeRun) -> bool:
    """Return whether less than 5 % of the images were missed and the images were really sent at the rate."""
    return run.missed_share < MAX_MISSED_SHARE and run.sent_hz >= _MIN_SENT_SHARE * run.asked_hz


def sustained_rate(node: NodeUnderTest, flight: FlightInMemory, lengths: Lengths, say: Say) -> dict[str, Any]:
    """Measure the highest rate that the node sustains.

    A rate found in short tests is confirmed in a longer run; if it fails there, lower rates are tested.

    Returns:
        ``hz`` and ``age_ms`` (both None when even the lowest rate is not sustained), ``drops`` (share of images
        missed), and the figures of the longer run.
    """

    def holds(rate_hz: float) -> bool:
        run = node.run(flight, rate_hz, lengths.probe_s, _MIN_IMAGES)
        say(f"    {rate_hz:5.1f} Hz: {100 * run.missed_share:.0f} % missed")
        return sustains(run)

    rate_hz = highest_rate(holds, _FIRST_HZ, _MAX_HZ, lengths.resolution)
    for _ in range(_TRIES):
        if rate_hz is None:
            break
        run = node.run(flight, rate_hz, lengths.steady_s, _MIN_IMAGES)
        if sustains(run):
            return {
                "hz": rate_hz,
                "drops": run.missed_share,
                "age_ms": age_figures(run.ages_ms),
                "run": run.figures(),
            }
        rate_hz *= _RATE_REDUCTION
    return {"hz": None, "drops": None, "age_ms": None, "run": None}


def fixed_rates(node: NodeUnderTest, flight: FlightInMemory, lengths: Lengths, say: Say) -> dict[str, dict[str, Any]]:
    """Run the node at fixed rates; returns the figures by rate in Hz, as text."""
    figures = {}
    for rate_hz in lengths.fixed_hz:
        run = node.run(flight, rate_hz, lengths.steady_s)
        say(f"    {rate_hz:g} Hz: {100 * run.missed_share:.0f} % missed")
        figures[f"{rate_hz:g}"] = run.figures()
    return figures


OVERLOAD = 3.0
"""Rate of the overload, as a multiple of the sustained rate."""
SOAK_HZ = 30.0

_SAMPLE_S = 1.0
# Allocations before the steady state are no leak. Neither is the transport's shared memory, whose pages count as the
# node's once an image was stored in them.
_MIN_WARM_UP_S = 20.0
_WARM_UP = 0.1
_MAX_WARM_UP = 0.25
_ENDS = 0.1


def overload(node: NodeUnderTest, flight: FlightInMemory, sustained_hz: float, seconds: float) -> dict[str, Any]:
    """Run the node at three times its sustained rate, where the frame age must not keep growing.

    Returns:
        Figures of the run, with ``age_p95_over_processing``: 95th percentile of the age over the median processing
        time.
    """
    run = node.run(flight, OVERLOAD * sustained_hz, seconds)
    ages, processing = age_figures(run.ages_ms), age_figures(run.processing_ms)
    over = ages["p95"] / processing["median"] if ages and processing else None
    return {**run.figures(), "age_p95_over_processing": over}


def idle_load(node: NodeUnderTest, seconds: float) -> dict[str, Any]:
    """Measure the CPU load of a node [% of a core] when configured but inactive, then when active without input."""
    node.configure()
    inactive, _ = node.load_during(seconds)
    node.activate()
    active, rss_mb = node.load_during(seconds)
    return {"inactive_cpu_percent": inactive, "active_cpu_percent": active, "rss_mb": rss_mb, "seconds": seconds}


def soak(node: NodeUnderTest, flight: FlightInMemory, seconds: float) -> dict[str, Any]:
    """Run the node at 30 Hz for a long time and measure the growth of memory and frame age.

    Returns:
        Figures of the run, with ``rss_mb_samples`` and ``private_mb_samples`` (once a second; the latter without shared
        memory and files), and the growth of both (see :func:`growth`) after a warm-up.
    """
    memory = MemorySamples(node.pid)
    run = node.run(flight, SOAK_HZ, seconds, on_tick=memory.sample)
    warm_up = round(min(max(_MIN_WARM_UP_S, _WARM_UP * seconds), _MAX_WARM_UP * seconds) / _SAMPLE_S)
    return {
        **run.figures(),
        "seconds": seconds,
        "rss_mb_samples": memory.rss_mb,
        "private_mb_samples": memory.private_mb,
        "rss_growth": growth(memory.rss_mb[warm_up:]),
        "private_growth": growth(memory.private_mb[warm_up:]),
    }


class MemorySamples:
    """Resident memory of a process, sampled at most once a second.

    Args:
        pid: Process id.
        now_s: Monotonic clock [s].

    Attributes:
        rss_mb: Resident memory [10^6 bytes].
        private_mb: Resident memory without files and shared memory [10^6 bytes].
    """

    def __init__(self, pid: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._process = psutil.Process(pid)
        self._now_s = now_s
        self._next_s = float("-inf")
        self.rss_mb: list[float] = []
        self.private_mb: list[float] = []

    def sample(self) -> None:
        """Sample the memory if a second has passed since the last sample."""
        now_s = self._now_s()
        if now_s >= self._next_s:
            self._next_s = now_s + _SAMPLE_S
            memory = self._process.memory_info()
            self.rss_mb.append(memory.rss / 1e6)
            self.private_mb.append((memory.rss - memory.shared) / 1e6)


def growth(samples: list[float]) -> float | None:
    """Return the mean of the last tenth of samples over that of the first tenth, minus one; None for fewer than two."""
    if len(samples) < 2:
        return None
    count = max(1, round(_ENDS * len(samples)))
    return float(np.mean(samples[-count:]) / np.mean(samples[:count]) - 1.0)
