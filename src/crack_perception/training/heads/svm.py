# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack SVM with an RBF kernel, and the choice of its settings and threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC

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
    hard_negatives: Sequence[str],
    alarm_price: float,
) -> float:
    """Choose one threshold for all sources.

    It maximises the mean F1 over the strata with both classes, minus ``alarm_price`` times the false alarm rate on hard
    negatives. A limit on that rate would depend on single tiles because there are few. The maximum is flat: the median
    of all thresholds within 0.003 of it is used.

    Args:
        probabilities: ``(N,)`` out of fold.
        labels: ``(N,)`` 1 = crack.
        strata: ``(N,)`` source and surface.
        hard_negatives: Names of the strata of hard negatives.
        alarm_price: Loss of F1 accepted to reduce the false alarm rate on hard negatives from 1 to 0.
    """
    hard = np.isin(strata, list(hard_negatives))
    candidates = np.linspace(0.05, 0.95, 181)
    alarms = np.array([(probabilities[hard] >= t).mean() if hard.any() else 0.0 for t in candidates])
    worth = np.array([mean_f1(labels, probabilities >= t, strata) for t in candidates]) - alarm_price * alarms
    return float(np.median(candidates[worth >= worth.max() - 0.003]))
