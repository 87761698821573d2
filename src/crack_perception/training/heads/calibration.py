# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Calibration of decision values to probabilities by logistic curves or isotonic regression.

Decision values must be out of fold: on its fitting rows a classifier is overconfident.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from crack_perception.errors import UserError
from crack_perception.training.data.photograph_folds import photograph_folds

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_NO_PENALTY = 1e6


class Calibration(Protocol):
    """Mapping of decision values ``(N,)`` to crack probabilities ``(N,)``."""

    def probability(self, decisions: Array) -> Array: ...


@dataclass(frozen=True)
class LogisticCurve:
    """``1 / (1 + exp(-(slope * decision + offset)))``; the only form that can be folded into a linear readout."""

    slope: float
    offset: float

    def probability(self, decisions: Array) -> Array:
        """Crack probabilities ``(N,)`` of decision values ``(N,)``."""
        return np.asarray(1.0 / (1.0 + np.exp(-(self.slope * decisions + self.offset))), np.float64)

    def decision_at(self, probability: float) -> float:
        """Decision value whose probability is the given one, between 0 and 1."""
        return float((np.log(probability / (1 - probability)) - self.offset) / self.slope)


@dataclass(frozen=True)
class MonotoneCurve:
    """Linear interpolation between knots ``(K,)`` with rising probabilities ``(K,)``."""

    knots: Array
    probabilities: Array

    def probability(self, decisions: Array) -> Array:
        """Crack probabilities ``(N,)`` of decision values ``(N,)``; constant beyond the outermost knots."""
        return np.asarray(np.interp(decisions, self.knots, self.probabilities), np.float64)


def fit_platt(decisions: Array, labels: Labels) -> LogisticCurve:
    """Fit a logistic curve with free slope and offset (Platt 1999).

    Args:
        decisions: ``(N,)`` decision values.
        labels: ``(N,)`` 0/1, both present.
    """
    curve = LogisticRegression(C=_NO_PENALTY).fit(decisions[:, None], labels)
    return LogisticCurve(float(curve.coef_[0, 0]), float(curve.intercept_[0]))


def fit_rising_platt(decisions: Array, labels: Labels) -> LogisticCurve:
    """Fit a logistic curve for a shipped model; its slope must be positive.

    Raises:
        UserError: Cracks have no higher decision values than intact tiles.
    """
    curve = fit_platt(decisions, labels)
    if curve.slope <= 0:
        raise UserError(
            "on validation photographs the SVM separates cracks from intact surfaces no better than chance",
            "Train longer, or add photographs with reliable labels",
        )
    return curve


def fit_temperature(decisions: Array, labels: Labels) -> LogisticCurve:
    """Fit the slope only, with offset 0 (temperature scaling, Guo et al. 2017): classes at 0.5 do not change."""
    curve = LogisticRegression(C=_NO_PENALTY, fit_intercept=False).fit(decisions[:, None], labels)
    return LogisticCurve(float(curve.coef_[0, 0]), 0.0)


def fit_isotonic(decisions: Array, labels: Labels) -> MonotoneCurve:
    """Fit isotonic regression (Zadrozny & Elkan 2002), limited by one pseudo-row to probabilities inside 0 and 1."""
    least = 1.0 / (len(labels) + 2)
    curve = IsotonicRegression(y_min=least, y_max=1.0 - least).fit(decisions, labels)
    return MonotoneCurve(np.asarray(curve.X_thresholds_, np.float64), np.asarray(curve.y_thresholds_, np.float64))


CALIBRATIONS: dict[str, Callable[[Array, Labels], Calibration]] = {
    "platt": fit_platt,
    "temperature": fit_temperature,
    "isotonic": fit_isotonic,
}


def log_loss(labels: Labels, probabilities: Array) -> float:
    """Mean negative log-likelihood in nats."""
    return float(-np.mean(np.log(np.where(labels == 1, probabilities, 1.0 - probabilities))))


def calibration_losses(decisions: Array, labels: Labels, groups: npt.NDArray[np.str_]) -> dict[str, float]:
    """Cross-validate all kinds of calibration over photographs.

    Args:
        decisions: ``(N,)`` out-of-fold decision values.
        labels: ``(N,)`` 0/1.
        groups: ``(N,)`` photographs.

    Returns:
        Log-loss by name of :data:`CALIBRATIONS`; smaller is better.

    Raises:
        UserError: There are fewer photographs than folds.
    """
    everything = np.ones(len(labels), bool)
    losses: dict[str, float] = {}
    for name, fit in CALIBRATIONS.items():
        probabilities = np.empty(len(labels))
        for fitting, held_out in photograph_folds(groups, everything, None, 0):
            probabilities[held_out] = fit(decisions[fitting], labels[fitting]).probability(decisions[held_out])
        losses[name] = log_loss(labels, probabilities)
    return losses
