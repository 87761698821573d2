"""The rotation of photographs through the folds, and figures averaged over strata."""

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


def test_every_unseen_row_is_judged_once_and_never_beside_its_photograph() -> None:
    judged = np.nonzero(UNSEEN)[0]
    positions = []
    for fitting, held_out in photograph_folds(GROUPS, UNSEEN, None, 0):
        assert not set(GROUPS[fitting]) & set(GROUPS[judged[held_out]])
        assert np.isin(np.nonzero(~UNSEEN)[0], fitting).all()
        positions.append(held_out)
    assert len(positions) == FOLDS
    np.testing.assert_array_equal(np.sort(np.concatenate(positions)), np.arange(len(judged)))


def test_fitting_rows_bound_the_seen_rows_and_repeat() -> None:
    first, again = (list(photograph_folds(GROUPS, UNSEEN, 7, 3)) for _ in range(2))
    for (fitting, _), (same, _) in zip(first, again, strict=True):
        assert np.sum(~UNSEEN[fitting]) == 7
        np.testing.assert_array_equal(fitting, same)


def test_drawn_rows_on_an_unseen_photograph_are_not_seen() -> None:
    unseen = UNSEEN.copy()
    unseen[0] = False
    assert 0 not in seen_rows(GROUPS, unseen)


def test_too_few_photographs_are_refused() -> None:
    with pytest.raises(UserError, match="4 photographs"):
        list(photograph_folds(np.array(["a", "b", "c", "d"]), np.ones(4, bool), None, 0))


def test_strata_count_alike_however_many_rows_they_hold() -> None:
    labels = np.array([1, 1, 0, 0] + [1, 0] * 50 + [0, 0])
    strata = np.array(["a"] * 4 + ["b"] * 100 + ["sound"] * 2)
    called = np.concatenate([[True, False, True, False], labels[4:104] == 1, [True, False]])
    assert mean_f1(labels, called, strata) == pytest.approx((0.5 + 1.0) / 2)
    assert mean_auc(labels, called.astype(float), strata) == pytest.approx((0.5 + 1.0) / 2)
    assert mean_false_alarm_rate(labels, called, strata) == pytest.approx((0.5 + 0.0 + 0.5) / 3)
    assert mean_miss_rate(labels, called, strata) == pytest.approx((0.5 + 0.0) / 2)


def test_figures_without_both_classes_are_undefined() -> None:
    assert np.isnan(mean_f1(np.zeros(3, np.int64), np.zeros(3, bool), np.full(3, "s")))
