# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Benchmark options: which parts are measured, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from crack_perception.errors import UsageError
from crack_perception.evaluation.benchmark.flight import SIZES

PARTS = ("tiles", "stages", "start", "overhead", "throughput", "idle", "rates", "overload", "instructions")
"""Parts of the benchmark, in order of execution."""

MAIN_SIZE = "1080p"
"""Image size of all measurements except the rates."""

_MAX_SOAK_S = 24 * 3600.0


@dataclass(frozen=True)
class Lengths:
    """Numbers of rounds and durations of the measurements.

    Attributes:
        tile_rounds, frame_rounds, stage_rounds: Rounds in which all models or stages are timed.
        start_rounds: Number of starts of the node.
        overhead_rounds: Pairs of a node run and a bare inference run.
        overhead_s: Duration of each of these runs [s].
        idle_s: Duration of the idle measurement [s].
        probe_s: Duration of one test in the search for the highest rate [s].
        resolution: Relative resolution of that rate.
        steady_s: Duration of runs at fixed rates and at the sustained rate [s].
        overload_s: Duration of the run at three times the sustained rate [s].
        fixed_hz: Fixed rates [Hz].
        sizes: Image sizes whose rates are measured.
    """

    tile_rounds: int = 10
    frame_rounds: int = 15
    stage_rounds: int = 15
    start_rounds: int = 5
    overhead_rounds: int = 5
    overhead_s: float = 2.0
    idle_s: float = 6.0
    probe_s: float = 2.0
    resolution: float = 0.06
    steady_s: float = 5.0
    overload_s: float = 15.0
    fixed_hz: Sequence[float] = (10.0, 30.0, 60.0)
    sizes: Sequence[str] = tuple(SIZES)


QUICK = Lengths(
    tile_rounds=2,
    frame_rounds=3,
    stage_rounds=3,
    start_rounds=2,
    overhead_rounds=2,
    overhead_s=1.0,
    idle_s=2.0,
    probe_s=1.0,
    resolution=0.25,
    steady_s=1.5,
    overload_s=3.0,
    fixed_hz=(30.0,),
    sizes=(MAIN_SIZE, "2160p"),
)


@dataclass(frozen=True)
class BenchmarkOptions:
    """Options given by the user.

    Attributes:
        model: Model of the node: name of a shipped model, or a folder.
        parts: Selection of ``PARTS``.
        lengths: Numbers of rounds and durations.
        soak_s: Duration of the soak test at 30 Hz [s], also of the overload if that is shorter; 0 skips the soak test.
        seed: Seed of the simulated walls.

    Raises:
        UsageError: A part is unknown, or the soak duration or the seed is out of range.
    """

    model: str = "nano"
    parts: Sequence[str] = PARTS
    lengths: Lengths = field(default_factory=Lengths)
    soak_s: float = 0.0
    seed: int = 11

    def __post_init__(self) -> None:
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or not self.parts:
            problem = f"unknown part {', '.join(unknown)}" if unknown else "no part is selected"
            raise UsageError(problem, f"Choose from {', '.join(PARTS)}")
        if not 0.0 <= self.soak_s <= _MAX_SOAK_S:
            problem = f"the soak duration {self.soak_s:g} s is out of range"
            raise UsageError(problem, f"Give 0 to {_MAX_SOAK_S:g} seconds")
        if self.seed < 0:
            raise UsageError(f"the seed {self.seed} is negative", "Give 0 or more")
