# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a fault case is: how it runs, and how the nodes' reports on it are timed."""

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
"""Within this time, plus the transport's latency, a fault and its end are reported."""
MEMORY_S = 3.0
"""For so long the nodes keep a problem in their diagnostics after it was last seen."""
# How much longer is waited for what is late, to be able to say how late it was.
_EXCESS_S = 20.0
_HOLD_S = 1.0
_LATENCY_WINDOW_S = 10.0
_MOST_LATENCY_S = 10.0


@dataclass
class Outcome:
    """How a case ended.

    Attributes:
        passed: As expected.
        seen: In words.
        figures: Measured times in seconds and the like.
    """

    passed: bool
    seen: str
    figures: Mapping[str, Any]


@dataclass
class Flying:
    """Everything that a case may use.

    Attributes:
        feed, watch, nodes, processes: The parts of the soak test.
        random: Seeded, for what a case chooses.
    """

    feed: Feed
    watch: Watch
    nodes: SoakNodes
    processes: ProcessWatch
    random: random.Random

    def check(self) -> None:
        """Raise when the flight or a node has ended by itself."""
        self.feed.check()
        self.nodes.check_alive()

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Poll until a condition holds or the time is over; whether it holds."""
        return wait_until(condition, timeout_s, self.check)

    def pause(self, seconds: float) -> None:
        """Let time pass, and notice when something ends."""
        self.wait(lambda: False, seconds)

    def latency_s(self, since_s: float) -> float:
        """The transport's latency on this machine now: the worst age of a result and the worst delay of the sender."""
        ages_s = self.watch.ages_s(since_s - _LATENCY_WINDOW_S)
        return min(max(ages_s, default=0.0) + self.feed.worst_lateness_s, _MOST_LATENCY_S)

    def is_well(self, since_s: float) -> bool:
        """Both nodes have reported OK since a moment and frames are placed."""
        states = [self.watch.latest(name) for name in (DETECTOR, MAPPER)]
        return self.watch.has_located(since_s) and all(
            state is not None and state.level == OK and state.arrived_s >= since_s for state in states
        )


@dataclass(frozen=True)
class Case:
    """A fault.

    Attributes:
        name: In the table.
        expected: In words.
        run: Injects it, ends it, and compares.
        transport: Images that it needs: ``raw`` or ``compressed``; empty for any.
        once: Only in the first round.
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
    """A fault of the inputs that the detector's diagnostics have to report, and its end too.

    Args:
        name, expected, transport: As in Case.
        levels: That its diagnostics may have.
        text: That their message holds.
        spoils: Input -> what is done to its messages.
        grace_s: How long the fault must last before it is one.
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
    """Inject a fault until it is reported, end it, and wait until all is well again; both within the limit.

    Args:
        flying: The soak test.
        target: Full name of the node that has to report it.
        levels, text: What its diagnostics have to hold.
        fault: Is at work inside.
        grace_s: How long the fault must last before it is one.
        end_grace_s: How long the node keeps it in its diagnostics after its end.
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
    """The first diagnostics of a node since a moment with one of the levels and the text; None if none comes."""
    found: list[Status] = []

    def is_there() -> bool:
        status = flying.watch.first(target, since_s, levels, text)
        if status is not None:
            found.append(status)
        return status is not None

    flying.wait(is_there, timeout_s)
    return found[0] if found else None


def undisturbed(flying: Flying, since_s: float, allowed: tuple[str, ...] = (OK,)) -> str:
    """The diagnostics since a moment that were not as allowed, in words; empty if there were none."""
    for name in (DETECTOR, MAPPER):
        for status in flying.watch.levels(name, since_s):
            if status.level not in allowed:
                return f"{name} reported {status.level}: {status.message[:120]}"
    return ""


def state_of(flying: Flying) -> str:
    """Level and message of both nodes' latest diagnostics."""
    states = []
    for name in (DETECTOR, MAPPER):
        status = flying.watch.latest(name)
        states.append(f"{name} {status.level}: {status.message[:100]}" if status else f"{name}: no diagnostics")
    return "; ".join(states)


def shortened(message: str, text: str, width: int = 60) -> str:
    """The part of a message that holds a text."""
    start = message.find(text) if text else 0
    part = message[max(0, start) :].partition(";")[0]
    return part if len(part) <= width else f"{part[: width - 3]}..."
