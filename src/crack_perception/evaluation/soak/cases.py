# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Fault cases: their execution, and the timing of the nodes' reports on them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from crack_perception.evaluation.replay.node_client import wait_until
from crack_perception.evaluation.soak.feed import Feed, Spoil
from crack_perception.evaluation.soak.nodes import DETECTOR, MAPPER, SoakNodes
from crack_perception.evaluation.soak.processes import ProcessWatch
from crack_perception.evaluation.soak.watch import OK, Status, Watch

REPORT_LIMIT_S = 1.0
"""Time within which a fault and its end must be reported [s], in addition to the transport's latency."""
MEMORY_S = 3.0
"""Time that the nodes keep a fault in their diagnostics after its last occurrence [s]."""
# Additional waiting time, to measure how late a late report is.
_EXCESS_S = 20.0
_HOLD_S = 1.0
_LATENCY_WINDOW_S = 10.0
_MOST_LATENCY_S = 10.0


@dataclass
class Outcome:
    """Result of a case.

    Attributes:
        passed: True if the behaviour was as expected.
        seen: Description of the observed behaviour.
        figures: Measured values, for example times in seconds.
    """

    passed: bool
    seen: str
    figures: Mapping[str, Any]


@dataclass
class Flying:
    """Parts of the soak test that a case may use.

    Attributes:
        feed, watch, nodes, processes: Parts of the soak test.
        random: Seeded random number generator for the choices of a case.
    """

    feed: Feed
    watch: Watch
    nodes: SoakNodes
    processes: ProcessWatch
    random: random.Random

    def check(self) -> None:
        """Raise if the flight or a node has ended by itself."""
        self.feed.check()
        self.nodes.check_alive()

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Poll until a condition is met or the time is over; return whether it is met."""
        return wait_until(condition, timeout_s, self.check)

    def pause(self, seconds: float) -> None:
        """Wait, and raise if the flight or a node ends."""
        self.wait(lambda: False, seconds)

    def latency_s(self, since_s: float) -> float:
        """Return the present latency of the transport [s]: worst age of a result plus worst delay of the sender."""
        ages_s = self.watch.ages_s(since_s - _LATENCY_WINDOW_S)
        return min(max(ages_s, default=0.0) + self.feed.worst_lateness_s, _MOST_LATENCY_S)

    def is_well(self, since_s: float) -> bool:
        """Return whether both nodes have reported OK since a moment and frames are located in the map."""
        states = [self.watch.latest(name) for name in (DETECTOR, MAPPER)]
        return self.watch.has_located(since_s) and all(
            state is not None and state.level == OK and state.arrived_s >= since_s for state in states
        )


@dataclass(frozen=True)
class Case:
    """A fault.

    Attributes:
        name: Name in the table.
        expected: Description of the expected behaviour.
        run: Injects the fault, ends it, and compares the behaviour.
        transport: Type of images that it needs: ``raw`` or ``compressed``; empty for any.
        once: True to run it only in the first round.
    """

    name: str
    expected: str
    run: Callable[[Flying], Outcome]
    transport: str = ""
    once: bool = False


def reported(
    name: str,
    expected: str,
    levels: tuple[str, ...],
    text: str,
    spoils: Mapping[str, Spoil],
    transport: str = "",
    grace_s: float = 0.0,
) -> Case:
    """Create a case for a fault of the inputs; the detector's diagnostics must report the fault and its end.

    Args:
        name, expected, transport: As in Case.
        levels: Allowed levels of the diagnostics.
        text: Text that their message must contain.
        spoils: Input -> change of its messages.
        grace_s: Time that the fault must last before it must be reported [s].
    """

    def run(flying: Flying) -> Outcome:
        return timed_report(flying, DETECTOR, levels, text, flying.feed.spoiled(spoils), grace_s)

    return Case(name, expected, run, transport)


def timed_report(
    flying: Flying,
    target: str,
    levels: tuple[str, ...],
    text: str,
    fault: AbstractContextManager[None],
    grace_s: float,
    end_grace_s: float = MEMORY_S,
) -> Outcome:
    """Inject a fault until it is reported, end it, and wait until both nodes report OK; both within the limit.

    Args:
        flying: Parts of the soak test.
        target: Full name of the node that must report the fault.
        levels, text: Allowed levels, and text that the diagnostics must contain.
        fault: Context manager that injects the fault.
        grace_s: Time that the fault must last before it must be reported [s].
        end_grace_s: Time that the node keeps the fault in its diagnostics after its end [s].
    """
    began_s = time.monotonic()
    with fault:
        status = report_since(flying, target, began_s, levels, text, REPORT_LIMIT_S + grace_s + _EXCESS_S)
        since_s = max(began_s, flying.feed.spoiled_since_s or began_s)
        latency_s = flying.latency_s(since_s)
        flying.pause(_HOLD_S)
    if status is None:
        last = flying.watch.latest(target)
        said = f"{last.level}: {last.message[:120]}" if last else "no diagnostics"
        return Outcome(False, f"not reported; {said}", {"latency_s": round(latency_s, 3)})
    ended_s = time.monotonic()
    is_well = flying.wait(lambda: flying.is_well(ended_s), end_grace_s + REPORT_LIMIT_S + _EXCESS_S)
    well_s = time.monotonic() - ended_s
    latency_s = max(latency_s, flying.latency_s(ended_s))
    took_s = status.arrived_s - since_s
    limit_s = REPORT_LIMIT_S + grace_s + latency_s
    seen = f"{status.level} after {took_s:.1f} s ({shortened(status.message, text)})"
    figures = {"reported_s": round(took_s, 3), "well_s": round(well_s, 3), "latency_s": round(latency_s, 3)}
    if not is_well:
        return Outcome(False, f"{seen}; not OK {well_s:.0f} s after its end: {state_of(flying)}", figures)
    end_limit_s = end_grace_s + REPORT_LIMIT_S + 2 * latency_s
    # Its end is noticed with the first good frame, and the node's memory begins with the last bad one.
    passed = took_s <= limit_s and well_s <= end_limit_s
    late = "" if passed else f"; limits {limit_s:.1f} s and {end_limit_s:.1f} s"
    return Outcome(passed, f"{seen}; OK {well_s:.1f} s after its end{late}", figures)


def report_since(
    flying: Flying, target: str, since_s: float, levels: tuple[str, ...], text: str, timeout_s: float
) -> Status | None:
    """Wait for diagnostics of a node since a moment with one of the levels and the text; None if there are none."""
    found: list[Status] = []

    def is_there() -> bool:
        status = flying.watch.first(target, since_s, levels, text)
        if status is not None:
            found.append(status)
        return status is not None

    flying.wait(is_there, timeout_s)
    return found[0] if found else None


def undisturbed(flying: Flying, since_s: float, allowed: tuple[str, ...] = (OK,)) -> str:
    """Describe the diagnostics since a moment that were not allowed; empty if there were none."""
    for name in (DETECTOR, MAPPER):
        for status in flying.watch.levels(name, since_s):
            if status.level not in allowed:
                return f"{name} reported {status.level}: {status.message[:120]}"
    return ""


def state_of(flying: Flying) -> str:
    """Describe level and message of both nodes' latest diagnostics."""
    states = []
    for name in (DETECTOR, MAPPER):
        status = flying.watch.latest(name)
        states.append(f"{name} {status.level}: {status.message[:100]}" if status else f"{name}: no diagnostics")
    return "; ".join(states)


def shortened(message: str, text: str, width: int = 60) -> str:
    """Return the part of a message that contains a text."""
    start = message.find(text) if text else 0
    part = message[max(0, start) :].partition(";")[0]
    return part if len(part) <= width else f"{part[: width - 3]}..."
