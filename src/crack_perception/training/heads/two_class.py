# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""SVM and random forest of Table 4 of the paper on image-level labels (section 3.3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.classification import grouped_bootstrap_interval, precision_recall_f1
from crack_perception.training.heads.adaptive_search import adaptive_search
from crack_perception.training.heads.calibration import fit_platt
from crack_perception.training.heads.compression import FourierMap, LinearReadout, draw_fourier_map, fit_readout
from crack_perception.training.heads.forest import grow_forest, most_important_inputs
from crack_perception.training.heads.forest_pruning import chosen_price, pruning_figures
from crack_perception.training.heads.svm import SvmData, fit_svm, out_of_fold_scores
from crack_perception.training.heads.whitening import Projection, fit_pca

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

COMPONENTS = 64
FOURIER_COUNT = 512
FOREST_INPUTS = 128


class TwoClass(Protocol):
    """Classifier that returns the probability ``(N,)`` of class 1 for features ``(N, F)``."""

    def probability(self, features: Features) -> Array: ...


@dataclass(frozen=True)
class FourierSvm:
    """RBF SVM on principal components, approximated by random Fourier features, with calibrated log-odds."""

    projection: Projection
    fourier: FourierMap
    log_odds: LinearReadout

    def probability(self, features: Features) -> Array:
        """Probability ``(N,)`` of class 1 for features ``(N, F)``."""
        logits = self.log_odds.apply(self.fourier.apply(self.projection.apply(features)))
        return np.asarray(1.0 / (1.0 + np.exp(-logits)), np.float64)


def fit_two_class(
    features: Features, labels: Labels, groups: npt.NDArray[np.str_], kind: Literal["svm", "forest"], seed: int
) -> TwoClass:
    """Fit one of the two classifiers, with all settings chosen by cross-validation over photographs.

    Args:
        features: ``(N, F)`` pooled features of a backbone that was not trained on these tiles.
        labels: ``(N,)`` 0/1, for example 1 = obvious.
        groups: ``(N,)`` photographs.
        kind: ``svm``: RBF SVM with adaptive settings, random Fourier features and Platt calibration. ``forest``: 100
            trees of depth 20 on the most important inputs, pruned.
        seed: Seed of all random choices.

    Raises:
        UserError: A class is missing, or there are fewer photographs than folds.
    """
    if len(np.unique(labels)) != 2:
        raise UserError("a two-class classifier needs tiles of both classes", "Add tiles of the missing class")
    return _fit_svm(features, labels, groups, seed) if kind == "svm" else _fit_forest(features, labels, groups, seed)


def _fit_svm(features: Features, labels: Labels, groups: npt.NDArray[np.str_], seed: int) -> FourierSvm:
    projection = fit_pca(features, min(COMPONENTS, *features.shape), seed)
    projected = projection.apply(features)
    data = SvmData(projected, labels, groups, np.full(len(labels), ""), np.ones(len(labels), bool))
    settings = adaptive_search(data, None, seed).best.settings
    curve = fit_platt(out_of_fold_scores(data, settings, None, seed), labels)
    machine = fit_svm(data, np.arange(len(labels)), settings)
    fourier = draw_fourier_map(projected.shape[1], FOURIER_COUNT, settings.gamma, seed)
    readout = fit_readout(fourier.apply(projected), machine.decision_function(projected))
    return FourierSvm(projection, fourier, readout.scaled(curve.slope, curve.offset))


def _fit_forest(features: Features, labels: Labels, groups: npt.NDArray[np.str_], seed: int) -> TwoClass:
    wanted = FOREST_INPUTS if features.shape[1] > FOREST_INPUTS else None
    stratum, everything = np.full(len(labels), ""), np.ones(len(labels), bool)
    figures = pruning_figures(features, labels, groups, stratum, everything, wanted, None, seed)
    inputs = None if wanted is None else most_important_inputs(features, labels, wanted, seed)
    return grow_forest(features, labels, seed, inputs).pruned(chosen_price(figures))


def two_class_figures(labels: Labels, probabilities: Array, groups: npt.NDArray[np.str_]) -> dict[str, Any]:
    """Compute the columns of Table 4.

    Args:
        labels: ``(N,)`` 0/1.
        probabilities: ``(N,)`` of class 1; the threshold is 0.5.
        groups: ``(N,)`` photographs.

    Returns:
        ``n``, ``accuracy``, its 95 % ``interval`` over photographs, and ``class_0`` and ``class_1`` with
        ``precision``, ``recall`` and ``f1``.
    """
    called = probabilities >= 0.5
    right = called == (labels == 1)
    figures: dict[str, Any] = {
        "n": len(labels),
        "accuracy": float(right.mean()),
        "interval": grouped_bootstrap_interval(lambda rows: float(right[rows].mean()), groups),
    }
    for label in (0, 1):
        precision, recall, f1 = precision_recall_f1((labels == label).astype(np.int64), called == bool(label))
        figures[f"class_{label}"] = {"precision": precision, "recall": recall, "f1": f1}
    return figures
