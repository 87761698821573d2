# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests that every installed backend meets the backend interface; TensorRT runs on a fake GPU."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import fake_nvidia
import numpy as np
import pytest
from backend_models import changed, crack_score_of, grey_tiles_with, spoil, tiles_with
from tiny_model import TILE_PX, write_tiny_model

from crack_perception.cli.main import main
from crack_perception.errors import UserError
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.backends.openvino import OpenVinoBackend
from crack_perception.recognition.backends.protocol import OUTPUT_NAMES, PARITY, InferenceBackend, InferenceFailed
from crack_perception.recognition.backends.tensorrt.backend import TensorRtBackend
from crack_perception.recognition.backends.trial import find_error, trial_tiles
from crack_perception.recognition.models import LoadedModel, load_model
from crack_perception.vision.tiling import cut_tiles, in_channels, plan_tiles

Open = Callable[[LoadedModel], InferenceBackend]
PICTURE = Path(__file__).parents[3] / "docs" / "annotated_frame.jpg"


def onnxruntime_backend(model: LoadedModel) -> InferenceBackend:
    return OnnxRuntimeBackend(model, threads=1)


def openvino_backend(model: LoadedModel) -> InferenceBackend:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    return OpenVinoBackend(model, threads=2)


@pytest.fixture(scope="module")
def fake_gpu() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        fake_nvidia.install(patch)
        yield


