# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The head of a model is read, and changed by a linear term, inside its ONNX graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx, which checks the adapted graphs, is not installed")

from tiny_model import write_tiny_model  # noqa: E402

from crack_perception.errors import UserError  # noqa: E402
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend  # noqa: E402
from crack_perception.recognition.backends.protocol import TileScores  # noqa: E402
from crack_perception.recognition.backends.trial import trial_tiles  # noqa: E402
from crack_perception.recognition.models import LoadedModel, load_model, shipped_models  # noqa: E402
from crack_perception.training.adaptation.head import LinearTerm, ModelHead  # noqa: E402

TILES = 6
COMPONENTS = {"nano": 62}
"""Principal components of models that do not have 64."""


@pytest.fixture(params=shipped_models())
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return load_model(request.param)


def scores(model: LoadedModel, tiles: np.ndarray) -> TileScores:
    backend = OnnxRuntimeBackend(model, 1)
    try:
        return backend.run(tiles)
    finally:
        backend.close()


def bgr_tiles(model: LoadedModel) -> np.ndarray:
    """Rendered tiles of three equal channels, which luminance keeps."""
    grey = trial_tiles(replace(model, channels=1), TILES)
    return np.repeat(grey, 3, axis=3)


def as_model_takes(model: LoadedModel, tiles: np.ndarray) -> np.ndarray:
    return tiles if model.channels == 3 else np.ascontiguousarray(tiles[..., :1])


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits))


def test_logits_are_those_of_the_crack_score(model: LoadedModel) -> None:
    tiles = bgr_tiles(model)
    features, logits = ModelHead(model).read(tiles)
    assert features.shape == (TILES, COMPONENTS.get(model.name, 64))
    np.testing.assert_allclose(sigmoid(logits), scores(model, as_model_takes(model, tiles)).crack_score, atol=1e-4)


def test_logits_of_stored_features_are_those_of_the_tiles(model: LoadedModel) -> None:
    head = ModelHead(model)
    features, logits = head.read(bgr_tiles(model))
    np.testing.assert_allclose(head.logits_of(features), logits, atol=1e-3)


def test_adapted_graph_adds_the_term_and_changes_nothing_else(model: LoadedModel) -> None:
    tiles, head = bgr_tiles(model), ModelHead(model)
    features, logits = head.read(tiles)
    term = LinearTerm(np.linspace(-0.2, 0.3, features.shape[1]), -0.7)
    adapted = replace(model, graph=head.graph_with(term))
    onnx.checker.check_model(onnx.load_from_string(adapted.graph), full_check=True)
    before, after = (scores(each, as_model_takes(model, tiles)) for each in (model, adapted))
    np.testing.assert_allclose(after.crack_score, sigmoid(logits + term.apply(features)), atol=1e-4)
    for name in ("wide_score", "log_width_px", "log_width_sigma"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-6)


def test_adapted_graph_can_be_adapted_again(model: LoadedModel) -> None:
    tiles, head = bgr_tiles(model), ModelHead(model)
    features, logits = head.read(tiles)
    first, second = (
        LinearTerm(np.full(features.shape[1], 0.02), 0.5),
        LinearTerm(np.full(features.shape[1], -0.01), 1.0),
    )
    adapted = replace(model, graph=head.graph_with(first))
    again = ModelHead(replace(model, graph=ModelHead(adapted).graph_with(second)))
    _, twice = again.read(tiles)
    np.testing.assert_allclose(twice, logits + first.apply(features) + second.apply(features), atol=1e-3)
    np.testing.assert_allclose(again.logits_of(features), twice, atol=1e-3)


def test_adapted_graph_converts_for_tensorrt(model: LoadedModel) -> None:
    from crack_perception.training.export.engine_graph import engine_graph

    head = ModelHead(model)
    adapted = head.graph_with(LinearTerm(np.zeros(COMPONENTS.get(model.name, 64)), 0.1))
    for precision in ("fp32", "fp16"):
        engine_graph(adapted, model.tile_px, precision)


def test_adapted_graph_converts_for_tensorflow_lite() -> None:
    torch = pytest.importorskip("torch")
    from crack_perception.training.export.tflite import GraphModule

    model = load_model("nano")
    tiles, head = bgr_tiles(model), ModelHead(model)
    features, logits = head.read(tiles)
    term = LinearTerm(np.full(features.shape[1], 0.05), -0.4)
    module = GraphModule(head.graph_with(term)).eval()
    with torch.no_grad():
        outputs = module(torch.from_numpy(as_model_takes(model, tiles)))
    np.testing.assert_allclose(outputs["crack_score"], sigmoid(logits + term.apply(features)), atol=1e-3)


def test_no_tiles_give_no_rows(model: LoadedModel) -> None:
    features, logits = ModelHead(model).read([])
    assert len(features) == len(logits) == 0


def test_model_without_the_known_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be adapted") as caught:
        ModelHead(load_model(str(write_tiny_model(tmp_path / "tiny"))))
    assert caught.value.remedy
