# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Ablation of whitening, hyperparameter search, kind of classifier, calibration and compression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import expected_calibration_error
from crack_perception.training.data.photograph_folds import FOLDS, seen_rows
from crack_perception.training.evaluation.stratum_figures import Called, LabelledRows
from crack_perception.training.heads.adaptive_search import adaptive_search
from crack_perception.training.heads.calibration import CALIBRATIONS, calibration_losses, log_loss
from crack_perception.training.heads.decision import CrackRows
from crack_perception.training.heads.forest import grow_forest, most_important_inputs
from crack_perception.training.heads.forest_pruning import PriceFigures, chosen_price, pruning_figures
from crack_perception.training.heads.svm import (
    SvmData,
    SvmSettings,
    choose_settings,
    choose_threshold,
    fit_svm,
    out_of_fold_scores,
)
from crack_perception.training.heads.whitening import fit_pca, fit_standardise
from crack_perception.training.paper.machine_compression import compressed_machines, compression_ladder
from crack_perception.training.paper.whitening_ablation import COST, fit_behind, operating_threshold, whitening_ablation

Array = npt.NDArray[np.float64]

COMPONENTS = 64
FOREST_INPUTS = 128
SEEN_ROWS = 1500


def classifier_ablation(
    train: CrackRows, test: CrackRows, seed: int, interfered: CrackRows | None = None, seen: int = SEEN_ROWS
) -> dict[str, Any]:
    """Run all comparisons on the same rows; ``train`` decides settings and thresholds, ``test`` the metrics.

    Args:
        train: Rows to fit on; settings are chosen by the out-of-fold scores of its unseen rows.
        test: Rows of photographs that neither the backbone nor ``train`` contains.
        seed: Seed of all random choices.
        interfered: The test tiles under interference, for the comparison of whitening.
        seen: Largest number of rows from photographs that the backbone was trained on.

    Returns:
        Plain data: ``rows``, ``whitening``, ``search``, ``forest``, ``calibration``, ``compression``. Metrics are means
        over the strata, intervals cover 95 % over photographs. Every ``f1_loss`` is paired: against standardisation
        (whitening), grid search (adaptive search and forest) or the exact SVM (compression).

    Raises:
        UserError: There are fewer unseen photographs than folds.
    """
    fitting = _subset(train, seen, seed)
    tests = {"clean": test} if interfered is None else {"clean": test, "interfered": interfered}
    search, best, reference = _search(fitting, test, seed)
    return {
        "rows": {"fitting": len(fitting.labels), "judged": int(fitting.unseen.sum()), "test": len(test.labels)},
        "whitening": whitening_ablation(fitting, tests, seed),
        "search": search,
        "forest": _forest(fitting, test, reference, seed),
        "calibration": _calibration(fitting, test, best, seed),
        "compression": _compression(fitting, test, seed),
    }


def _subset(train: CrackRows, seen: int, seed: int) -> CrackRows:
    """Select all unseen rows and a sample of the rows of other photographs."""
    rows = seen_rows(train.groups, train.unseen)
    if seen < len(rows):
        rows = np.random.default_rng(seed).choice(rows, seen, replace=False)
    kept = np.sort(np.concatenate([rows, np.nonzero(train.unseen)[0]]))
    columns = (train.features, train.labels, train.groups, train.strata, train.unseen)
    return CrackRows(*(column[kept] for column in columns))


def _truth(test: CrackRows) -> LabelledRows:
    return LabelledRows(test.labels, test.groups, test.strata)


def _svm_data(rows: CrackRows, projected: Array) -> SvmData:
    return SvmData(projected, rows.labels, rows.groups, rows.strata, rows.unseen)


def _search(fitting: CrackRows, test: CrackRows, seed: int) -> tuple[list[dict[str, Any]], SvmSettings, Called]:
    """Compare grid search and adaptive search on principal components.

    Returns:
        Rows of both, the settings with the higher cross-validated F1, and the calls of grid search on the test rows.
    """
    projection = fit_pca(fitting.features, COMPONENTS, seed)
    data = _svm_data(fitting, projection.apply(fitting.features))
    unseen = LabelledRows(data.labels[data.unseen], data.groups[data.unseen], data.strata[data.unseen])
    from_grid, tried = choose_settings(data, seed)
    walk = adaptive_search(data, None, seed)
    rows: list[dict[str, Any]] = []
    reference: Called | None = None
    for name, settings, fits in (
        ("grid", from_grid, len(tried) * FOLDS),
        ("adaptive", walk.best.settings, walk.fits),
    ):
        decisions = out_of_fold_scores(data, settings, None, seed)
        threshold = operating_threshold(decisions, fitting)
        machine = fit_svm(data, np.arange(len(data.labels)), settings)
        decided = machine.decision_function(projection.apply(test.features))
        reference = decided >= threshold if reference is None else reference
        rows.append(
            {
                "name": name,
                "fits": fits,
                "settings": asdict(settings),
                "support_vectors": int(machine.n_support_.sum()),
                "cross_validated_f1": unseen.f1(decisions >= threshold),
                **_truth(test).compare(decided, threshold, reference),
            }
        )
    rows[1]["path"] = [asdict(step) for step in walk.path]
    better = max(((from_grid, rows[0]), (walk.best.settings, rows[1])), key=lambda pair: pair[1]["cross_validated_f1"])
    return rows, better[0], np.asarray(reference)


