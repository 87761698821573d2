# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice of the threads and of the tiles per call of a backend, by a short measurement on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.backends.protocol import CallShape, InferenceBackend, TunableBackend
from crack_perception.recognition.backends.trial import CLEARLY, trial_tiles
from crack_perception.recognition.models import LoadedModel

Tiles = npt.NDArray[np.uint8]

BUDGET_S = 0.5
"""Longest time of the measurement; on a machine that is too slow for it, the default stays."""

_MOST_ROUNDS = 7
_LEAST_ROUNDS = 2
# Rounds that the time must suffice for, or else half of the tiles are used.
_WANTED_ROUNDS = 3


@dataclass(frozen=True)
class Tuning:
    """Result of a measurement.

    Attributes:
        shape: The chosen shape.
        tile_ms: Least time per tile of each measured shape [ms]; empty where the time did not suffice.
        rounds: Number of times that each of them was measured.
        seconds: Duration of the measurement [s].
    """

    shape: CallShape
    tile_ms: Mapping[CallShape, float]
    rounds: int
    seconds: float

    def __str__(self) -> str:
        if not self.tile_ms:
            return f"{self.shape} (not measured: that would take more than {BUDGET_S:g} s)"
        return f"{self.shape} ({self.measured}; {self.rounds} rounds, {self.seconds:.2f} s)"

    @property
    def measured(self) -> str:
        """Times of the measured shapes, for example ``2x4: 0.47 ms a tile, 1x4: 0.86``."""
        first, *others = (f"{s.threads}x{s.tiles}: {ms:.3g}" for s, ms in self.tile_ms.items())
        return ", ".join([f"{first} ms a tile", *others])

    def figures(self) -> dict[str, str]:
        """Return the figures for the diagnostics, by key."""
        figures = {"backend_threads": str(self.shape.threads), "backend_tiles_per_call": str(self.shape.tiles)}
        if self.tile_ms:
            figures["backend_tile_ms"] = f"{self.tile_ms[self.shape]:.3g}"
            figures["backend_shapes_measured"] = self.measured
        return figures


def tune(backend: InferenceBackend, model: LoadedModel, budget_s: float = BUDGET_S) -> Tuning | None:
    """Measure the shapes of a backend and use the fastest one.

    The shapes are measured in turns, and the least time of each counts: other programs only make a call slower. The
    default is replaced only by a shape that takes less than ``CLEARLY`` of its time, so that neither noise nor a
    machine that is busy during the start decides.

    Args:
        backend: An open backend.
        model: Its model.
        budget_s: Longest time of the measurement [s].

    Returns:
        What was measured; None for a backend that has only one shape.

    Raises:
        InferenceFailed: The backend failed.
    """
    if not isinstance(backend, TunableBackend) or len(backend.shapes()) < 2:
        return None
    start_s = time.perf_counter()
    end_s = start_s + budget_s
    default, *others = backend.shapes()
    few = default.threads * default.tiles
    tiles = trial_tiles(model, 2 * few)
    # The first call initialises the library.
    few_s = min(_call_s(backend, default, tiles[:few]) for _ in range(2))
    if time.perf_counter() + _WANTED_ROUNDS * (1 + len(others)) * 2 * few_s > end_s:
        tiles = tiles[:few]
    shapes = [shape for shape in (default, *others) if shape.threads * shape.tiles <= len(tiles)]
    least_s = dict.fromkeys(shapes, math.inf)
    rounds, round_s = 0, len(shapes) * few_s * len(tiles) / few
    while rounds < _MOST_ROUNDS and time.perf_counter() + round_s <= end_s:
        began_s = time.perf_counter()
        for shape in shapes:
            least_s[shape] = min(least_s[shape], _call_s(backend, shape, tiles))
        round_s = time.perf_counter() - began_s
        rounds += 1
    chosen = default
    if rounds >= _LEAST_ROUNDS:
        fastest = min(shapes, key=lambda shape: least_s[shape])
        chosen = fastest if least_s[fastest] < CLEARLY * least_s[default] else default
    backend.use(chosen)
    tile_ms = {shape: 1000 * least_s[shape] / len(tiles) for shape in shapes} if rounds else {}
    return Tuning(chosen, tile_ms, rounds, time.perf_counter() - start_s)


def _call_s(backend: TunableBackend, shape: CallShape, tiles: Tiles) -> float:
    """Return the time [s] that a backend takes for some tiles."""
    backend.use(shape)
    began_s = time.perf_counter()
    for first in range(0, len(tiles), backend.batch):
        backend.run(tiles[first : first + backend.batch])
    return time.perf_counter() - began_s
