# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Interleaved timing of several calls, so that anything that slows down the machine affects all of them equally.

Times on a busy or throttled machine drift by tens of per cent within minutes. Calls that are compared are therefore
timed in rounds, each of which contains every call, and ratios are formed round by round.
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


def interleaved_times(
    calls: Mapping[Key, Callable[[], object]],
    rounds: int,
    turn_s: float = 0.02,
    on_round: Callable[[int], None] = lambda done: None,
) -> dict[Key, Times]:
    """Return the times (rounds,) of every call [ms].

    Each call is made twice before timing, and once untimed at the start of every turn, because the caches hold
    the data of another call by then.

    Args:
        calls: Calls to time, by name.
        rounds: Number of rounds.
        turn_s: Duration of one turn [s]; its time is the mean over the calls that fit, at least one.
        on_round: Called with the number of finished rounds.
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


def quantiles(values: npt.ArrayLike) -> dict[str, float]:
    """Return ``median``, ``min``, ``max`` and the quartiles ``q1`` and ``q3`` of one or more values."""
    array = np.asarray(values, np.float64)
    names = ("min", "q1", "median", "q3", "max")
    return dict(zip(names, map(float, np.percentile(array, (0, 25, 50, 75, 100))), strict=True))


def ratio_quantiles(slow: Times, fast: Times) -> dict[str, Any]:
    """Return the quantiles of the ratio of two calls' times, formed round by round."""
    return quantiles(slow / fast)
