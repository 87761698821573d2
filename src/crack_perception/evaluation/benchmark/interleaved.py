"""Times of several calls that take turns, so that whatever slows the machine down slows all of them down alike.

Times on a busy or throttled machine drift by tens of per cent within minutes. What is compared is therefore measured in
rounds, each of which has every call in it, and ratios are formed round by round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

_MS_PER_S = 1000.0


def times_in_turns(
    calls: Mapping[Key, Callable[[], object]],
    rounds: int,
    turn_s: float = 0.02,
    on_round: Callable[[int], None] = lambda done: None,
) -> dict[Key, Times]:
    """Milliseconds (rounds,) of every call.

    Each call is made twice before, untimed; and once at the beginning of every turn, because the caches are full of
    another call's data by then.

    Args:
        calls: What to time, by name.
        rounds: Number of turns.
        turn_s: A turn is the mean of as many calls as fit into this time, at least one.
        on_round: Told the number of rounds done.
    """
    repeats: dict[Key, int] = {}
    for name, call in calls.items():
        call()
        began_s = time.perf_counter()
        call()
        repeats[name] = max(1, math.floor(turn_s / max(time.perf_counter() - began_s, 1e-9)))
    taken: dict[Key, list[float]] = {name: [] for name in calls}
    for done in range(rounds):
        for name, call in calls.items():
            call()
            began_s = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            taken[name].append(_MS_PER_S * (time.perf_counter() - began_s) / repeats[name])
        on_round(done + 1)
    return {name: np.array(times) for name, times in taken.items()}


def spread(values: npt.ArrayLike) -> dict[str, float]:
    """``median``, ``min``, ``max`` and the quartiles ``q1`` and ``q3`` of at least one value."""
    array = np.asarray(values, np.float64)
    names = ("min", "q1", "median", "q3", "max")
    return dict(zip(names, map(float, np.percentile(array, (0, 25, 50, 75, 100))), strict=True))


def ratio_spread(slow: Times, fast: Times) -> dict[str, Any]:
    """Spread of how many times longer one call took than another, round by round."""
    return spread(slow / fast)
