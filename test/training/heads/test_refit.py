# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Refit of a readout: gains on an added source, keeps the known ones, and evaluates photographs outside the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn")

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.classification import precision_recall_f1, roc_auc
from crack_perception.training.heads.compression import LinearReadout
from crack_perception.training.heads.refit import RefitRows, refit_readout

FEATURES = 12
KNOWN, ADDED, HARD = "sdnet2018/wall", "uavcrack/deck", "sdnet2018_hardneg/wall"
OLD = LinearReadout(np.eye(FEATURES)[0] * 3.0, 0.0)


def rows(stratum: str, count: int, cue: int, cracked: float = 0.5, evaluated: bool = True) -> RefitRows:
    """Rows whose crack shows in feature ``cue``, of photographs with ten rows each."""
    rng = np.random.default_rng([cue, count])
    labels = (rng.random(count) < cracked).astype(np.int64)
    fourier = rng.normal(0.0, 1.0, (count, FEATURES))
    fourier[:, 0] *= 0.3
    fourier[:, cue] += np.where(labels == 1, 1.5, -1.5)
    return RefitRows(
        fourier.astype(np.float32),
        labels,
        np.array([f"{stratum}:{i // 10}" for i in range(count)]),
        np.repeat(stratum, count),
        np.ones(count),
        np.full(count, evaluated),
    )


def f1(readout: LinearReadout, threshold: float, part: RefitRows) -> float:
    called = readout.apply(part.fourier.astype(np.float64)) >= np.log(threshold / (1.0 - threshold))
    return precision_recall_f1(part.labels, called)[2]


@pytest.fixture(scope="module")
def parts() -> list[RefitRows]:
    added = rows(ADDED, 400, cue=5)
    return [rows(KNOWN, 600, cue=0), rows(HARD, 80, cue=0, cracked=0.0), replace(added, weights=10 * added.weights)]


def test_refit_readout_added_source_gains_and_known_one_keeps_its_f1(parts: list[RefitRows]) -> None:
    refit = refit_readout(RefitRows.joined(parts), OLD, 0.5)
    fresh = rows(ADDED, 390, cue=5)
    assert roc_auc(fresh.labels, OLD.apply(fresh.fourier.astype(np.float64))) < 0.6
    assert roc_auc(fresh.labels, refit.readout.apply(fresh.fourier.astype(np.float64))) > 0.9
    assert f1(refit.readout, refit.threshold, rows(KNOWN, 590, cue=0)) > f1(OLD, 0.5, rows(KNOWN, 590, cue=0)) - 0.02


def test_refit_readout_report_counts_rows_and_evaluates_every_stratum(parts: list[RefitRows]) -> None:
    unevaluated = rows("views/wall", 100, cue=5, evaluated=False)
    report = refit_readout(RefitRows.joined([*parts, unevaluated]), OLD, 0.5).report
    assert report["rows"][HARD] == {"crack": 0, "none": 80, "weight": 80.0}
    after = report["validation"]["after"]
    assert set(after["f1"]) == {KNOWN, ADDED}
    assert set(after["false_alarms"]) == {HARD}
    assert after["f1"][ADDED] > report["validation"]["before"]["f1"][ADDED]


def test_refit_readout_without_weight_of_added_rows_keeps_the_logits(parts: list[RefitRows]) -> None:
    known, hard, added = parts
    ignored = replace(added, weights=0.0 * added.weights)
    refit = refit_readout(RefitRows.joined([known, hard, ignored]), OLD, 0.5)
    assert roc_auc(added.labels, refit.readout.apply(added.fourier.astype(np.float64))) < 0.65


def test_refit_readout_evaluation_never_uses_the_photograph_of_a_row() -> None:
    """A feature that identifies the photograph would predict its label perfectly if it took part in the fit."""
    rng = np.random.default_rng(3)
    photographs, each = 40, 10
    labels = np.repeat(rng.integers(0, 2, photographs), each)
    fourier = np.zeros((photographs * each, FEATURES + photographs), np.float32)
    fourier[:, :FEATURES] = rng.normal(0.0, 1.0, (photographs * each, FEATURES))
    for i in range(photographs):
        fourier[i * each : (i + 1) * each, FEATURES + i] = 1.0
    part = RefitRows(
        fourier,
        labels.astype(np.int64),
        np.repeat([f"p{i}" for i in range(photographs)], each),
        np.repeat(KNOWN, photographs * each),
        np.full(photographs * each, 50.0),
        np.ones(photographs * each, np.bool_),
    )
    old = LinearReadout(np.zeros(FEATURES + photographs), 0.0)
    refit = refit_readout(part, old, 0.5)
    assert f1(refit.readout, 0.5, part) > 0.95
    assert refit.report["validation"]["after"]["f1"][KNOWN] < 0.85


def test_refit_readout_of_one_photograph_is_refused() -> None:
    part = rows(KNOWN, 10, cue=0)
    with pytest.raises(UserError, match="1 photographs are too few"):
        refit_readout(part, OLD, 0.5)
