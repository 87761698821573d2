# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Trained models as teachers of a student."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from crack_perception.errors import UserError
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.models import load_model
from crack_perception.training.distillation.model_teacher import ModelTeacher
from crack_perception.vision.tiling import in_channels


@pytest.mark.parametrize("name", ["nano", "standard"])
def test_model_teacher_gives_the_outputs_of_the_model(name: str) -> None:
    model = load_model(name)
    tiles = np.random.default_rng(3).integers(60, 190, (3, 256, 256, 3), dtype=np.uint8)
    taught = ModelTeacher(model, 1)(tiles)
    scores = open_backend("onnxruntime", model, 1).run(in_channels(tiles, model.channels))
    np.testing.assert_allclose(1 / (1 + np.exp(-taught.logits)), scores.crack_score, atol=1e-5)
    np.testing.assert_allclose(taught.log_widths, scores.log_width_px, atol=1e-5)
    assert taught.features.shape[0] == 3 and taught.features.shape[1] % 3 == 0


def test_model_teacher_takes_views_of_another_side() -> None:
    tiles = np.full((2, 224, 224, 3), 128, np.uint8)
    outputs = ModelTeacher(load_model("nano"), 1)(tiles)
    assert np.isfinite(outputs.logits).all() and outputs.logits[0] == pytest.approx(outputs.logits[1], abs=1e-5)


def test_model_teacher_graph_without_pooled_features_refused(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="no pooled features"):
        ModelTeacher(load_model(str(tiny_model)), 1)
