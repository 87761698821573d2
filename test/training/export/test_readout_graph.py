# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The crack readout of a graph can be read and replaced; the other outputs stay as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from crack_perception.errors import UserError  # noqa: E402
from crack_perception.recognition.models import LoadedModel, load_model, shipped_models  # noqa: E402
from crack_perception.training.adaptation.head import LinearTerm, ModelHead  # noqa: E402
from crack_perception.training.export.readout_graph import (  # noqa: E402
    crack_readout,
    fourier_model,
    with_crack_readout,
)
from crack_perception.training.heads.compression import LinearReadout  # noqa: E402

OUTPUTS = ["crack_score", "wide_score", "log_width_px", "log_width_sigma"]


@pytest.fixture(params=shipped_models())
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return load_model(request.param)


def tiles(model: LoadedModel) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, *model.tile_shape), np.uint8)


def outputs(graph: bytes, names: list[str], pixels: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return list(ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"]).run(names, {"tiles": pixels}))


def logit(scores: np.ndarray) -> np.ndarray:
    return np.log(scores) - np.log1p(-scores)


def test_crack_readout_of_fourier_features_gives_the_crack_logit(model: LoadedModel) -> None:
    pixels = tiles(model)
    (fourier,) = outputs(fourier_model(model).SerializeToString(), ["pooled"], pixels)
    (scores,) = outputs(model.graph, ["crack_score"], pixels)
    assert fourier.shape == (4, model.card["fourier_features"])
    np.testing.assert_allclose(crack_readout(model).apply(fourier.astype(np.float64)), logit(scores), atol=2e-3)


def test_with_crack_readout_changes_only_the_crack_score(model: LoadedModel) -> None:
    pixels, old = tiles(model), crack_readout(model)
    new = LinearReadout(old.coefficients * 0.5, old.intercept + 1.0)
    graph = with_crack_readout(model, new)
    assert abs(len(graph) - len(model.graph)) < 16
    (fourier,) = outputs(fourier_model(model).SerializeToString(), ["pooled"], pixels)
    before, after = outputs(model.graph, OUTPUTS, pixels), outputs(graph, OUTPUTS, pixels)
    np.testing.assert_allclose(logit(after[0]), new.apply(fourier.astype(np.float64)), atol=0.05)
    for kept, result in zip(before[1:], after[1:], strict=True):
        np.testing.assert_array_equal(kept, result)


def test_crack_readout_of_an_adapted_graph_is_refused(model: LoadedModel) -> None:
    term = LinearTerm(np.zeros(model.card["svm"]["components"]), 0.1)
    adapted = replace(model, graph=ModelHead(model).graph_with(term))
    with pytest.raises(UserError, match="not read from Fourier features"):
        crack_readout(adapted)
