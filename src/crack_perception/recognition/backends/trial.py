# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Trial of a backend on this machine: correct outputs and speed, measured with real batches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.recognition.backends.protocol import (
    NO_STRUCTURE_OUTPUT,
    OUTPUT_NAMES,
    InferenceBackend,
    InferenceFailed,
)
from crack_perception.recognition.models import LoadedModel
from crack_perception.vision.tiling import in_channels

Tiles = npt.NDArray[np.uint8]

TRIAL_TILES = 24
_ROUNDS = 7
_CELL_SHARE = 0.1
CLEARLY = 0.9
"""Share of the default's time below which something else is chosen."""


def trial_tiles(model: LoadedModel, count: int = TRIAL_TILES) -> Tiles:
    """Return rendered concrete (count, *model.tile_shape) of varied roughness; every second tile is cracked."""
    rng, tile_px = np.random.default_rng(0), model.tile_px
    tiles = np.empty((count, tile_px, tile_px, 3), np.uint8)
    for index, tile in enumerate(tiles):
        rough = rng.normal(0.0, rng.uniform(2.0, 20.0), (tile_px, tile_px)).astype(np.float32)
        stains = cv2.resize(rng.normal(0.0, 20.0, (4, 4)).astype(np.float32), (tile_px, tile_px))
        grey = rng.uniform(80.0, 190.0) + cv2.GaussianBlur(rough, (0, 0), rng.uniform(0.5, 1.5)) + stains
        if index % 2:
            centreline = np.column_stack(
                [np.linspace(0, tile_px, 9), rng.uniform(0.2, 0.8) * tile_px + rng.normal(0, 6, 9)]
            )
            cv2.polylines(grey, [centreline.astype(np.int32)], False, float(rng.uniform(20.0, 60.0)), 1 + index % 4)
        tile[:] = np.clip(grey[..., None] + rng.normal(0.0, 4.0, 3), 0, 255).astype(np.uint8)
    return in_channels(tiles, model.channels)


def largest_difference(backend: InferenceBackend, other: InferenceBackend, tiles: Tiles) -> float:
    """Return the largest difference between the outputs of two backends for the same tiles.

    A tenth of the difference counts for cells, whose scores move the edge of a region and decide nothing else.

    Raises:
        InferenceFailed: One of them failed.
    """
    ours, others = backend.run(tiles), other.run(tiles)
    names = OUTPUT_NAMES if ours.no_structure_score is None else (*OUTPUT_NAMES, NO_STRUCTURE_OUTPUT)
    largest = max(float(np.abs(getattr(ours, name) - getattr(others, name)).max()) for name in names)
    if ours.cell_score is None or others.cell_score is None:
        return largest
    return max(largest, _CELL_SHARE * float(np.abs(ours.cell_score - others.cell_score).max()))


def find_error(backend: InferenceBackend, reference: InferenceBackend, model: LoadedModel) -> str:
    """Return the reason why a backend's scores are wrong, for one tile or for many; empty if they are right."""
    tiles = trial_tiles(model)
    try:
        difference = max(largest_difference(backend, reference, part) for part in (tiles, tiles[:1]))
    except InferenceFailed as error:
        return str(error)
    if difference > backend.tolerance:
        return f"its outputs differ from those of {reference.description} by {difference:.2g}"
    return ""


def median_times_s(backends: Sequence[InferenceBackend], model: LoadedModel) -> list[float]:
    """Return the median time [s] of each backend for the same tiles, at its fastest batch size; measured in turns."""
    tiles = trial_tiles(model)
    times: list[list[float]] = [[] for _ in backends]
    for _ in range(_ROUNDS):
        for backend, measured in zip(backends, times, strict=True):
            start_s = time.perf_counter()
            for first in range(0, len(tiles), backend.batch):
                backend.run(tiles[first : first + backend.batch])
            measured.append(time.perf_counter() - start_s)
    return [statistics.median(measured) for measured in times]


def clearly_fastest(backends: Sequence[InferenceBackend], model: LoadedModel) -> int:
    """Index of the fastest backend if it is clearly faster than the first; else 0.

    Raises:
        InferenceFailed: One of them failed.
    """
    if len(backends) == 1:
        return 0
    times_s = median_times_s(backends, model)
    fastest = int(np.argmin(times_s))
    return fastest if times_s[fastest] < CLEARLY * times_s[0] else 0
