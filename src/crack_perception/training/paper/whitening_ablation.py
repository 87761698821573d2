"""What the feature maps in front of an RBF SVM are worth: standardising, principal components, ZCA with shrinkage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC

from crack_perception.training.data.manifest import HARD_NEGATIVES
from crack_perception.training.data.photograph_folds import photograph_folds
from crack_perception.training.evaluation.judged_rows import JudgedRows
from crack_perception.training.evaluation.stratum_figures import mean_auc
from crack_perception.training.heads.calibration import fit_platt
from crack_perception.training.heads.decision import HARD_NEGATIVE_PRICE, CrackRows
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
    """What cross-validation over photographs chose behind one feature map, and the decisions it was chosen by.

    ``gamma_units`` are in 1 / (total variance of the mapped features); ``threshold`` is a decision value;
    ``decisions`` ``(U,)`` are those of the unseen rows, out of fold.
    """

    gamma_units: float
    threshold: float
    auc: float
    decisions: Array


def feature_maps(features: Features, seed: int) -> Iterator[tuple[str, Projection]]:
    """The maps to compare, each with its name, fitted on features ``(N, F)``."""
    yield "standardised", fit_standardise(features)
    yield f"PCA {COMPONENTS}", fit_pca(features, min(COMPONENTS, *features.shape), seed)
    for shrinkage in SHRINKAGES:
        name = "Ledoit-Wolf shrinkage" if shrinkage is None else f"shrinkage {shrinkage:g}"
        yield f"ZCA, {name if shrinkage != 0.0 else 'no shrinkage'}", fit_zca(features, shrinkage)


def whitening_ablation(train: CrackRows, tests: Mapping[str, CrackRows], seed: int) -> list[dict[str, Any]]:
    """Every map with the kernel width that suits it best, judged on rows that took no part.

    The threshold is fixed on ``train`` and the same for all tests.

    Args:
        train: Its unseen rows choose width and threshold out of fold.
        tests: By name, for example clean tiles and the same with interference.
        seed: Of the components.

    Returns:
        For every map ``name``, ``gamma_units``, ``cross_validated_auc``, and by test the figures of
        :meth:`crack_perception.training.evaluation.judged_rows.JudgedRows.compared`, the first map being the reference.
    """
    judged = {name: JudgedRows(test.labels, test.groups, test.strata) for name, test in tests.items()}
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
            row[test] = judged[test].compared(decisions, chosen.threshold, called)
        rows.append(row)
    return rows


def fit_behind(feature_map: Projection, train: CrackRows) -> tuple[MappedMachine, Callable[[Features], Array]]:
    """The best machine behind a map, and its decision values for pooled features.

    One kernel matrix serves all folds of a width; fitting on thousands of mapped columns over and over would take
    hours.

    Raises:
        UserError: Fewer unseen photographs than folds.
    """
    mapped = feature_map.apply(train.features).astype(np.float32)
    unit = 1.0 / float(mapped.var(axis=0, dtype=np.float64).sum())
    chosen = max((_cross_validated(mapped, train, units, unit) for units in GAMMA_UNITS), key=lambda found: found.auc)
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
    """The decision value that shipped models would call cracked from, by out-of-fold decisions of the unseen rows."""
    labels, strata = train.labels[train.unseen], train.strata[train.unseen]
    curve = fit_platt(decisions, labels)
    hard = [name for name in np.unique(strata) if name.startswith(HARD_NEGATIVES)]
    return curve.decision_at(choose_threshold(curve.probability(decisions), labels, strata, hard, HARD_NEGATIVE_PRICE))


def _precomputed() -> SVC:
    return SVC(C=COST, kernel="precomputed", cache_size=400)
