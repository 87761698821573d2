"""What rates a node sustains, and how it does at fixed ones, in the manner of ros2_benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crack_perception.evaluation.benchmark.flight import FlightInMemory
from crack_perception.evaluation.benchmark.node_run import NodeRun
from crack_perception.evaluation.benchmark.node_under_test import NodeUnderTest
from crack_perception.evaluation.benchmark.plan import Lengths
from crack_perception.evaluation.benchmark.rate_search import highest_rate
from crack_perception.evaluation.replay.timing import age_figures

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
