# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sustained rate of the node against the rate of inference alone.

Inference alone computes the tiles of a frame on two threads, one frame after the other, in a process without other
work. It is timed before and after each search for the node's rate, because the speed of a machine drifts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.benchmark.flight import FlightInMemory
from crack_perception.evaluation.benchmark.interleaved import quantiles
from crack_perception.evaluation.benchmark.node_under_test import NodeUnderTest
from crack_perception.evaluation.benchmark.options import Lengths
from crack_perception.evaluation.benchmark.scenarios import sustained_rate
from crack_perception.recognition.backends.protocol import InferenceBackend
from crack_perception.vision.tiling import Image, cut_tiles, in_channels, plan_tiles

THREADS = 2
"""Threads of inference alone."""

_LEAST_FRAMES = 3

Tiles = npt.NDArray[np.uint8]


def frame_tiles(frame: Image, tile_px: int, channels: int) -> Tiles:
    """Return the tiles (N, tile_px, tile_px, channels) of a BGR frame (H, W, 3)."""
    grid = plan_tiles(frame.shape[1], frame.shape[0], tile_px)
    return cut_tiles(in_channels(frame, channels), grid)


def node_throughput(
    node: NodeUnderTest,
    flights: Mapping[str, FlightInMemory],
    backend: InferenceBackend,
    tiles: Tiles,
    lengths: Lengths,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure the sustained rate of a node for each flight, and that of inference alone around it.

    Args:
        node: Active node.
        flights: Name -> flight past a wall with the same topics and size of images.
        backend: Open backend of the node's model with ``THREADS`` threads.
        tiles: Tiles of one frame.
        lengths: Durations of the measurements.
        say: Called with each line of progress.

    Returns:
        ``inference_ms`` (quantiles over all frames), ``sustained`` (by flight, as ``sustained_rate``) and ``ratio``
        (by flight; None where no rate is sustained).
    """
    sustained: dict[str, Any] = {}
    ratios: dict[str, float | None] = {}
    before = _inference_ms(backend, tiles, lengths.probe_s)
    every = list(before)
    for name, flight in flights.items():
        say(f"  highest rate, {name} wall")
        sustained[name] = sustained_rate(node, flight, lengths, say)
        after = _inference_ms(backend, tiles, lengths.probe_s)
        rate_hz = sustained[name]["hz"]
        ratios[name] = None if rate_hz is None else rate_hz * float(np.median(before + after)) / 1000.0
        every += after
        before = after
    return {"inference_ms": quantiles(every), "sustained": sustained, "ratio": ratios}


def _inference_ms(backend: InferenceBackend, tiles: Tiles, seconds: float) -> list[float]:
    """Return the times [ms] of inference of whole frames, one after the other."""
    times_ms: list[float] = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s or len(times_ms) < _LEAST_FRAMES:
        began_s = time.perf_counter()
        for first in range(0, len(tiles), backend.batch):
            backend.run(tiles[first : first + backend.batch])
        times_ms.append(1000.0 * (time.perf_counter() - began_s))
    return times_ms
