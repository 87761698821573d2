# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the paper's uncompressed models in the speed report."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is in the extra 'train'")
pytest.importorskip("onnx", reason="onnx, which torch's exporter needs, is not installed")

from crack_perception.evaluation.benchmark.contenders import reference_contender, resized
from crack_perception.training.paper.speed_contenders import SUPPORT_VECTORS, random_svm, speed_contender


def test_random_svm_most_rows_are_support_vectors() -> None:
    svm = random_svm(300, 40)
    assert 0.95 * 300 <= svm.n_support_.sum() <= 300
    assert svm.shape_fit_ == (300, 40)


def test_speed_contender_tiles_give_decision_values() -> None:
    reference = speed_contender("mobilenet_v3_small")
    assert SUPPORT_VECTORS * 0.95 <= reference.support_vectors <= SUPPORT_VECTORS
    contender = reference_contender(reference, 1)
    tiles = resized(np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), np.uint8), contender.tile_px)
    assert tiles.shape == (3, 224, 224, 3)
    assert contender.network is not None
    features = np.asarray(contender.network(tiles))
    assert features.shape == (3, 576)
    assert np.isfinite(features).all() and features.std() > 0
    values = np.asarray(contender.run(tiles))
    assert values.shape == (3,)
    # Network and SVM timed separately give the same values as the whole model.
    np.testing.assert_allclose(values, reference.decide(features))
