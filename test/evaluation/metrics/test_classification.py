# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Metrics of a binary classifier, compared with hand calculation and, if installed, scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crack_perception.evaluation.metrics.classification import (
    average_precision,
    expected_calibration_error,
    false_alarm_rate,
    false_positive_rate_at_recall,
    grouped_bootstrap_interval,
    grouped_share_interval,
    negative_weight_at,
    precision_recall_f1,
    roc_auc,
)

LABELS = np.array([1, 0, 1, 1, 0, 0, 1, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.7, 0.7, 0.3, 0.2, 0.1])


def test_precision_recall_f1_matches_hand_calculation() -> None:
    # Predicted: the first five, with 3 of 4 cracks and 2 of 4 background tiles.
    called = SCORES >= 0.5
    assert precision_recall_f1(LABELS, called) == pytest.approx((3 / 5, 3 / 4, 2 / 3))
    assert false_alarm_rate(LABELS, called) == pytest.approx(2 / 4)


def test_roc_auc_with_ties_matches_hand_calculation() -> None:
    # Of 16 pairs: 0.9 beats 4; each 0.7 beats 2 and ties with 1; 0.2 beats 1.
    assert roc_auc(LABELS, SCORES) == pytest.approx((4 + 2.5 + 2.5 + 1) / 16)


def test_average_precision_with_ties_matches_hand_calculation() -> None:
    # Recall steps: 1/4 at precision 1; 2/4 at 3/5 (tie of three); 1/4 at 4/7.
    assert average_precision(LABELS, SCORES) == pytest.approx(1 / 4 + 2 / 4 * 3 / 5 + 1 / 4 * 4 / 7)


def test_expected_calibration_error_matches_hand_calculation() -> None:
    scores, labels = np.array([0.15, 0.15, 0.95, 0.95]), np.array([0, 1, 1, 1])
    assert expected_calibration_error(labels, scores) == pytest.approx((abs(0.3 - 1) + abs(1.9 - 2)) / 4)
    assert expected_calibration_error(np.array([1]), np.array([1.0])) == 0.0


def test_false_positive_rate_at_recall_matches_hand_calculation() -> None:
    # Three of four cracks and two of four background tiles score at least 0.7; all four and three at least 0.2.
    assert false_positive_rate_at_recall(LABELS, SCORES, 0.75) == pytest.approx(2 / 4)
    assert false_positive_rate_at_recall(LABELS, SCORES, 0.95) == pytest.approx(3 / 4)
    assert false_positive_rate_at_recall(LABELS, SCORES, 0.25) == 0.0


def test_negative_weight_equals_repeated_negatives() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 60)
    scores = np.round(rng.normal(labels * 0.8, 1.0), 1)
    repeated = np.concatenate([np.nonzero(labels)[0], *[np.nonzero(labels == 0)[0]] * 3])
    many, called = labels[repeated], scores > 0.4
    assert negative_weight_at(labels, float(many.mean())) == pytest.approx(3.0)
    assert precision_recall_f1(labels, called, 3.0) == pytest.approx(precision_recall_f1(many, called[repeated]))
    assert average_precision(labels, scores, 3.0) == pytest.approx(average_precision(many, scores[repeated]))


def test_metrics_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    scores = np.round(rng.normal(labels * 0.8, 1.0), 1)
    assert roc_auc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert average_precision(labels, scores) == pytest.approx(metrics.average_precision_score(labels, scores))
    assert precision_recall_f1(labels, scores > 0)[2] == pytest.approx(metrics.f1_score(labels, scores > 0))


def test_metrics_undefined_are_nan() -> None:
    sound, cracked = np.zeros(3, int), np.ones(3, int)
    called, scores = np.array([True, False, False]), np.array([0.9, 0.2, 0.1])
    assert math.isnan(negative_weight_at(cracked, 0.5)) and math.isnan(false_positive_rate_at_recall(sound, scores))
    assert math.isnan(roc_auc(sound, scores)) and math.isnan(average_precision(sound, scores))
    assert math.isnan(false_alarm_rate(cracked, called))
    assert false_alarm_rate(sound, called) == pytest.approx(1 / 3)


def test_grouped_bootstrap_resamples_whole_photographs() -> None:
    """Two photographs, one all correct and one all wrong: only 0, 1/2 and 1 are possible, each with a known share."""
    right = np.array([1.0] * 10 + [0.0] * 10)
    groups = np.array(["a"] * 10 + ["b"] * 10)
    seen: list[float] = []

    def share(rows: np.ndarray) -> float:
        seen.append(float(right[rows].mean()))
        return seen[-1]

    low, high = grouped_bootstrap_interval(share, groups, draws=400)
    assert (low, high) == (0.0, 1.0)
    assert set(seen) == {0.0, 0.5, 1.0}
    assert seen.count(0.5) == pytest.approx(200, abs=40)


def test_grouped_share_interval_equals_bootstrap_interval() -> None:
    rng = np.random.default_rng(2)
    hits, groups = rng.random(90) < 0.4, rng.integers(0, 13, 90).astype(str)
    slow = grouped_bootstrap_interval(lambda rows: float(hits[rows].mean()), groups, draws=200, seed=5)
    assert grouped_share_interval(hits, groups, draws=200, seed=5) == pytest.approx(slow, rel=1e-12)


def test_grouped_bootstrap_independent_rows_match_normal_interval() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.0, 1.0, 400)
    low, high = grouped_bootstrap_interval(
        lambda rows: float(values[rows].mean()), np.arange(400).astype(str), draws=2000
    )
    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.1)
    assert low < values.mean() < high
