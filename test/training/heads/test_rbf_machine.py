# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""RBF SVM as arrays: exactness, integer arithmetic, and fewer vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("onnx")

from sklearn.svm import SVC

from crack_perception.training.heads.rbf_machine import (
    RbfMachine,
    cholesky_pivots,
    finest_query_level,
    integer_products,
    machine_arrays,
    quantised,
    quantised_and_refitted,
    rbf_kernel,
    recentred,
    reduced,
    trimmed,
)

GAMMA = 0.05
Fitted = tuple[SVC, RbfMachine, npt.NDArray[np.float64]]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """SVM on two noisy classes with features of very different scales."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 600)
    rows = rng.normal(0.0, 1.0, (600, 8)) * np.logspace(0.5, -1, 8)
    rows[:, 0] += 2.0 * labels
    svc = SVC(C=3.0, gamma=GAMMA).fit(rows, labels)
    return svc, machine_arrays(svc, GAMMA), rows


def test_decide_equals_scikit_learn(fitted: Fitted) -> None:
    svc, machine, rows = fitted
    np.testing.assert_allclose(machine.decide(rows), svc.decision_function(rows), atol=1e-4)
    assert machine.stored_bytes == 4 * (machine.vectors.size + len(machine.coefficients) + 2)


def test_rbf_kernel_known_distances() -> None:
    points = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    np.testing.assert_allclose(rbf_kernel(points, points, 0.1), [[1, np.exp(-2.5)], [np.exp(-2.5), 1]], rtol=1e-6)


@pytest.mark.parametrize("columns", [7, 1500])
def test_integer_products_at_limits_equal_int32(columns: int) -> None:
    rng = np.random.default_rng(1)
    finest = finest_query_level(columns)
    queries = rng.integers(-finest, finest + 1, (20, columns)).astype(np.int16)
    levels = rng.integers(-127, 128, (30, columns)).astype(np.int8)
    queries[0], levels[0] = finest, 127
    accumulated = queries.astype(np.int32) @ levels.T.astype(np.int32)
    assert accumulated[0, 0] == finest * 127 * columns
    np.testing.assert_array_equal(integer_products(queries, levels), accumulated)


def test_quantised_and_refitted_reduces_rounding_error(fitted: Fitted) -> None:
    _, machine, rows = fitted
    rounded = quantised(machine)
    assert rounded.levels.nbytes * 4 == machine.vectors.nbytes
    again = quantised_and_refitted(machine, rows)
    np.testing.assert_array_equal(again.levels, rounded.levels)
    lost = [np.abs(int8.decide(rows) - machine.decide(rows)).mean() for int8 in (rounded, again)]
    assert lost[1] < 0.02 < lost[0] < 0.3


def test_int8_decide_equals_integer_arithmetic(fitted: Fitted) -> None:
    """Compare with the same sum computed row by row with int32 accumulators."""
    _, machine, rows = fitted
    rounded = quantised(machine)
    row = rows[3].astype(np.float32)
    scaled = row * rounded.scales
    step = np.abs(scaled).max() / finest_query_level(8)
    levels = np.rint(scaled / step).astype(np.int32)
    expected = rounded.intercept
    for level, coefficient in zip(rounded.levels.astype(np.int32), rounded.coefficients, strict=True):
        vector = level * rounded.scales
        squared = float(row @ row) + float(vector @ vector) - 2.0 * float(step) * int(levels @ level)
        expected += float(coefficient) * np.exp(-GAMMA * max(squared, 0.0))
    assert rounded.decide(rows[3:4])[0] == pytest.approx(expected, abs=1e-4)


def test_reduced_is_closer_to_exact_than_trimmed(fitted: Fitted) -> None:
    _, machine, rows = fitted
    exact = machine.decide(rows)
    kept = len(machine.coefficients) // 5
    cut = trimmed(machine, kept, seed=0)
    refit = reduced(machine, kept, rows)
    assert len(cut.coefficients) == kept
    assert len(refit.coefficients) <= kept
    assert np.abs(refit.decide(rows) - exact).mean() < 0.1 * np.abs(cut.decide(rows) - exact).mean()
    assert np.mean((refit.decide(rows) > 0) == (exact > 0)) > 0.98


def test_recentred_changes_intercept_only(fitted: Fitted) -> None:
    _, machine, rows = fitted
    cut = trimmed(machine, 20, seed=0)
    moved = recentred(cut, machine, rows)
    assert moved.decide(rows).mean() == pytest.approx(machine.decide(rows).mean(), abs=1e-4)
    assert np.ptp(moved.decide(rows) - cut.decide(rows)) < 1e-4


def test_trimmed_keeps_largest_coefficients(fitted: Fitted) -> None:
    _, machine, _ = fitted
    kept = trimmed(machine, 10, seed=0)
    dropped = np.sort(np.abs(machine.coefficients))[:-10]
    assert np.abs(kept.coefficients).min() >= dropped.max()
    assert kept.intercept == machine.intercept


def test_trimmed_ties_keep_both_classes(fitted: Fitted) -> None:
    _, machine, _ = fitted
    bound = np.sum(np.isclose(np.abs(machine.coefficients), 3.0))
    assert bound > 40
    assert abs(np.sign(trimmed(machine, int(bound) // 2, seed=1).coefficients).mean()) < 0.6


def test_reduced_all_vectors_kept_equals_exact(fitted: Fitted) -> None:
    _, machine, rows = fitted
    same = reduced(machine, len(machine.coefficients), rows)
    np.testing.assert_allclose(same.decide(rows), machine.decide(rows), atol=0.02)


def test_cholesky_pivots_repeated_points_returns_distinct() -> None:
    points = np.repeat(np.random.default_rng(2).normal(0.0, 3.0, (6, 3)), 4, axis=0).astype(np.float32)
    pivots = cholesky_pivots(points, 0.1, 20)
    assert sorted(pivots // 4) == list(range(6))


def test_quantised_and_refitted_nearly_equal_vectors_is_stable() -> None:
    rng = np.random.default_rng(3)
    vectors = np.repeat(rng.normal(0.0, 1.0, (30, 4)), 10, axis=0) + rng.normal(0.0, 1e-4, (300, 4))
    machine = RbfMachine(vectors.astype(np.float32), rng.normal(0.0, 1.0, 300).astype(np.float32), 0.1, 0.01)
    rows = rng.normal(0.0, 1.0, (500, 4))
    again = quantised_and_refitted(machine, rows)
    np.testing.assert_allclose(again.decide(rows), machine.decide(rows), atol=0.05)
