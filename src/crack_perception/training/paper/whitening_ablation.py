# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Ablation of the feature map of an RBF SVM: standardisation, principal components, ZCA with shrinkage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC

from crack_perception.training.data.photograph_folds import photograph_folds
from crack_perception.training.evaluation.stratum_figures import LabelledRows, mean_auc
from crack_perception.training.heads.calibration import fit_platt
from crack_perception.training.heads.decision import CrackRows
from crack_perception.training.heads.rbf_machine import rbf_kernel
from crack_perception.training.heads.svm import choose_threshold
from crack_perception.training.heads.whitening import Projection, fit_pca, fit_standardise, fit_zca

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

COMPONENTS = 64
SHRINKAGES: tuple[float | None, ...] = (0.0, 0.01, 0.1, 0.5, 0.9, None)
GAMMA_UNITS = (0.01, 0.03, 0.1, 0.3, 1.0)
COST = 1.0


@dataclass(frozen=True)
class MappedMachine:
    """SVM settings chosen by cross-validation over photographs for one feature map.

    Args:
        gamma_units: Gamma in units of 1 / (total variance of the mapped features).
        threshold: Decision value at or above which a crack is reported.
        auc: Cross-validated mean AUC.
        decisions: ``(U,)`` out-of-fold decision values of the unseen rows.
    """

    gamma_units: float
    threshold: float
    auc: float
    decisions: Array


def feature_maps(features: Features, seed: int) -> Iterator[tuple[str, Projection]]:
    """Yield the maps to compare with their names, fitted on features ``(N, F)``."""
    yield "standardised", fit_standardise(features)
    yield f"PCA {COMPONENTS}", fit_pca(features, min(COMPONENTS, *features.shape), seed)
    for shrinkage in SHRINKAGES:
        name = "Ledoit-Wolf shrinkage" if shrinkage is None else f"shrinkage {shrinkage:g}"
        yield f"ZCA, {name if shrinkage != 0.0 else 'no shrinkage'}", fit_zca(features, shrinkage)


def whitening_ablation(train: CrackRows, tests: Mapping[str, CrackRows], seed: int) -> list[dict[str, Any]]:
    """Evaluate every feature map with its best kernel width on test rows.

    Args:
        train: Rows to fit on; kernel width and threshold are chosen by the out-of-fold scores of its unseen rows.
        tests: Test rows by name, for example clean tiles and the same under interference.
        seed: Seed of the principal components.

    Returns:
        By map ``name``, ``gamma_units``, ``cross_validated_auc``, and by test the result of
        :meth:`~crack_perception.training.evaluation.stratum_figures.LabelledRows.compare` against the first map.
    """
    truth = {name: LabelledRows(test.labels, test.groups, test.strata) for name, test in tests.items()}
    reference: dict[str, npt.NDArray[np.bool_]] = {}
    rows = []
    for name, feature_map in feature_maps(train.features, seed):
        chosen, decide = fit_behind(feature_map, train)
        row: dict[str, Any] = {
            "name": name,
            "gamma_units": chosen.gamma_units,
            "cross_validated_auc": chosen.auc,
        }
        for test, tiles in tests.items():
            decisions = decide(tiles.features)
            called = reference.setdefault(test, decisions >= chosen.threshold)
            row[test] = truth[test].compare(decisions, chosen.threshold, called)
        rows.append(row)
    return rows


def fit_behind(feature_map: Projection, train: CrackRows) -> tuple[MappedMachine, Callable[[Features], Array]]:
    """Fit the best SVM behind a feature map; return its settings and its decision function for pooled features.

    All folds of a kernel width share one kernel matrix; refitting on thousands of mapped columns would take hours.

    Raises:
        UserError: There are fewer unseen photographs than folds.
    """
    mapped = feature_map.apply(train.features).astype(np.float32)
    unit = 1.0 / float(mapped.var(axis=0, dtype=np.float64).sum())
    chosen = max((_cross_validated(mapped, train, units, unit) for units in GAMMA_UNITS), key=lambda fit: fit.auc)
    gamma = chosen.gamma_units * unit
    machine = _precomputed().fit(rbf_kernel(mapped, mapped, gamma), train.labels)

    def decide(features: Features) -> Array:
        kernel = rbf_kernel(feature_map.apply(features).astype(np.float32), mapped, gamma)
        return np.asarray(machine.decision_function(kernel), np.float64)

    return chosen, decide


def _cross_validated(mapped: Features, train: CrackRows, units: float, unit: float) -> MappedMachine:
    kernel = rbf_kernel(mapped, mapped, units * unit)
    unseen = np.nonzero(train.unseen)[0]
    decisions = np.empty(len(unseen))
    for fitting, held_out in photograph_folds(train.groups, train.unseen, None, 0):
        machine = _precomputed().fit(kernel[np.ix_(fitting, fitting)], train.labels[fitting])
        decisions[held_out] = machine.decision_function(kernel[np.ix_(unseen[held_out], fitting)])
    auc = mean_auc(train.labels[unseen], decisions, train.strata[unseen])
    return MappedMachine(units, operating_threshold(decisions, train), auc, decisions)


def operating_threshold(decisions: Array, train: CrackRows) -> float:
    """Choose the decision threshold by the rule of shipped models, from out-of-fold decisions of the unseen rows."""
    labels, strata = train.labels[train.unseen], train.strata[train.unseen]
    curve = fit_platt(decisions, labels)
    return curve.decision_at(choose_threshold(curve.probability(decisions), labels, strata))


def _precomputed() -> SVC:
    return SVC(C=COST, kernel="precomputed", cache_size=400)
