"""Benchmark options: which parts are measured, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from crack_perception.errors import UsageError
from crack_perception.evaluation.benchmark.flight import SIZES

PARTS = ("tiles", "stages", "overhead", "idle", "rates", "overload")
"""What can be measured, in this order."""

MAIN_SIZE = "1080p"
"""The size of the images with which everything but the rates is measured."""

_MOST_SOAK_S = 24 * 3600.0


@dataclass(frozen=True)
class Lengths:
    """How much of everything.

    Attributes:
        tile_rounds, frame_rounds, stage_rounds: Turns that all models or stages take.
        overhead_rounds: Pairs of a run of the node and a run of bare inference.
        overhead_s: Length of each.
        idle_s: For how long an idle node is watched.
        probe_s: Length of a try in the search for the highest rate.
        resolution: Of that rate, as a share of it.
        steady_s: Length of runs at fixed rates, the sustained one among them.
        overload_s: Length of the run at three times the sustained rate.
        fixed_hz: The fixed rates.
        sizes: Of the images whose rates are measured.
    """

    tile_rounds: int = 10
    frame_rounds: int = 15
    stage_rounds: int = 15
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
    """What the user asked for.

    Attributes:
        model: Model of the node: the name of a shipped one, or a folder.
        parts: Which of ``PARTS``.
        lengths: How much of everything.
        soak_s: Length of the soak at 30 Hz, and of the overload if that is longer; 0 leaves the soak out.
        seed: Of the simulated walls.

    Raises:
        UsageError: An unknown part, or a soak of impossible length.
    """

    model: str = "nano"
    parts: Sequence[str] = PARTS
    lengths: Lengths = field(default_factory=Lengths)
    soak_s: float = 0.0
    seed: int = 11

    def __post_init__(self) -> None:
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or not self.parts:
            raise UsageError(f"there is no part {', '.join(unknown) or 'named'}", f"Choose among {', '.join(PARTS)}")
        if not 0.0 <= self.soak_s <= _MOST_SOAK_S:
            raise UsageError(f"a soak of {self.soak_s:g} s", f"Give 0 to {_MOST_SOAK_S:g} seconds")
        if self.seed < 0:
            raise UsageError(f"the seed {self.seed} is negative", "Give 0 or more")
