# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the choice of the model by the frame rate that this machine sustains."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from crack_perception.recognition.backends.protocol import InferenceBackend, TileScores
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.model_choice import Stream, choose_model, inference_s, models_by_accuracy
from crack_perception.recognition.models import LoadedModel, load_model


class DelayedBackend:
    """A real backend that waits for a time for every tile."""

    def __init__(self, backend: InferenceBackend, delay_s: float) -> None:
        self._backend = backend
        self._delay_s = delay_s
        self.batch, self.tolerance, self.description = backend.batch, backend.tolerance, backend.description
        self.is_closed = False

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        time.sleep(self._delay_s * len(tiles))
        return self._backend.run(tiles)

    def close(self) -> None:
        self.is_closed = True
        self._backend.close()


@pytest.fixture
def models(tiny_model: Path) -> list[LoadedModel]:
    """Three models in the order of preference."""
    model = load_model(str(tiny_model))
    return [dataclasses.replace(model, name=name) for name in ("large", "middle", "small")]


def choose(models: list[LoadedModel], stream: Stream, delays_s: dict[str, float]) -> tuple[str, bool, list[str]]:
    """Name of the chosen model, whether it is enough, and the models whose backend is still open."""
    opened: dict[str, DelayedBackend] = {}

    def delayed(model: LoadedModel) -> InferenceBackend:
        opened[model.name] = DelayedBackend(open_backend("onnxruntime", model, 1), delays_s[model.name])
        return opened[model.name]

    choice = choose_model(stream, delayed, models)
    left_open = [name for name, backend in opened.items() if not backend.is_closed]
    choice.backend.close()
    return choice.model.name, choice.is_enough, left_open


def test_choose_model_takes_the_first_that_sustains_the_rate(models: list[LoadedModel]) -> None:
    delays_s = {"large": 0.004, "middle": 0.0, "small": 0.0}
    # One tile a frame: at most 1 / (1.4 * 0.004 s) = 179 Hz.
    assert choose(models, Stream(200.0, 64, 64), delays_s) == ("middle", True, ["middle"])


def test_choose_model_prefers_accuracy_where_the_rate_allows(models: list[LoadedModel]) -> None:
    delays_s = {"large": 0.004, "middle": 0.0, "small": 0.0}
    assert choose(models, Stream(0.1, 64, 64), delays_s) == ("large", True, ["large"])


def test_choose_model_takes_the_fastest_where_none_is_enough(models: list[LoadedModel]) -> None:
    delays_s = {"large": 0.008, "middle": 0.001, "small": 0.008}
    # 16 tiles a frame: at most 45 Hz.
    assert choose(models, Stream(240.0, 256, 256), delays_s) == ("middle", False, ["middle"])


def test_inference_s_counts_the_tiles_of_a_frame(models: list[LoadedModel]) -> None:
    backend = DelayedBackend(open_backend("onnxruntime", models[0], 1), 0.004)
    assert inference_s(models[0], backend, Stream(1.0, 256, 256)) >= 16 * 0.004
    assert inference_s(models[0], backend, Stream(1.0, 256, 256, overlap=0.5)) >= 49 * 0.004
    backend.close()


def test_models_by_accuracy_begin_with_the_best() -> None:
    assert [model.name for model in models_by_accuracy()] == ["standard", "medium", "nano"]
