# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Both classifiers of Table 4 on separable classes, and the columns of the table."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("sklearn")

from crack_perception.errors import UserError
from crack_perception.training.heads.two_class import fit_two_class, two_class_figures


def rows(seed: int, count: int = 200) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    features = rng.normal(0.0, 1.0, (count, 20))
    features[:, :5] += 1.2 * labels[:, None]
    return features.astype(np.float32), labels, np.array([f"p{i % 20}" for i in range(count)])


@pytest.mark.parametrize("kind", ["svm", "forest"])
def test_fit_two_class_separates_new_rows(kind: Literal["svm", "forest"]) -> None:
    fresh, truth, groups = rows(1, 400)
    probabilities = fit_two_class(*rows(0), kind, seed=0).probability(fresh)
    assert 0.0 <= probabilities.min() < 0.3 < 0.7 < probabilities.max() <= 1.0
    figures = two_class_figures(truth, probabilities, groups)
    assert figures["accuracy"] > 0.82
    assert figures["interval"][0] < figures["accuracy"] < figures["interval"][1]


def test_fit_two_class_one_class_raises() -> None:
    features, labels, groups = rows(0)
    with pytest.raises(UserError, match="both classes"):
        fit_two_class(features, np.zeros_like(labels), groups, "svm", seed=0)


def test_two_class_figures_returns_columns_of_table() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array([0.1, 0.6, 0.2, 0.9, 0.5])
    figures = two_class_figures(labels, probabilities, np.array(["a", "b", "c", "d", "e"]))
    assert figures["accuracy"] == pytest.approx(0.8)
    assert figures["class_0"] == pytest.approx({"precision": 1.0, "recall": 2 / 3, "f1": 0.8})
    assert figures["class_1"] == pytest.approx({"precision": 2 / 3, "recall": 1.0, "f1": 0.8})
