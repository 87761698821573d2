"""The crack SVM: scaler, principal components, RBF kernel, and how its settings and threshold are chosen.

Nothing is ever scored on a photograph that took part in fitting: the photographs that the backbone never saw are
rotated through the folds, and its training photographs only ever stand on the fitting side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from crack_perception.evaluation.classification_metrics import precision_recall_f1, roc_auc

Array = npt.NDArray[np.float64]

FOLDS = 5
GRID_FITTING_ROWS = 3000
COST_GRID = (0.3, 1.0, 3.0)
GAMMA_GRID = (0.03, 0.1, 0.3)
"""In units of 1 / (total variance of the projected features), scikit-learn's ``scale``."""
UNSEEN_WEIGHT_GRID = (1.0, 4.0)
"""Weight of a tile that the backbone never saw: its features look like those of a flight."""
CLASS_WEIGHT_GRID = (1.0, 1.5)
"""Weight of the sound class."""


@dataclass(frozen=True)
class Projection:
    """Feature scaler and principal components as one affine map ``features @ matrix + bias``."""

    matrix: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def apply(self, features: npt.NDArray[np.float32]) -> Array:
        """``(N, F)`` to ``(N, P)``."""
        return np.asarray(features @ self.matrix + self.bias, np.float64)


def fit_projection(features: npt.NDArray[np.float32], components: int, seed: int) -> Projection:
    """Standardise, then keep the first principal components."""
    scaler = StandardScaler().fit(features)
    pca = PCA(components, svd_solver="randomized", random_state=seed).fit(scaler.transform(features))
    matrix = pca.components_.T / scaler.scale_[:, None]
    bias = -(scaler.mean_ / scaler.scale_) @ pca.components_.T - pca.mean_ @ pca.components_.T
    return Projection(matrix.astype(np.float32), bias.astype(np.float32))


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
    seen = np.nonzero(~data.unseen & ~np.isin(data.groups, data.groups[unseen]))[0]
    if fitting_rows is not None and fitting_rows < len(seen):
        seen = np.random.default_rng(seed).choice(seen, fitting_rows, replace=False)
    scores = np.empty(len(unseen))
    for others, held_out in GroupKFold(FOLDS).split(unseen, groups=data.groups[unseen]):
        machine = fit_svm(data, np.concatenate([seen, unseen[others]]), settings)
        scores[held_out] = machine.decision_function(data.projected[unseen[held_out]])
    return scores


def mean_auc(data: SvmData, scores: Array) -> float:
    """AUC of the unseen rows, averaged over the strata that hold both classes."""
    labels, strata = data.labels[data.unseen], data.strata[data.unseen]
    figures = [roc_auc(labels[strata == name], scores[strata == name]) for name in np.unique(strata)]
    return float(np.nanmean(figures))


def choose_settings(data: SvmData, seed: int) -> tuple[SvmSettings, list[tuple[SvmSettings, float]]]:
    """Grid over cost and gamma, then over the weights; the best mean AUC wins.

    Returns:
        The winner, and every candidate with its figure.
    """
    scale = 1.0 / float(data.projected.var(axis=0).sum())
    candidates = [SvmSettings(cost, gamma * scale) for cost in COST_GRID for gamma in GAMMA_GRID]
    tried = [(c, mean_auc(data, out_of_fold_scores(data, c, GRID_FITTING_ROWS, seed))) for c in candidates]
    best = max(tried, key=lambda pair: pair[1])[0]
    weighted = [
        SvmSettings(best.cost, best.gamma, unseen, sound)
        for unseen in UNSEEN_WEIGHT_GRID
        for sound in CLASS_WEIGHT_GRID
        if (unseen, sound) != (1.0, 1.0)
    ]
    tried += [(c, mean_auc(data, out_of_fold_scores(data, c, GRID_FITTING_ROWS, seed))) for c in weighted]
    return max(tried, key=lambda pair: pair[1])[0], tried


def platt(decisions: Array, labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Slope and intercept of the logistic curve from decision value to probability (Platt 1999)."""
    curve = LogisticRegression(C=1e6).fit(decisions[:, None], labels)
    return float(curve.coef_[0, 0]), float(curve.intercept_[0])


def choose_threshold(
    probabilities: Array,
    labels: npt.NDArray[np.int64],
    strata: npt.NDArray[np.str_],
    hard_negatives: Sequence[str],
    most_false_alarms: float,
) -> float:
    """One threshold for all sources.

    The mean of the F1 over all strata with both classes is maximised among the thresholds that raise alarms on at
    most ``most_false_alarms`` of the hard negatives. F1 is flat around its top: of all thresholds within 0.003 of it
    the middle one is taken, so that a few tiles do not decide.
    """
    hard = np.isin(strata, list(hard_negatives))
    mixed = [name for name in np.unique(strata) if len(np.unique(labels[strata == name])) == 2]
    candidates = np.linspace(0.05, 0.95, 181)
    allowed = [t for t in candidates if not hard.any() or (probabilities[hard] >= t).mean() <= most_false_alarms]
    figures = np.array(
        [
            np.mean(
                [precision_recall_f1(labels[here], probabilities[here] >= t)[2] for here in map(strata.__eq__, mixed)]
            )
            for t in allowed
        ]
    )
    near_best = np.array(allowed)[figures >= figures.max() - 0.003]
    return float(np.median(near_best))
