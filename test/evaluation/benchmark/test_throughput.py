# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sustained rate of the real node against inference alone, with a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from crack_perception.evaluation.benchmark.flight import benchmark_settings, fly
from crack_perception.evaluation.benchmark.node_under_test import node_under_test
from crack_perception.evaluation.benchmark.options import Lengths
from crack_perception.evaluation.benchmark.stages import scene_of
from crack_perception.evaluation.benchmark.throughput import THREADS, frame_tiles, node_throughput
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.models import load_model

SHORT = Lengths(probe_s=0.3, resolution=1.0, steady_s=0.5)


def test_frame_tiles_are_those_of_the_model() -> None:
    frame = scene_of(benchmark_settings("720p", 11)).frame
    model = load_model("nano")
    tiles = frame_tiles(frame, model.tile_px, model.channels)
    assert tiles.shape == (3 * 5, *model.tile_shape)


@pytest.mark.slow
def test_node_throughput_relates_the_node_to_inference_alone(tiny_model: Path, tmp_path: Path) -> None:
    model = load_model(str(tiny_model))
    settings = benchmark_settings("1080p", 11)
    flight = fly(settings)
    backend = open_backend("onnxruntime", model, THREADS)
    tiles = frame_tiles(scene_of(settings).frame, model.tile_px, model.channels)
    lines: list[str] = []
    with node_under_test(flight, {"model": str(tiny_model)}, tmp_path / "node.log") as node:
        node.configure()
        node.activate()
        figures = node_throughput(node, {"cracked": flight}, backend, tiles, SHORT, lines.append)
    backend.close()
    assert 0 < figures["inference_ms"]["min"] <= figures["inference_ms"]["median"]
    rate_hz, ratio = figures["sustained"]["cracked"]["hz"], figures["ratio"]["cracked"]
    assert lines
    if rate_hz is None:
        assert ratio is None
    else:
        # The inference just before and just after makes up all of the times.
        assert ratio == pytest.approx(rate_hz * figures["inference_ms"]["median"] / 1000, rel=1e-6)
