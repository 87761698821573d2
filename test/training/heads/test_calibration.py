# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Calibration of decision values with a known curve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("sklearn")

from crack_perception.errors import UserError
from crack_perception.training.heads.calibration import (
    CALIBRATIONS,
    LogisticCurve,
    calibration_losses,
    fit_isotonic,
    fit_platt,
    fit_rising_platt,
    fit_temperature,
    log_loss,
)

Array = npt.NDArray[np.float64]


def random_labels(probabilities: Array, seed: int = 0) -> npt.NDArray[np.int64]:
    """Random labels with the given probabilities."""
    return (np.random.default_rng(seed).random(len(probabilities)) < probabilities).astype(np.int64)


def test_fit_platt_recovers_known_curve() -> None:
    decisions = np.random.default_rng(6).normal(0.0, 1.5, 20000)
    curve = fit_platt(decisions, random_labels(LogisticCurve(1.7, -0.4).probability(decisions)))
    assert (curve.slope, curve.offset) == pytest.approx((1.7, -0.4), abs=0.08)


def test_decision_at_inverts_probability() -> None:
    curve = LogisticCurve(1.7, -0.4)
    assert curve.probability(np.array([curve.decision_at(0.82)]))[0] == pytest.approx(0.82)


def test_fit_temperature_keeps_classes() -> None:
    decisions = np.random.default_rng(1).normal(0.3, 2.0, 5000)
    curve = fit_temperature(decisions, random_labels(LogisticCurve(0.5, 0.0).probability(decisions)))
    assert curve.slope == pytest.approx(0.5, abs=0.05)
    np.testing.assert_array_equal(curve.probability(decisions) >= 0.5, decisions >= 0)


def test_fit_isotonic_is_monotone_and_inside_0_to_1() -> None:
    decisions = np.linspace(-3.0, 3.0, 400)
    probabilities = fit_isotonic(decisions, (decisions > 0).astype(np.int64)).probability(np.linspace(-9.0, 9.0, 50))
    assert (np.diff(probabilities) >= 0).all()
    assert 0.0 < probabilities[0] < 0.01
    assert 0.99 < probabilities[-1] < 1.0


def test_calibration_losses_are_lowest_for_true_form() -> None:
    decisions = np.random.default_rng(2).normal(0.0, 1.5, 4000)
    groups = np.array([f"p{i % 40}" for i in range(4000)])
    shifted = calibration_losses(decisions, random_labels(LogisticCurve(2.0, -2.0).probability(decisions)), groups)
    assert set(shifted) == set(CALIBRATIONS)
    assert min(shifted, key=shifted.__getitem__) == "platt"
    plateaus = np.where(decisions > 0.5, 0.95, np.where(decisions > -0.5, 0.5, 0.4))
    stepped = calibration_losses(decisions, random_labels(plateaus), groups)
    assert min(stepped, key=stepped.__getitem__) == "isotonic"


def test_log_loss_even_odds_is_log_2() -> None:
    assert log_loss(np.array([0, 1]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))


def test_fit_rising_platt_falling_decisions_raises() -> None:
    labels = np.random.default_rng(6).integers(0, 2, 200)
    with pytest.raises(UserError, match="no better than chance"):
        fit_rising_platt(0.5 - labels.astype(np.float64), labels)
