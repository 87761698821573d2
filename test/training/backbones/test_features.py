# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the feature cache: reuse of features, and resumption of an interrupted run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crack_perception.training.backbones.features import FeatureCache, Labelled

COUNT, CHUNK = 11, 4


class Computation:
    """Computation of features that identify their tile; it fails once before the tile ``stop_at``."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.computed: list[int] = []

    def __call__(self, tiles: range) -> Labelled:
        if self.stop_at in tiles:
            raise KeyboardInterrupt
        self.computed += tiles
        numbers = np.array(tiles)
        return np.stack([numbers, numbers**2], axis=1).astype(np.float32), numbers / 2


def test_labelled_features_second_call_uses_cache(tmp_path: Path) -> None:
    computation = Computation()
    cache = FeatureCache(tmp_path / "features", "abc", CHUNK)
    features, labels = cache.labelled_features("walls", COUNT, computation)
    assert (features.dtype, features.shape, labels.dtype) == (np.float32, (COUNT, 2), np.float64)
    np.testing.assert_array_equal(features[:, 1], np.arange(COUNT) ** 2)
    np.testing.assert_array_equal(labels, np.arange(COUNT) / 2)
    again = FeatureCache(tmp_path / "features", "abc", CHUNK).labelled_features("walls", COUNT, computation)
    np.testing.assert_array_equal(again[0], features)
    np.testing.assert_array_equal(again[1], labels)
    assert computation.computed == list(range(COUNT))
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["walls_11_abc.npz"]


@pytest.mark.parametrize(
    ("name", "count", "computed_by"), [("decks", 11, "abc"), ("walls", 5, "abc"), ("walls", 11, "d")]
)
def test_labelled_features_other_list_is_computed(tmp_path: Path, name: str, count: int, computed_by: str) -> None:
    FeatureCache(tmp_path, "abc", CHUNK).labelled_features("walls", COUNT, Computation())
    other = Computation()
    FeatureCache(tmp_path, computed_by, CHUNK).labelled_features(name, count, other)
    assert other.computed == list(range(count))


def test_labelled_features_interrupted_run_resumes_with_same_result(tmp_path: Path) -> None:
    stopped, rest = Computation(stop_at=9), Computation()
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path, "abc", CHUNK).labelled_features("walls", COUNT, stopped)
    resumed = FeatureCache(tmp_path, "abc", CHUNK).labelled_features("walls", COUNT, rest)
    assert stopped.computed == list(range(8))
    assert rest.computed == [8, 9, 10]
    np.testing.assert_array_equal(resumed[0][:, 0], np.arange(COUNT))
    assert [path.name for path in tmp_path.iterdir()] == ["walls_11_abc.npz"]
