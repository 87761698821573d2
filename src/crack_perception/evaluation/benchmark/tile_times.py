# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Time per tile and per frame of every model, and ratios between models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crack_perception.evaluation.benchmark.contenders import (
    BATCH,
    SVM_SUFFIX,
    Reference,
    Tiles,
    contenders_of,
    resized,
)
from crack_perception.evaluation.benchmark.interleaved import Times, interleaved_times, quantiles, ratio_quantiles
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import LoadedModel
from crack_perception.vision.tiling import Image, cut_tiles, plan_tiles

_TILE_PX = 256

RATIOS = {
    "nano_vs_resnet50_svm": ("resnet50_svm", "nano"),
    "nano_vs_mobilenetv3_svm": ("mobilenet_v3_small_svm", "nano"),
    "standard_vs_mobilenetv3_svm": ("mobilenet_v3_small_svm", "standard"),
    "nano_vs_mobilenetv3_large_svm": ("mobilenet_v3_large_svm", "nano"),
    "nano_vs_efficientnet_lite0_svm": ("efficientnet_lite0_svm", "nano"),
    "nano_vs_vgg16_svm": ("vgg16_svm", "nano"),
    "nano_vs_standard": ("standard", "nano"),
}
"""Ratio -> (the slower model, the faster one)."""


@dataclass(frozen=True)
class TileTimes:
    """Time per tile [ms] in each round.

    Attributes:
        batched: Model -> time in batches of ``BATCH`` on one thread.
        single: The same with one tile per call.
        two_threads: The same on two threads, with the contender's fastest number of tiles per call.
        networks: As ``batched`` for the network alone; only models with an SVM.
        about: Model -> properties for the report.
    """

    batched: Mapping[str, Times]
    single: Mapping[str, Times]
    two_threads: Mapping[str, Times]
    networks: Mapping[str, Times]
    about: Mapping[str, Mapping[str, Any]]


def measure_tiles(
    models: Sequence[LoadedModel],
    references: Sequence[Reference],
    frame: Image,
    rounds: int,
    progress: Callable[[str], None],
) -> TileTimes:
    """Time all models on the same tiles of a frame, each at its input size; scaling is not part of the time.

    Args:
        models: Shipped models.
        references: Uncompressed models.
        frame: BGR image (H, W, 3) uint8 with at least as many tiles as the largest batch.
        rounds: Number of rounds.
        progress: Called with each line of progress.
    """
    grid = plan_tiles(frame.shape[1], frame.shape[0], _TILE_PX)
    tiles = cut_tiles(frame, grid)
    one, two = contenders_of(models, references, 1), contenders_of(models, references, 2)
    calls = {}
    for name, contender in one.items():
        many = resized(tiles, contender.tile_px)
        own = many[:BATCH]
        calls["batched", name] = _call(contender.run, own)
        calls["single", name] = _call(contender.run, own[:1])
        calls["two threads", name] = _call(two[name].run, many[: two[name].batch])
        if contender.network is not None:
            calls["network", name] = _call(contender.network, own)

    def report_round(done: int) -> None:
        progress(f"  tiles: round {done} of {rounds}")

    times = interleaved_times(calls, rounds, on_round=report_round)

    def kind(wanted: str, tiles_a_call: int) -> dict[str, Times]:
        return {name: times[key, name] / tiles_a_call for key, name in times if key == wanted}

    return TileTimes(
        kind("batched", BATCH),
        kind("single", 1),
        {name: times["two threads", name] / contender.batch for name, contender in two.items()},
        kind("network", BATCH),
        {name: {**one[name].about, "tiles_a_call_two_threads": two[name].batch} for name in one},
    )


def ratios_of(times: Mapping[str, Times]) -> dict[str, dict[str, float] | None]:
    """Return the quantiles of each ratio over the rounds; None when one of the two models was not timed."""
    return {
        ratio: ratio_quantiles(times[slow], times[fast]) if slow in times and fast in times else None
        for ratio, (slow, fast) in RATIOS.items()
    }


def measure_frames(detectors: Mapping[str, FrameDetector], frame: Image, rounds: int) -> dict[str, dict[str, float]]:
    """Time whole detectors on a frame [ms]: tiling, inference, regions.

    Args:
        detectors: Detectors by name.
        frame: BGR image (H, W, 3) uint8.
        rounds: Number of rounds.
    """
    calls = {name: _detection(detector, frame) for name, detector in detectors.items()}
    return {name: quantiles(times) for name, times in interleaved_times(calls, rounds).items()}


def tile_by_tile(times: Mapping[str, Times], tiles: int) -> dict[str, dict[str, float]]:
    """Return the time per frame of models without a frame pipeline: the time per tile, times the number of tiles."""
    return {name: quantiles(tiles * taken) for name, taken in times.items() if name.endswith(SVM_SUFFIX)}


def _call(run: Callable[[Tiles], object], tiles: Tiles) -> Callable[[], object]:
    return lambda: run(tiles)


def _detection(detector: FrameDetector, frame: Image) -> Callable[[], object]:
    return lambda: detector.detect(frame)
