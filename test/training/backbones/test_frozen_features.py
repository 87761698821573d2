# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the features of a registered backbone: pooling, cache and cost."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from crack_perception.training.backbones.frozen_features import BackboneFeatures  # noqa: E402
from crack_perception.training.backbones.registry import load_backbone  # noqa: E402

NAME, COUNT = "mobilenet_v3_small_w050_b3", 18


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (COUNT, 256, 256, 3)).astype(np.uint8)


def test_features_equal_pooled_outputs_of_trunk(tmp_path: Path, tiles: np.ndarray) -> None:
    threads = torch.get_num_threads()
    features = BackboneFeatures(NAME, None, tmp_path, 1, seed=3).features("noise", COUNT, tiles.__getitem__)
    assert torch.get_num_threads() == threads
    loaded = load_backbone(NAME, None, 3)
    resized = cv2.resize(tiles[17], (224, 224), interpolation=cv2.INTER_AREA)
    with torch.no_grad():
        last_map = loaded.trunk(loaded.preprocessing.apply(torch.from_numpy(resized[None])))[0].flatten(1).numpy()
    expected = [last_map.mean(1), np.sqrt(last_map.var(1) + 1e-5), last_map.max(1)]
    assert features.shape == (COUNT, 3 * loaded.trunk.out_channels)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[17], np.concatenate(expected), rtol=1e-3, atol=1e-4)


def test_features_other_weights_do_not_use_cache(tmp_path: Path, tiles: np.ndarray) -> None:
    asked: list[int] = []

    def tile(i: int) -> np.ndarray:
        asked.append(i)
        return tiles[i]

    first = BackboneFeatures(NAME, None, tmp_path, 1, seed=3).features("noise", 2, tile)
    np.testing.assert_array_equal(BackboneFeatures(NAME, None, tmp_path, 1, seed=3).features("noise", 2, tile), first)
    assert asked == [0, 1]
    other = BackboneFeatures(NAME, None, tmp_path, 1, seed=4).features("noise", 2, tile)
    assert asked == [0, 1, 0, 1]
    assert not np.array_equal(other, first)


def test_cost_known_backbone_gives_published_numbers(tmp_path: Path) -> None:
    large = BackboneFeatures("mobilenet_v3_large", None, tmp_path, 1)
    assert (large.parameters, large.bytes_fp32) == (2_971_952, 11_887_808)
    assert large.macs_per_tile == pytest.approx(214.08e6, rel=1e-3)
    assert large.initialisation == "random weights, seed 0"