def _forest(fitting: CrackRows, test: CrackRows, reference: Called, seed: int) -> list[dict[str, Any]]:
    """Evaluate the paper's random forest on the most important inputs, unpruned and pruned."""
    prices = pruning_figures(
        fitting.features, fitting.labels, fitting.groups, fitting.strata, fitting.unseen, FOREST_INPUTS, None, seed
    )
    inputs = most_important_inputs(fitting.features, fitting.labels, FOREST_INPUTS, seed)
    grown = grow_forest(fitting.features, fitting.labels, seed, inputs)
    rows = []
    for name, price in (("as grown", 0.0), ("pruned", chosen_price(prices))):
        forest = grown.pruned(price)
        threshold = _forest_threshold(_at(prices, price), fitting)
        rows.append(
            {
                "name": name,
                "price": price,
                "bytes": forest.stored_bytes,
                "nodes": len(forest.inputs),
                **_truth(test).compare(forest.probability(test.features), threshold, reference),
            }
        )
    return rows


def _at(prices: list[PriceFigures], price: float) -> PriceFigures:
    return next(figures for figures in prices if figures.price == price)


def _forest_threshold(figures: PriceFigures, fitting: CrackRows) -> float:
    labels, strata = fitting.labels[fitting.unseen], fitting.strata[fitting.unseen]
    return choose_threshold(figures.probabilities, labels, strata)


def _calibration(fitting: CrackRows, test: CrackRows, settings: SvmSettings, seed: int) -> list[dict[str, Any]]:
    """Compare calibration curves by log-loss (cross-validated and on the test rows) and calibration error."""
    projection = fit_pca(fitting.features, COMPONENTS, seed)
    data = _svm_data(fitting, projection.apply(fitting.features))
    labels, groups = data.labels[data.unseen], data.groups[data.unseen]
    decisions = out_of_fold_scores(data, settings, None, seed)
    losses = calibration_losses(decisions, labels, groups)
    machine = fit_svm(data, np.arange(len(data.labels)), settings)
    decided = machine.decision_function(projection.apply(test.features))
    rows = []
    for name, fit in CALIBRATIONS.items():
        probabilities = fit(decisions, labels).probability(decided)
        rows.append(
            {
                "name": name,
                "cross_validated_log_loss": losses[name],
                "log_loss": log_loss(test.labels, probabilities),
                "calibration_error": expected_calibration_error(test.labels, probabilities),
            }
        )
    return rows


def _compression(fitting: CrackRows, test: CrackRows, seed: int) -> list[dict[str, Any]]:
    """Evaluate all compression steps with the kernel width and threshold of the exact SVM on standardised features."""
    chosen, _ = fit_behind(fit_standardise(fitting.features), fitting)
    machines = compressed_machines(
        fitting.features, fitting.labels, SvmSettings(COST, gamma=1.0), chosen.gamma_units, seed
    )
    return [asdict(step) for step in compression_ladder(machines, test.features, _truth(test), chosen.threshold)]


def paper_claims(steps: list[Mapping[str, Any]]) -> dict[str, float]:
    """Measure the paper's three claims on compression (section 3.2.2).

    Args:
        steps: ``compression`` of :func:`classifier_ablation`.

    Returns:
        Loss of F1 when 30 % and 50 % of the support vectors are trimmed: without refit, with the intercept adjusted,
        and with refit. Share of the bytes saved by int8. Share of the time saved by each number of Fourier features.
    """
    by_name = {step["name"]: step for step in steps}
    exact = steps[0]
    claims: dict[str, float] = {}
    for share in ("30%", "50%"):
        claims[f"f1_loss_trimmed_{share}"] = by_name[f"{share} of the vectors trimmed, no refit"]["f1_loss"]
        claims[f"f1_loss_trimmed_intercept_moved_{share}"] = by_name[
            f"{share} of the vectors trimmed, intercept moved"
        ]["f1_loss"]
        claims[f"f1_loss_pruned_{share}"] = by_name[f"{share} of the vectors pruned, refitted"]["f1_loss"]
    claims["bytes_saved_int8"] = 1.0 - by_name["int8"]["bytes"] / exact["bytes"]
    for name, step in by_name.items():
        if name.endswith("Fourier features, float32"):
            saved = 1.0 - step["microseconds_per_tile"] / exact["microseconds_per_tile"]
            claims[f"time_saved_{name.split()[0]}_fourier_features"] = saved
    return claims
