# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Fit of a head on features of known classes and widths: threshold, compression and standard deviations."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("onnx")

from crack_perception.training.heads.compression import agreement, draw_fourier_map, fit_readout
from crack_perception.training.heads.decision import CrackRows, Decision, WidthRows, fit_decision
from crack_perception.training.heads.svm import (
    SvmData,
    SvmSettings,
    choose_threshold,
    out_of_fold_scores,
)

FEATURES, TILES, PHOTOGRAPHS = 70, 500, 50


def crack_rows(rng: np.random.Generator) -> CrackRows:
    """Two Gaussian classes; photographs 0-19 are unseen by the backbone, every 10th tile is a hard negative."""
    labels = rng.integers(0, 2, TILES)
    photographs = rng.integers(0, PHOTOGRAPHS, TILES)
    strata = np.where(np.arange(TILES) % 10 == 0, "sdnet2018_hardneg/wall", "sdnet2018/wall")
    labels[strata == "sdnet2018_hardneg/wall"] = 0
    features = rng.normal(0.0, 1.0, (TILES, FEATURES))
    features[:, :40] += 0.6 * labels[:, None]
    groups = np.array([f"p{p}" for p in photographs])
    return CrackRows(features.astype(np.float32), labels, groups, strata, photographs < 20)


def width_rows(rng: np.random.Generator, first_photograph: int) -> WidthRows:
    """Twelve features contain the log width, noisier on rough surfaces; six others contain the roughness."""
    log_width = rng.uniform(math.log(0.5), math.log(16.0), 600)
    features = rng.normal(0.0, 0.3, (600, FEATURES))
    rough = rng.random(600) < 0.5
    sigma = np.where(rough, 1.0, 0.3)
    features[:, 50:62] += (log_width + sigma * rng.normal(0.0, 1.0, 600))[:, None]
    features[:, 62:68] += 2.0 * rough[:, None]
    groups = np.array([f"q{first_photograph + i % 30}" for i in range(600)])
    return WidthRows(features.astype(np.float32), log_width, groups)


@pytest.fixture(scope="module")
def decision() -> Decision:
    rng = np.random.default_rng(0)
    rows = crack_rows(rng)
    return fit_decision(rows, rows.features[rows.unseen], width_rows(rng, 0), width_rows(rng, 100), seed=1)


def test_fit_decision_head_separates_new_rows(decision: Decision) -> None:
    fresh = crack_rows(np.random.default_rng(9))
    called = decision.head.outputs(fresh.features)["crack_score"] >= decision.threshold
    assert np.mean(called == (fresh.labels == 1)) > 0.85


def test_fit_decision_int8_head_agrees_with_exact_svm(decision: Decision) -> None:
    last = decision.report["compression"][-1]
    assert last["step"].endswith("int8")
    assert last["agreement"] > 0.9
    assert last["head_bytes"] < 0.5 * decision.report["compression"][-2]["head_bytes"]


def test_fit_decision_sigma_covers_errors_and_grows_with_noise(decision: Decision) -> None:
    fresh = width_rows(np.random.default_rng(10), 200)
    outputs = decision.head.outputs(fresh.features)
    errors = np.abs(outputs["log_width_px"] - fresh.log_width_px)
    assert np.mean(errors <= outputs["log_width_sigma"]) == pytest.approx(0.683, abs=0.08)
    assert np.mean(errors <= 2 * outputs["log_width_sigma"]) > 0.88
    rough = fresh.features[:, 62:68].mean(axis=1) > 1.0
    assert outputs["log_width_sigma"][rough].mean() > 1.5 * outputs["log_width_sigma"][~rough].mean()


def test_fit_decision_wide_score_follows_edge(decision: Decision) -> None:
    fresh = width_rows(np.random.default_rng(11), 300)
    wide = decision.head.outputs(fresh.features)["wide_score"]
    assert wide[fresh.log_width_px > math.log(8.0)].mean() > 0.8
    assert wide[fresh.log_width_px < math.log(1.0)].mean() < 0.3


def test_out_of_fold_scores_do_not_leak_photographs() -> None:
    """Labels are noise and each photograph has its own direction: only leakage can be better than chance."""
    rng = np.random.default_rng(2)
    groups = np.repeat([f"p{i}" for i in range(40)], 10)
    labels = np.repeat(rng.integers(0, 2, 40), 10)
    projected = np.repeat(rng.normal(0.0, 1.0, (40, 30)), 10, axis=0) + rng.normal(0.0, 0.05, (400, 30))
    data = SvmData(projected, labels, groups, np.full(400, "s"), np.isin(groups, [f"p{i}" for i in range(25)]))
    scores = out_of_fold_scores(data, SvmSettings(10.0, 0.05), None, seed=0)
    assert 0.3 < np.mean((scores > 0) == (labels[data.unseen] == 1)) < 0.7


def test_choose_threshold_counts_false_alarms_at_their_natural_share() -> None:
    """One of five cracks lies at 0.45, an intact tile at 0.6; where 15 % are cracked, the latter counts more."""
    scores = np.array([0.9, 0.9, 0.9, 0.9, 0.45] + [0.6, 0.2, 0.2, 0.2, 0.2])
    labels = np.array([1] * 5 + [0] * 5)
    assert 0.2 < choose_threshold(scores, labels, np.full(10, "even/wall")) <= 0.45
    assert 0.6 < choose_threshold(scores, labels, np.full(10, "sdnet2018/deck")) <= 0.9


def test_choose_threshold_takes_the_lowest_of_equally_good_ones() -> None:
    scores, labels = np.array([0.9, 0.8, 0.3, 0.2]), np.array([1, 1, 0, 0])
    assert choose_threshold(scores, labels, np.full(4, "even/wall")) == pytest.approx(0.305)


def test_fourier_map_approximates_kernel() -> None:
    points = np.random.default_rng(4).normal(0.0, 1.0, (60, 8))
    fourier = draw_fourier_map(8, 8192, 0.1, seed=0).apply(points)
    kernel = np.exp(-0.1 * ((points[:, None] - points[None]) ** 2).sum(axis=2))
    np.testing.assert_allclose(2 * fourier @ fourier.T / 8192, kernel, atol=0.06)


def test_fit_readout_linear_target_is_reproduced_and_scaled() -> None:
    fourier = np.random.default_rng(5).normal(0.0, 1.0, (500, 10))
    target = fourier @ np.arange(10.0) + 3.0
    readout = fit_readout(fourier, target, ridge=1e-9).scaled(2.0, 1.0)
    np.testing.assert_allclose(readout.apply(fourier), 2 * target + 1, atol=1e-4)


def test_agreement_returns_share_on_same_side() -> None:
    assert agreement(np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.0, 1.0, 2.0, 0.0]), 1.5) == 0.5
