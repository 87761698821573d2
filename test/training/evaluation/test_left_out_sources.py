# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of heads refitted without a source."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")
onnx = pytest.importorskip("onnx")

from tiny_model import write_tiny_model  # noqa: E402

from crack_perception.recognition.models import load_model  # noqa: E402
from crack_perception.training.backbones.features import FeatureExtractor  # noqa: E402
from crack_perception.training.evaluation.left_out_sources import leave_one_source_out, pooled_features_of  # noqa: E402


def test_leave_one_source_out_distinct_source_loses_f1() -> None:
    """Cracks raise feature 0 in a and b, but lower it in c, which feature 1 identifies."""
    rng = np.random.default_rng(0)
    count = 900
    labels, sources = rng.integers(0, 2, count), rng.choice(["a", "b", "c"], count)
    features = rng.normal(0.0, 0.4, (count, 6)).astype(np.float32)
    features[:, 0] += 3.0 * np.where(sources == "c", 0.5 - labels, labels - 0.5)
    features[:, 1] += 2.0 * (sources == "c")
    groups, fitting = rng.integers(0, 60, count).astype(str), rng.random(count) < 0.6
    report = leave_one_source_out(features, labels, groups, sources, fitting)
    assert set(report) == {"a", "b", "c"}
    assert report["c"]["n"] == int(np.sum(~fitting & (sources == "c")))
    assert report["c"]["f1"] > 0.95 and report["c"]["f1_loss"] > 0.3 and report["c"]["f1_loss_interval"][0] > 0.1
    assert abs(report["a"]["f1_loss"]) < 0.05
    assert report["c"]["f1_loss"] == pytest.approx(report["c"]["f1"] - report["c"]["f1_without"], abs=2e-4)


def test_leave_one_source_out_missing_class_is_skipped() -> None:
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    labels, sources = np.tile([0, 1], 20), np.repeat(["a", "b"], 20)
    labels[sources == "b"] = 1
    fitting = np.tile([True, True, False, False], 10)
    # Without a there are only cracks to fit on, and b has no background tile to test on.
    assert leave_one_source_out(features, labels, np.arange(40).astype(str), sources, fitting) == {}


@pytest.mark.parametrize("name", ["nano", "standard"])
def test_pooled_features_shipped_model_gives_features(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    model = load_model(name)
    graph = pooled_features_of(model)
    assert graph is not None
    onnx.checker.check_model(graph)
    extractor = FeatureExtractor(graph, tmp_path_factory.mktemp("cache"), 1)
    tiles = np.random.default_rng(0).integers(0, 256, (2, model.tile_px, model.tile_px, 3)).astype(np.uint8)
    features = extractor.features("two", 2, lambda i: tiles[i])
    assert features.ndim == 2 and features.shape[1] > 64 and (features[0] != features[1]).any()


def test_pooled_features_no_dense_layer_gives_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    model = load_model(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")))
    assert pooled_features_of(model) is None
