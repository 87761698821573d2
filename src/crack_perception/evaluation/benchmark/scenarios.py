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


def highest_rate(holds: Callable[[float], bool], first_hz: float, most_hz: float, resolution: float) -> float | None:
    """The highest rate that holds, to within a relative resolution.

    Args:
        holds: Tries a rate.
        first_hz: The first one tried.
        most_hz: No higher one is tried.
        resolution: Ends the search when the bracket is narrower than this share of its lower end.

    Returns:
        The highest rate that was tried and held; None when none did, down to a sixteenth of the first.
    """
    low, high = 0.0, float("inf")
    rate = first_hz
    while high > low * (1.0 + resolution):
        if holds(rate):
            low = rate
            if low >= most_hz:
                break
        else:
            high = rate
            if low == 0.0 and high < first_hz / 10:
                return None
        if high == float("inf"):
            rate = min(2.0 * low, most_hz)
        elif low == 0.0:
            rate = high / 2.0
        else:
            rate = (low * high) ** 0.5
    return low


MOST_MISSED = 0.05
"""Share of the images that a sustained rate may lose."""

_FIRST_HZ = 10.0
_MOST_HZ = 240.0
# With fewer images one lost by chance would decide.
_LEAST_IMAGES = 21
_LEAST_SENT = 0.95
_RELIEF = 0.93
_TRIES = 6

Say = Callable[[str], None]


def sustains(run: NodeRun) -> bool:
    """Fewer than 5 % missed of images that were really sent at that rate."""
    return run.missed_share < MOST_MISSED and run.sent_hz >= _LEAST_SENT * run.asked_hz


def sustained_rate(node: NodeUnderTest, flight: FlightInMemory, lengths: Lengths, say: Say) -> dict[str, Any]:
    """The highest rate that the node sustains, and how it does at that rate.

    A rate that a short try took for sustained must prove itself in a longer run, or a lower one is tried.

    Returns:
        ``hz`` and ``age_ms`` (both None where even one image a second or so is too much), ``drops`` (share of images
        missed), and the figures of the longer run.
    """

    def holds(rate_hz: float) -> bool:
        run = node.run(flight, rate_hz, lengths.probe_s, _LEAST_IMAGES)
        say(f"    {rate_hz:5.1f} Hz: {100 * run.missed_share:.0f} % missed")
        return sustains(run)

    rate_hz = highest_rate(holds, _FIRST_HZ, _MOST_HZ, lengths.resolution)
    for _ in range(_TRIES):
        if rate_hz is None:
            break
        run = node.run(flight, rate_hz, lengths.steady_s, _LEAST_IMAGES)
        if sustains(run):
            return {
                "hz": rate_hz,
                "drops": run.missed_share,
                "age_ms": age_figures(run.ages_ms),
                "run": run.figures(),
            }
        rate_hz *= _RELIEF
    return {"hz": None, "drops": None, "age_ms": None, "run": None}


def fixed_rates(node: NodeUnderTest, flight: FlightInMemory, lengths: Lengths, say: Say) -> dict[str, dict[str, Any]]:
    """Rate in Hz, as a text -> the figures of a run at that rate."""
    figures = {}
    for rate_hz in lengths.fixed_hz:
        run = node.run(flight, rate_hz, lengths.steady_s)
        say(f"    {rate_hz:g} Hz: {100 * run.missed_share:.0f} % missed")
        figures[f"{rate_hz:g}"] = run.figures()
    return figures


OVERLOAD = 3.0
"""How many times the sustained rate an overload is."""
SOAK_HZ = 30.0

_SAMPLE_S = 1.0
# What is allocated on the way to a steady state is no leak; nor is the transport's shared memory, whose pages count as
# the node's from the first time that an image comes to lie in them.
_LEAST_WARM_UP_S = 20.0
_WARM_UP = 0.1
_LONGEST_WARM_UP = 0.25
_ENDS = 0.1


def overload(node: NodeUnderTest, flight: FlightInMemory, sustained_hz: float, seconds: float) -> dict[str, Any]:
    """Three times the rate that the node sustains: its frames may not grow older and older.

    Returns:
        The run's figures, with ``age_p95_over_processing``: the 95th percentile of the age in medians of the processing
        time.
    """
    run = node.run(flight, OVERLOAD * sustained_hz, seconds)
    ages, processing = age_figures(run.ages_ms), age_figures(run.processing_ms)
    over = ages["p95"] / processing["median"] if ages and processing else None
    return {**run.figures(), "age_p95_over_processing": over}


def idle_load(node: NodeUnderTest, seconds: float) -> dict[str, Any]:
    """Bring a node up, and watch it configured but inactive, then active without any input: percent of a core."""
    node.configure()
    inactive, _ = node.load_during(seconds)
    node.activate()
    active, rss_mb = node.load_during(seconds)
    return {"inactive_cpu_percent": inactive, "active_cpu_percent": active, "rss_mb": rss_mb, "seconds": seconds}


def soak(node: NodeUnderTest, flight: FlightInMemory, seconds: float) -> dict[str, Any]:
    """Thirty images a second for a long time: does memory grow, does the age of frames?

    Returns:
        The run's figures, with ``rss_mb_samples`` and ``private_mb_samples`` (once a second; the latter without shared
        memory and files), and the growth of both (see :func:`growth`) after a tenth of the time, but at least 20 s.
    """
    memory = MemorySamples(node.pid)
    run = node.run(flight, SOAK_HZ, seconds, on_tick=memory.sample)
    warm_up = round(min(max(_LEAST_WARM_UP_S, _WARM_UP * seconds), _LONGEST_WARM_UP * seconds) / _SAMPLE_S)
    return {
        **run.figures(),
        "seconds": seconds,
        "rss_mb_samples": memory.rss_mb,
        "private_mb_samples": memory.private_mb,
        "rss_growth": growth(memory.rss_mb[warm_up:]),
        "private_growth": growth(memory.private_mb[warm_up:]),
    }


class MemorySamples:
    """Resident memory of a process, sampled once a second at most.

    Args:
        pid: Of the process.
        now_s: A monotonic clock.

    Attributes:
        rss_mb: Resident memory in 10^6 bytes.
        private_mb: That without files and shared memory.
    """

    def __init__(self, pid: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._process = psutil.Process(pid)
        self._now_s = now_s
        self._next_s = float("-inf")
        self.rss_mb: list[float] = []
        self.private_mb: list[float] = []

    def sample(self) -> None:
        """Take a sample if a second has passed since the last one."""
        now_s = self._now_s()
        if now_s >= self._next_s:
            self._next_s = now_s + _SAMPLE_S
            memory = self._process.memory_info()
            self.rss_mb.append(memory.rss / 1e6)
            self.private_mb.append((memory.rss - memory.shared) / 1e6)


def growth(samples: list[float]) -> float | None:
    """Mean of the last tenth of samples over that of the first, less one; None with fewer than two."""
    if len(samples) < 2:
        return None
    count = max(1, round(_ENDS * len(samples)))
    return float(np.mean(samples[-count:]) / np.mean(samples[:count]) - 1.0)
