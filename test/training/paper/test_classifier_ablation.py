# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the classifier ablation on small synthetic rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("onnx")

from crack_perception.training.heads.decision import CrackRows
from crack_perception.training.paper import classifier_ablation as ablation

pytestmark = pytest.mark.slow

TILES, COLUMNS = 180, 140


def crack_rows(seed: int, first_photograph: int, shift: float = 0.0) -> CrackRows:
    """Two Gaussian classes in two strata; a common shift of the features simulates interference."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, TILES)
    photographs = rng.integers(0, 30, TILES)
    features = rng.normal(0.0, 1.0, (TILES, COLUMNS))
    features[:, :40] += 0.8 * labels[:, None] - shift
    strata = np.where(np.arange(TILES) % 2 == 0, "sdnet2018/wall", "sdnet2018/deck")
    groups = np.array([f"p{first_photograph + p}" for p in photographs])
    return CrackRows(features.astype(np.float32), labels, groups, strata, photographs < 15)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    train, test = crack_rows(0, 0), crack_rows(1, 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crack_perception.training.paper.machine_compression.FOURIER_COUNTS", (64, 128))
        patch.setattr("crack_perception.training.evaluation.stratum_figures.DRAWS", 40)
        return ablation.classifier_ablation(train, test, 0, crack_rows(1, 100, shift=0.5), seen=60)


def test_classifier_ablation_report_is_plain_data(report: dict[str, Any]) -> None:
    assert set(json.loads(json.dumps(report))) == {
        "rows",
        "whitening",
        "search",
        "forest",
        "calibration",
        "compression",
    }
    assert report["rows"]["fitting"] == report["rows"]["judged"] + 60


def test_classifier_ablation_every_classifier_beats_chance(report: dict[str, Any]) -> None:
    figures = [*report["search"], *report["forest"], report["compression"][0]]
    figures += [row["clean"] for row in report["whitening"] if row["name"] != "ZCA, no shrinkage"]
    for row in figures:
        assert row["f1"] > 0.75
        assert row["f1_interval"][0] < row["f1"] < row["f1_interval"][1]


def test_whitening_few_rows_needs_shrinkage(report: dict[str, Any]) -> None:
    auc = {row["name"]: row["clean"]["auc"] for row in report["whitening"]}
    assert auc["ZCA, Ledoit-Wolf shrinkage"] > auc["ZCA, no shrinkage"] + 0.02
    assert all("interfered" in row for row in report["whitening"])


def test_search_reports_fits_and_path(report: dict[str, Any]) -> None:
    grid, adaptive = report["search"]
    assert grid["fits"] == 60
    assert 5 <= adaptive["fits"] <= 100
    assert adaptive["path"][0]["decided"] == "start"


def test_forest_pruned_is_not_larger(report: dict[str, Any]) -> None:
    grown, pruned = report["forest"]
    assert pruned["bytes"] <= grown["bytes"]


def test_paper_claims_known_steps_give_expected_shares() -> None:
    def step(name: str, size: int, f1_loss: float, time: float) -> dict[str, Any]:
        return {"name": name, "bytes": size, "f1_loss": f1_loss, "microseconds_per_tile": time}

    steps = [step("RBF SVM, float32", 1000, 0.0, 50.0), step("int8", 270, 0.0, 50.0)]
    for share in ("30%", "50%"):
        steps += [
            step(f"{share} of the vectors trimmed, no refit", 500, 0.4, 30.0),
            step(f"{share} of the vectors trimmed, intercept moved", 500, 0.1, 30.0),
            step(f"{share} of the vectors pruned, refitted", 500, 0.01, 30.0),
        ]
    claims = ablation.paper_claims([*steps, step("128 Fourier features, float32", 700, 0.02, 5.0)])
    assert claims["bytes_saved_int8"] == pytest.approx(0.73)
    assert claims["time_saved_128_fourier_features"] == pytest.approx(0.9)
    assert claims["f1_loss_trimmed_intercept_moved_30%"] == 0.1
    assert (claims["f1_loss_trimmed_50%"], claims["f1_loss_pruned_50%"]) == (0.4, 0.01)
