# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of TensorRT on a real NVIDIA GPU: parity with ONNX Runtime, times, threads; skipped without a GPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from crack_perception.cli.main import main
from crack_perception.errors import UserError
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.backends.protocol import OUTPUT_NAMES, InferenceFailed
from crack_perception.recognition.backends.tensorrt.backend import TensorRtBackend
from crack_perception.recognition.backends.tensorrt.cuda import CudaThread
from crack_perception.recognition.backends.tensorrt.engine_builder import PRECISIONS
from crack_perception.recognition.backends.tensorrt.library import load_tensorrt
from crack_perception.recognition.backends.trial import largest_difference, median_times_s, trial_tiles
from crack_perception.recognition.models import LoadedModel, load_model

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    try:
        load_tensorrt()
        CudaThread().close()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=["nano", "standard"])
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return load_model(request.param)


@pytest.fixture(scope="module", params=sorted(PRECISIONS))
def backend(
    request: pytest.FixtureRequest, model: LoadedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TensorRtBackend]:
    folder = tmp_path_factory.mktemp("engines")
    command = ["build-engine", "--model", model.name, "--precision", request.param, "--cache", str(folder)]
    assert main(command) == 0
    opened = TensorRtBackend(model, folder)
    yield opened
    opened.close()


def test_gpu_scores_match_onnxruntime(backend: TensorRtBackend, model: LoadedModel) -> None:
    tiles = trial_tiles(model, 45)
    for count in (1, 4, 44, 45):
        difference = largest_difference(backend, OnnxRuntimeBackend(model), tiles[:count])
        print(f"{model.name}, {backend.description}, {count} tiles: largest difference {difference:.1e}")
        assert difference <= backend.tolerance


def test_gpu_time_versus_onnxruntime_printed(backend: TensorRtBackend, model: LoadedModel) -> None:
    reference = OnnxRuntimeBackend(model)
    median_times_s([backend], model)  # the first calls are slower
    ours_s, reference_s = median_times_s([backend, reference], model)
    print(f"{model.name}: {backend.description} takes {ours_s / reference_s:.3f} of {reference.description}")
    assert ours_s < reference_s


def test_gpu_any_thread_same_scores(backend: TensorRtBackend, model: LoadedModel) -> None:
    tiles = trial_tiles(model, 8)
    expected = backend.run(tiles)
    found = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: found.append(backend.run(tiles)))
        thread.start()
        thread.join()
    assert len(found) == 3
    for scores in found:
        for name in OUTPUT_NAMES:
            np.testing.assert_array_equal(getattr(scores, name), getattr(expected, name))


def test_gpu_other_engine_refused_broken_rebuilt(tmp_path: Path) -> None:
    command = ["build-engine", "--model", "nano", "--batch", "4", "--cache", str(tmp_path)]
    assert main(command) == 0
    with pytest.raises(UserError, match="holds no engine that fits"):
        TensorRtBackend(load_model("standard"), tmp_path)
    (path,) = tmp_path.glob("*.engine")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="truncated"):
        TensorRtBackend(load_model("nano"), tmp_path)
    assert main(command) == 0
    TensorRtBackend(load_model("nano"), tmp_path).close()


def test_gpu_closed_backend_gpu_usable(tmp_path: Path) -> None:
    assert main(["build-engine", "--model", "nano", "--cache", str(tmp_path)]) == 0
    model = load_model("nano")
    for _ in range(3):
        opened = TensorRtBackend(model, tmp_path)
        opened.run(trial_tiles(model, 2))
        opened.close()
        opened.close()
        with pytest.raises(InferenceFailed, match="closed"):
            opened.run(trial_tiles(model, 2))
