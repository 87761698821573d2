# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cross-validation by photograph, and figures averaged over strata."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from crack_perception.errors import UserError
from crack_perception.training.data.photograph_folds import FOLDS, photograph_folds, seen_rows
from crack_perception.training.evaluation.stratum_figures import (
    mean_auc,
    mean_f1,
    mean_false_alarm_rate,
    mean_miss_rate,
)

GROUPS = np.array([f"p{i // 5}" for i in range(100)])
UNSEEN = np.isin(GROUPS, [f"p{i}" for i in range(8)])


def test_photograph_folds_evaluates_each_unseen_row_once_without_its_photograph() -> None:
    evaluated = np.nonzero(UNSEEN)[0]
    positions = []
    for fitting, held_out in photograph_folds(GROUPS, UNSEEN, None, 0):
        assert not set(GROUPS[fitting]) & set(GROUPS[evaluated[held_out]])
        assert np.isin(np.nonzero(~UNSEEN)[0], fitting).all()
        positions.append(held_out)
    assert len(positions) == FOLDS
    np.testing.assert_array_equal(np.sort(np.concatenate(positions)), np.arange(len(evaluated)))


def test_photograph_folds_fitting_rows_limits_seen_rows_repeatably() -> None:
    first, again = (list(photograph_folds(GROUPS, UNSEEN, 7, 3)) for _ in range(2))
    for (fitting, _), (same, _) in zip(first, again, strict=True):
        assert np.sum(~UNSEEN[fitting]) == 7
        np.testing.assert_array_equal(fitting, same)


def test_seen_rows_synthetic_row_of_unseen_photograph_is_excluded() -> None:
    unseen = UNSEEN.copy()
    unseen[0] = False
    assert 0 not in seen_rows(GROUPS, unseen)


def test_photograph_folds_too_few_photographs_raises() -> None:
    with pytest.raises(UserError, match="4 photographs"):
        list(photograph_folds(np.array(["a", "b", "c", "d"]), np.ones(4, bool), None, 0))


def test_stratum_means_weigh_strata_equally() -> None:
    labels = np.array([1, 1, 0, 0] + [1, 0] * 50 + [0, 0])
    strata = np.array(["a"] * 4 + ["b"] * 100 + ["intact"] * 2)
    called = np.concatenate([[True, False, True, False], labels[4:104] == 1, [True, False]])
    assert mean_f1(labels, called, strata) == pytest.approx((0.5 + 1.0) / 2)
    assert mean_auc(labels, called.astype(float), strata) == pytest.approx((0.5 + 1.0) / 2)
    assert mean_false_alarm_rate(labels, called, strata) == pytest.approx((0.5 + 0.0 + 0.5) / 3)
    assert mean_miss_rate(labels, called, strata) == pytest.approx((0.5 + 0.0) / 2)


def test_mean_f1_one_class_is_nan() -> None:
    assert np.isnan(mean_f1(np.zeros(3, np.int64), np.zeros(3, bool), np.full(3, "s")))
