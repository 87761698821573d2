# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Random forest compared with scikit-learn, its pruning, and damaged arrays."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("sklearn")

from sklearn.ensemble import RandomForestClassifier

from crack_perception.errors import UserError
from crack_perception.training.heads.forest import (
    DEPTH,
    FEATURE_SHARE,
    Forest,
    GrownForest,
    forest_from_arrays,
    forest_to_arrays,
    grow_forest,
    most_important_inputs,
)
from crack_perception.training.heads.forest_pruning import PRICES, PriceFigures, chosen_price, pruning_figures

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
TREES = 12


def noisy_rows(seed: int, rows: int = 300) -> tuple[Features, Labels]:
    """Columns 3 and 7 contain the class, with noise; ten others only noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    features = rng.normal(0.0, 1.0, (rows, 12))
    features[:, [3, 7]] += labels[:, None]
    return features.astype(np.float32), labels


@pytest.fixture(scope="module")
def grown() -> GrownForest:
    return grow_forest(*noisy_rows(0), seed=5, trees=TREES)


@pytest.mark.parametrize("price", [0.0, 0.002, 0.01, 0.2])
def test_pruned_equals_scikit_learn(grown: GrownForest, price: float) -> None:
    library = RandomForestClassifier(
        TREES, max_depth=DEPTH, max_features=FEATURE_SHARE, random_state=5, ccp_alpha=price
    ).fit(*noisy_rows(0))
    pruned = grown.pruned(price)
    fresh = noisy_rows(1)[0]
    np.testing.assert_allclose(pruned.probability(fresh), library.predict_proba(fresh)[:, 1], atol=1e-6)
    assert len(pruned.inputs) == sum(tree.tree_.node_count for tree in library.estimators_)


def test_pruned_price_0_keeps_probabilities_and_higher_prices_shrink(grown: GrownForest) -> None:
    fresh = noisy_rows(1)[0]
    np.testing.assert_allclose(grown.pruned(0.0).probability(fresh), grown.forest.probability(fresh), atol=1e-12)
    sizes = [grown.pruned(price).stored_bytes for price in (0.0, 0.001, 0.01, 1.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == TREES * (8 + 4)


def test_forest_arrays_saved_and_loaded_give_equal_probabilities(grown: GrownForest) -> None:
    forest = grown.pruned(0.001)
    file = io.BytesIO()
    np.savez(file, **forest_to_arrays(forest))
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        restored = forest_from_arrays(dict(stored))
        assert sum(stored[name].nbytes for name in stored.files) == forest.stored_bytes
    fresh = noisy_rows(2)[0]
    np.testing.assert_array_equal(restored.probability(fresh), forest.probability(fresh))


def test_grow_forest_threshold_between_float32_values_rounds_down() -> None:
    value = np.nextafter(np.float32(1000.0), np.float32(2000.0))
    above = np.nextafter(value, np.float32(2000.0))
    assert np.float32((float(value) + float(above)) / 2) == above, "scikit-learn's threshold rounds to the upper value"
    features = np.array([[value], [above]] * 10, np.float32)
    labels = np.array([0, 1] * 10)
    forest = grow_forest(features, labels, seed=0, trees=5).forest
    assert forest.probability(np.array([[value]], np.float32))[0] < 0.5
    assert forest.probability(np.array([[above]], np.float32))[0] > 0.5


def test_most_important_inputs_are_found_and_used_alone() -> None:
    features, labels = noisy_rows(0)
    chosen = most_important_inputs(features, labels, 2, seed=0)
    assert chosen.tolist() == [3, 7]
    forest = grow_forest(features, labels, seed=0, inputs=chosen, trees=TREES).forest
    assert set(forest.inputs.tolist()) == {-1, 3, 7}


@pytest.mark.parametrize("damage", ["missing", "type", "outside", "loop", "empty", "length"])
def test_forest_from_arrays_damaged_raises(grown: GrownForest, damage: str) -> None:
    arrays = {name: array.copy() for name, array in forest_to_arrays(grown.forest).items()}
    inner = int(np.nonzero(grown.forest.inputs != -1)[0][0])
    if damage == "missing":
        del arrays["skips"]
    elif damage == "type":
        arrays["values"] = arrays["values"].astype(np.float64)
    elif damage == "outside":
        arrays["skips"][inner] = 60000
    elif damage == "loop":
        arrays["skips"][inner] = 0
    elif damage == "empty":
        arrays["roots"][1] = 0
    else:
        arrays["values"] = arrays["values"][:-1]
    with pytest.raises(UserError, match="forest"):
        forest_from_arrays(arrays)


def test_probability_hand_made_forest_is_mean_of_leaves() -> None:
    forest = Forest(
        np.array([0, 3], np.int32),
        np.array([1, -1, -1, -1], np.int16),
        np.array([0.5, 0.2, 0.8, 0.4], np.float32),
        np.array([2, 0, 0, 0], np.uint16),
    )
    probabilities = forest.probability(np.array([[9.0, 0.5], [9.0, 0.6]], np.float32))
    np.testing.assert_allclose(probabilities, [0.3, 0.6], atol=1e-7)
    assert forest.stored_bytes == 4 * 8 + 2 * 4


def test_pruning_figures_higher_price_is_smaller_with_similar_auc() -> None:
    features, labels = noisy_rows(0)
    groups = np.array([f"p{i % 20}" for i in range(len(labels))])
    everything = np.ones(len(labels), bool)
    figures = pruning_figures(
        features, labels, groups, np.full(len(labels), "s"), everything, inputs=4, fitting_rows=None, seed=0, trees=10
    )
    assert [figure.price for figure in figures] == list(PRICES)
    assert all(0.7 < figure.auc < 0.95 for figure in figures)
    assert figures[-1].stored_bytes < 0.8 * figures[0].stored_bytes


def test_chosen_price_is_highest_within_auc_loss() -> None:
    none = np.empty(0)
    figures = [PriceFigures(p, auc, 9, none) for p, auc in ((0.0, 0.900), (0.1, 0.899), (0.2, 0.89))]
    assert chosen_price(figures) == 0.1