@pytest.fixture(scope="module", params=["onnxruntime", "openvino", "tensorrt"])
def opener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Return a function that opens a backend of any model."""
    if request.param != "tensorrt":
        return {"onnxruntime": onnxruntime_backend, "openvino": openvino_backend}[request.param]
    request.getfixturevalue("fake_gpu")
    cache = tmp_path_factory.mktemp("engines")

    def tensorrt_backend(model: LoadedModel) -> InferenceBackend:
        folder = tmp_path_factory.mktemp("model")
        write_model(model, folder)
        # Fewer tiles per call than in the tests.
        assert main(["build-engine", "--model", str(folder), "--cache", str(cache), "--batch", "7"]) == 0
        return TensorRtBackend(load_model(str(folder)), cache)

    return tensorrt_backend


def write_model(model: LoadedModel, folder: Path) -> None:
    """Write a folder that loads as this model."""
    import hashlib
    import json

    (folder / "model.onnx").write_bytes(model.graph)
    card = {**model.card, "files": {"model.onnx": hashlib.sha256(model.graph).hexdigest()}}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


@pytest.fixture(scope="module")
def backend(opener: Open, model: LoadedModel) -> Iterator[InferenceBackend]:
    opened = opener(model)
    yield opened
    opened.close()


def wall_tiles(model: LoadedModel) -> np.ndarray:
    """Return tiles of synthetic concrete and of an image of a wall."""
    picture = cv2.imread(str(PICTURE))
    tiles = cut_tiles(picture, plan_tiles(picture.shape[1], picture.shape[0], model.tile_px))
    return np.concatenate([in_channels(tiles, model.channels), trial_tiles(model, 45)])[:45]


@pytest.mark.parametrize("name", ["nano", "standard"])
def test_backend_shipped_models_match_onnxruntime(opener: Open, name: str) -> None:
    model = load_model(name)
    tiles = wall_tiles(model)
    expected = OnnxRuntimeBackend(model, threads=1).run(tiles)
    assert np.ptp(expected.crack_score) > 0.5, "tiles that tell models apart"
    backend = opener(model)
    for count in (1, 4, 45):
        scores = backend.run(tiles[:count])
        for output in OUTPUT_NAMES:
            np.testing.assert_allclose(getattr(scores, output), getattr(expected, output)[:count], rtol=0, atol=PARITY)
    backend.close()


def test_backend_any_number_of_tiles_accepted(backend: InferenceBackend) -> None:
    for count in range(1, 46):
        scores = backend.run(tiles_with(*range(40, 40 + count)))
        assert scores.crack_score == pytest.approx(crack_score_of(np.arange(40, 40 + count)), abs=1e-5)
        for values in (getattr(scores, output) for output in OUTPUT_NAMES):
            assert values.shape == (count,)
            assert values.dtype == np.float32


def test_backend_scores_match_graph(backend: InferenceBackend) -> None:
    darkest = np.array([0, 40, 64, 80, 200])
    scores = backend.run(tiles_with(*darkest))
    assert scores.crack_score == pytest.approx(crack_score_of(darkest), abs=1e-5)
    assert scores.wide_score == pytest.approx(scores.crack_score)
    assert scores.log_width_px == pytest.approx(np.full(5, np.log(2)), abs=1e-6)
    assert scores.log_width_sigma == pytest.approx(np.full(5, 0.1), abs=1e-6)


def test_backend_cell_scores_of_every_square(opener: Open, tmp_path: Path) -> None:
    backend = opener(load_model(str(write_tiny_model(tmp_path / "cells", cells_per_side=2))))
    darkest = np.arange(40, 61)
    tiles = np.full((len(darkest), TILE_PX, TILE_PX, 3), 200, np.uint8)
    tiles[:, 3, -5] = darkest[:, None]
    tiles[:, -5, 3] = 64
    scores = backend.run(tiles)
    assert scores.cell_score is not None
    expected = np.stack([crack_score_of(grey) for grey in np.broadcast_arrays(200, darkest, 64, 200)], axis=1)
    np.testing.assert_allclose(scores.cell_score, expected, rtol=0, atol=1e-5)
    backend.close()


def test_backend_one_channel_model_takes_grey_tiles(opener: Open, tmp_path: Path) -> None:
    grey = load_model(str(write_tiny_model(tmp_path / "grey", channels=1)))
    backend = opener(grey)
    darkest = np.arange(40, 60)
    assert backend.run(grey_tiles_with(*darkest)).crack_score == pytest.approx(crack_score_of(darkest), abs=1e-5)
    with pytest.raises(InferenceFailed, match=r"a batch of uint8 .* is not \(N, 64, 64, 1\)"):
        backend.run(tiles_with(0))
    assert find_error(backend, OnnxRuntimeBackend(grey, threads=1), grey) == ""
    backend.close()


@pytest.mark.parametrize("channels", [1, 3])
def test_backend_card_with_other_tile_size_refused(opener: Open, tmp_path: Path, channels: int) -> None:
    model = load_model(str(write_tiny_model(tmp_path / "tiny", channels=channels)))
    card = {**model.card, "input": {"channels": 4 - channels}}
    with pytest.raises(UserError, match=r"the graph takes tiles|the engine has the tensors") as caught:
        opener(replace(model, card=card, channels=4 - channels))
    assert caught.value.remedy


def test_backend_single_and_batched_tile_same_score(backend: InferenceBackend) -> None:
    tiles = tiles_with(10, 70, 60, 90, 20, 63)
    together = backend.run(tiles).crack_score
    alone = [backend.run(tile[None]).crack_score[0] for tile in tiles]
    assert together == pytest.approx(alone, abs=1e-6)


def test_backend_any_strides_accepted_input_unchanged(backend: InferenceBackend) -> None:
    wide = np.concatenate([tiles_with(30, 90), tiles_with(5, 200)], axis=2)
    wide.flags.writeable = False
    left = wide[:, :, :TILE_PX]
    assert not left.flags.c_contiguous
    assert backend.run(left).crack_score == pytest.approx(crack_score_of(np.array([30, 90])), abs=1e-5)
    fixed = tiles_with(30, 90)
    fixed.flags.writeable = False
    assert backend.run(fixed).crack_score == pytest.approx(crack_score_of(np.array([30, 90])), abs=1e-5)


def test_backend_scores_independent_of_next_batch(backend: InferenceBackend) -> None:
    first = backend.run(tiles_with(0, 0))
    backend.run(tiles_with(200, 200))
    assert first.crack_score == pytest.approx(crack_score_of(np.zeros(2)), abs=1e-5)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, TILE_PX, TILE_PX + 1, 3), np.uint8),
        np.zeros((1, TILE_PX, TILE_PX, 4), np.uint8),
        np.zeros((TILE_PX, TILE_PX, 3), np.uint8),
        np.zeros((1, TILE_PX, TILE_PX, 3), np.float32),
        np.zeros((0, TILE_PX, TILE_PX, 3), np.uint8),
    ],
    ids=["size", "channels", "dimensions", "dtype", "empty"],
)
def test_backend_wrong_batch_fails_then_recovers(backend: InferenceBackend, batch: np.ndarray) -> None:
    with pytest.raises(InferenceFailed, match="batch"):
        backend.run(batch)
    assert backend.run(tiles_with(0)).crack_score[0] > 0.9


def test_backend_nan_scores_fail(opener: Open, model: LoadedModel) -> None:
    backend = opener(changed(model, spoil))
    with pytest.raises(InferenceFailed, match="crack_score, wide_score holds values that are not finite"):
        backend.run(tiles_with(0))
    backend.close()


def test_backend_any_thread_same_scores(backend: InferenceBackend) -> None:
    scores: list[float] = []

    def work() -> None:
        scores.extend(backend.run(tiles_with(0, 200)).crack_score)

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert scores == pytest.approx(np.tile(crack_score_of(np.array([0, 200])), 2), abs=1e-5)


def test_backend_closed_raises(opener: Open, model: LoadedModel) -> None:
    backend = opener(model)
    assert backend.run(tiles_with(0)).crack_score[0] > 0.9
    backend.close()
    backend.close()
    with pytest.raises(InferenceFailed, match="closed"):
        backend.run(tiles_with(0))


def test_backend_description_names_it(backend: InferenceBackend) -> None:
    assert backend.batch >= 1
    assert backend.tolerance == PARITY
    kind, version, *_ = backend.description.split()
    assert kind in ("onnxruntime", "openvino", "tensorrt")
    assert version[0].isdigit()


def test_backend_model_without_folder_opens(model: LoadedModel) -> None:
    # The verified bytes are used, even if the file changes afterwards.
    gone = replace(model, directory=Path("no") / "such" / "folder")
    assert onnxruntime_backend(gone).run(tiles_with(0)).crack_score[0] > 0.9
