"""The crack SVM with an RBF kernel, and how its settings and threshold are chosen."""

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
"""Weight of a tile that the backbone never saw: its features look like those of a flight."""
CLASS_WEIGHT_GRID = (1.0, 1.5)
"""Weight of the sound class."""


@dataclass(frozen=True)
class SvmSettings:
    """What cross-validation chooses."""

    cost: float
    gamma: float
    unseen_weight: float = 1.0
    sound_weight: float = 1.0


@dataclass(frozen=True)
class SvmData:
    """Rows that an SVM is fitted and judged on.

    Args:
        projected: ``(N, P)``.
        labels: ``(N,)`` 0/1.
        groups: ``(N,)`` photographs.
        strata: ``(N,)`` names that figures are averaged over.
        unseen: ``(N,)`` True for original tiles of photographs that the backbone never saw: they are judged.
    """

    projected: Array
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    strata: npt.NDArray[np.str_]
    unseen: npt.NDArray[np.bool_]


def fit_svm(data: SvmData, rows: npt.NDArray[np.intp], settings: SvmSettings) -> SVC:
    """Fit on some rows."""
    weights = np.where(data.unseen[rows], settings.unseen_weight, 1.0)
    weights = weights * np.where(data.labels[rows] == 0, settings.sound_weight, 1.0)
    machine = SVC(C=settings.cost, gamma=settings.gamma, cache_size=800)
    return machine.fit(data.projected[rows], data.labels[rows], sample_weight=weights)


def out_of_fold_scores(data: SvmData, settings: SvmSettings, fitting_rows: int | None, seed: int) -> Array:
    """Decision values of the unseen rows (in their order), each from a machine that did not see its photograph.

    Args:
        data: All rows.
        settings: Of the machine.
        fitting_rows: At most so many rows of training photographs take part; None for all.
        seed: Chooses them.
    """
    unseen = np.nonzero(data.unseen)[0]
    scores = np.empty(len(unseen))
    for fitting, held_out in photograph_folds(data.groups, data.unseen, fitting_rows, seed):
        machine = fit_svm(data, fitting, settings)
        scores[held_out] = machine.decision_function(data.projected[unseen[held_out]])
    return scores


def gamma_unit(data: SvmData) -> float:
    """scikit-learn's ``scale``: 1 / (total variance of the projected features)."""
    return 1.0 / float(data.projected.var(axis=0).sum())


def choose_settings(data: SvmData, seed: int) -> tuple[SvmSettings, list[tuple[SvmSettings, float]]]:
    """Grid over cost and gamma, then over the weights; the best mean AUC wins.

    Returns:
        The winner, and every candidate with its figure.
    """
    labels, strata = data.labels[data.unseen], data.strata[data.unseen]

    def judged(settings: SvmSettings) -> tuple[SvmSettings, float]:
        return settings, mean_auc(labels, out_of_fold_scores(data, settings, GRID_FITTING_ROWS, seed), strata)

    scale = gamma_unit(data)
    candidates = [SvmSettings(cost, gamma * scale) for cost in COST_GRID for gamma in GAMMA_GRID]
    tried = [judged(settings) for settings in candidates]
    best = max(tried, key=lambda pair: pair[1])[0]
    weighted = [
        SvmSettings(best.cost, best.gamma, unseen, sound)
        for unseen in UNSEEN_WEIGHT_GRID
        for sound in CLASS_WEIGHT_GRID
        if (unseen, sound) != (1.0, 1.0)
    ]
    tried += [judged(settings) for settings in weighted]
    return max(tried, key=lambda pair: pair[1])[0], tried


def choose_threshold(
    probabilities: Array,
    labels: npt.NDArray[np.int64],
    strata: npt.NDArray[np.str_],
    hard_negatives: Sequence[str],
    alarm_price: float,
) -> float:
    """One threshold for all sources.

    What is maximised is the mean of the F1 over all strata with both classes, less the share of the hard negatives
    that raise an alarm times its price. A limit on that share would hang on single tiles: there are few of them. The
    top is flat: of all thresholds within 0.003 of it the middle one is taken.

    Args:
        probabilities: ``(N,)`` out of fold.
        labels: ``(N,)`` 1 = crack.
        strata: ``(N,)`` source and surface.
        hard_negatives: Strata of sound tiles that look like cracks.
        alarm_price: F1 that may be lost to call none of them instead of all.
    """
    hard = np.isin(strata, list(hard_negatives))
    candidates = np.linspace(0.05, 0.95, 181)
    alarms = np.array([(probabilities[hard] >= t).mean() if hard.any() else 0.0 for t in candidates])
    worth = np.array([mean_f1(labels, probabilities >= t, strata) for t in candidates]) - alarm_price * alarms
    return float(np.median(candidates[worth >= worth.max() - 0.003]))
