# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Ratio of the node's time for a frame to bare inference of its tiles.

Conditions of the comparison:

* Frames of a wall without cracks, and a threshold that no score reaches, so that no false alarm is processed.
* The same images, tiles, batches, backend and threads for both.
* The same frame rate, because a CPU that idles between frames processes each of them more slowly than in a loop.
* Every frame in newly allocated memory, as with a received message.
* Runs alternate within seconds, because the speed of a machine drifts.

The time of the node is its ``~/debug/processing_time_ms``, from taking a frame to publishing its results, while its
other threads receive images, poses and ranges. The time of bare inference is that inside the backend's ``run``, in a
process without other work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.benchmark.flight import FlightInMemory
from crack_perception.evaluation.benchmark.interleaved import quantiles
from crack_perception.evaluation.benchmark.node_under_test import NodeUnderTest
from crack_perception.evaluation.recordings.bag import deserialize
from crack_perception.evaluation.replay.input_topics import IMAGE
from crack_perception.recognition.backends.protocol import InferenceBackend, TileScores
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.backends.tuning import tune
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel
from crack_perception.vision.images.encodings import decode_raw
from crack_perception.vision.tiling import Image

NO_ALARM = 1.0
"""Threshold that no calibrated score reaches."""

_RATE_HZ = 10.0


def node_overhead(
    node: NodeUnderTest,
    flight: FlightInMemory,
    model: LoadedModel,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Compare the node with bare inference in alternating runs.

    Args:
        node: Active node with ``model``.
        flight: Flight along a wall without cracks; the node's threshold is ``NO_ALARM``.
        model: Model of the node.
        rounds: Number of pairs of a node run and a bare inference run.
        seconds: Duration of each run [s].
        say: Called with each line of progress.

    Returns:
        ``ratio`` (median over the rounds), ``ratio_spread``, ``node_ms`` and ``inference_ms`` (quantiles over all
        frames), ``detector_ms`` (the frame detector alone, in the same process as bare inference) and
        ``detector_ratio``.
    """
    frames = [_frame(message.data) for message in flight.messages["image"]]
    backend = open_backend("auto", model)
    tune(backend, model)
    with_timer = TimedBackend(backend)
    detector = FrameDetector(model, with_timer, threshold=NO_ALARM)
    detector.warm_up()
    ratios: list[float] = []
    node_ms: list[float] = []
    inference_ms: list[float] = []
    detector_ms: list[float] = []
    for done in range(rounds):
        run = node.run(flight, _RATE_HZ, seconds)
        bare, whole = _bare(detector, with_timer, frames, len(run.sent))
        ratios.append(float(np.median(run.processing_ms) / np.median(bare)))
        node_ms += run.processing_ms
        inference_ms += bare
        detector_ms += whole
        say(f"    round {done + 1} of {rounds}: {ratios[-1]:.2f}")
    with_timer.close()
    return {
        "ratio": float(np.median(ratios)),
        "ratio_spread": quantiles(ratios),
        "detector_ratio": float(np.median(np.array(detector_ms) / np.array(inference_ms))),
        "node_ms": quantiles(node_ms),
        "inference_ms": quantiles(inference_ms),
        "detector_ms": quantiles(detector_ms),
    }


def _bare(
    detector: FrameDetector, backend: TimedBackend, frames: list[Image], count: int
) -> tuple[list[float], list[float]]:
    """Return the times [ms] of inference and of the whole detector for ``count`` frames at the node's frame rate."""
    inference_ms, detector_ms = [], []
    due_s = time.monotonic()
    for index in range(count):
        due_s += 1.0 / _RATE_HZ
        frame = frames[index % len(frames)].copy()
        time.sleep(max(0.0, due_s - time.monotonic()))
        backend.take_ms()
        began_s = time.perf_counter()
        detector.detect(frame)
        detector_ms.append(1000.0 * (time.perf_counter() - began_s))
        inference_ms.append(backend.take_ms())
    return inference_ms, detector_ms


def _frame(data: bytes) -> Image:
    message = deserialize(data, IMAGE)
    assert message is not None  # the simulator wrote it
    return decode_raw(message.data, message.width, message.height, message.step, message.encoding, False)


class TimedBackend:
    """Backend wrapper that sums up the inference time of another backend.

    Args:
        backend: Wrapped backend.

    Attributes:
        spent_s: Time inside ``run`` since the last :meth:`take_ms` [s].
    """

    def __init__(self, backend: InferenceBackend) -> None:
        self._backend = backend
        self.spent_s = 0.0

    @property
    def description(self) -> str:
        """See the wrapped backend."""
        return self._backend.description

    @property
    def batch(self) -> int:
        """See the wrapped backend."""
        return self._backend.batch

    @property
    def tolerance(self) -> float:
        """See the wrapped backend."""
        return self._backend.tolerance

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        """Score tiles (N, *model.tile_shape)."""
        began_s = time.perf_counter()
        scores = self._backend.run(tiles)
        self.spent_s += time.perf_counter() - began_s
        return scores

    def close(self) -> None:
        """Close the wrapped backend."""
        self._backend.close()

    def take_ms(self) -> float:
        """Return the inference time since the last call [ms], and reset it."""
        spent_ms, self.spent_s = 1000.0 * self.spent_s, 0.0
        return spent_ms
