# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack SVM with an RBF kernel, and the choice of its settings and threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC

from crack_perception.training.data.manifest import NATURAL_PREVALENCE
from crack_perception.training.data.photograph_folds import photograph_folds
from crack_perception.training.evaluation.stratum_figures import mean_auc, mean_f1

Array = npt.NDArray[np.float64]

GRID_FITTING_ROWS = 3000
COST_GRID = (0.3, 1.0, 3.0)
GAMMA_GRID = (0.03, 0.1, 0.3)
"""In units of :func:`gamma_unit`."""
UNSEEN_WEIGHT_GRID = (1.0, 4.0)
"""Weights of tiles that the backbone was not trained on: their features resemble those of a flight."""
CLASS_WEIGHT_GRID = (1.0, 1.5)
"""Weights of the intact class."""
F1_TOLERANCE = 0.01
"""Difference of the mean F1 of two thresholds that is smaller than its uncertainty."""


@dataclass(frozen=True)
class SvmSettings:
    """SVM settings chosen by cross-validation; ``sound_weight`` is the weight of the intact class."""

    cost: float
    gamma: float
    unseen_weight: float = 1.0
    sound_weight: float = 1.0


@dataclass(frozen=True)
class SvmData:
    """Rows that an SVM is fitted and evaluated on.

    Args:
        projected: ``(N, P)`` projected features.
        labels: ``(N,)`` 0/1.
        groups: ``(N,)`` photographs.
        strata: ``(N,)`` names of the strata that figures are averaged over.
        unseen: ``(N,)`` True for original tiles of photographs that the backbone was not trained on; only these are
            evaluated.
    """

    projected: Array
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    strata: npt.NDArray[np.str_]
    unseen: npt.NDArray[np.bool_]


def fit_svm(data: SvmData, rows: npt.NDArray[np.intp], settings: SvmSettings) -> SVC:
    """Fit an SVM on the given rows."""
    weights = np.where(data.unseen[rows], settings.unseen_weight, 1.0)
    weights = weights * np.where(data.labels[rows] == 0, settings.sound_weight, 1.0)
    machine = SVC(C=settings.cost, gamma=settings.gamma, cache_size=800)
    return machine.fit(data.projected[rows], data.labels[rows], sample_weight=weights)


def out_of_fold_scores(data: SvmData, settings: SvmSettings, fitting_rows: int | None, seed: int) -> Array:
    """Compute out-of-fold decision values of the unseen rows, in their order.

    Args:
        data: All rows.
        settings: SVM settings.
        fitting_rows: Maximum number of rows of the backbone's training photographs; None for all.
        seed: Seed of their choice.
    """
    unseen = np.nonzero(data.unseen)[0]
    scores = np.empty(len(unseen))
    for fitting, held_out in photograph_folds(data.groups, data.unseen, fitting_rows, seed):
        machine = fit_svm(data, fitting, settings)
        scores[held_out] = machine.decision_function(data.projected[unseen[held_out]])
    return scores


def gamma_unit(data: SvmData) -> float:
    """Unit of gamma: 1 / (total variance of the projected features), close to scikit-learn's ``scale``."""
    return 1.0 / float(data.projected.var(axis=0).sum())


def choose_settings(data: SvmData, seed: int) -> tuple[SvmSettings, list[tuple[SvmSettings, float]]]:
    """Search a grid over cost and gamma, then over the weights, for the highest mean AUC.

    Returns:
        The best settings, and all candidates with their mean AUC.
    """
    labels, strata = data.labels[data.unseen], data.strata[data.unseen]

    def evaluated(settings: SvmSettings) -> tuple[SvmSettings, float]:
        return settings, mean_auc(labels, out_of_fold_scores(data, settings, GRID_FITTING_ROWS, seed), strata)

    scale = gamma_unit(data)
    candidates = [SvmSettings(cost, gamma * scale) for cost in COST_GRID for gamma in GAMMA_GRID]
    tried = [evaluated(settings) for settings in candidates]
    best = max(tried, key=lambda pair: pair[1])[0]
    weighted = [
        SvmSettings(best.cost, best.gamma, unseen, intact)
        for unseen in UNSEEN_WEIGHT_GRID
        for intact in CLASS_WEIGHT_GRID
        if (unseen, intact) != (1.0, 1.0)
    ]
    tried += [evaluated(settings) for settings in weighted]
    return max(tried, key=lambda pair: pair[1])[0], tried


def choose_threshold(
    probabilities: Array,
    labels: npt.NDArray[np.int64],
    strata: npt.NDArray[np.str_],
) -> float:
    """Choose one threshold for all sources.

    It has the highest mean F1 over the strata with both classes, at the share of cracked tiles in whole photographs
    where that is known: tiles of a data set hold more cracks than a wall, and false alarms would count too little. The
    maximum is flat: of all thresholds within ``F1_TOLERANCE`` of it, the lowest is used, because a missed crack costs
    more than a false alarm.

    Args:
        probabilities: ``(N,)`` out of fold.
        labels: ``(N,)`` 1 = crack.
        strata: ``(N,)`` source and surface.
    """
    candidates = np.linspace(0.05, 0.95, 181)
    worth = np.array([mean_f1(labels, probabilities >= t, strata, NATURAL_PREVALENCE) for t in candidates])
    return float(candidates[worth >= worth.max() - F1_TOLERANCE][0])
