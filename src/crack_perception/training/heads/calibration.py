"""From decision values to probabilities: logistic curves and isotonic regression, and which of them to trust.

Decision values must be out of fold: a machine is far too sure of the rows that it was fitted on.
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
    """What turns decision values ``(N,)`` into probabilities of a crack ``(N,)``."""

    def probability(self, decisions: Array) -> Array: ...


@dataclass(frozen=True)
class LogisticCurve:
    """``1 / (1 + exp(-(slope * decision + offset)))``; the only form that a linear readout can swallow at export."""

    slope: float
    offset: float

    def probability(self, decisions: Array) -> Array:
        """``(N,)`` to ``(N,)``."""
        return np.asarray(1.0 / (1.0 + np.exp(-(self.slope * decisions + self.offset))), np.float64)

    def decision_at(self, probability: float) -> float:
        """The decision value that is given this probability, between 0 and 1."""
        return float((np.log(probability / (1 - probability)) - self.offset) / self.slope)


@dataclass(frozen=True)
class MonotoneCurve:
    """Linear interpolation between knots ``(K,)`` with rising probabilities ``(K,)``."""

    knots: Array
    probabilities: Array

    def probability(self, decisions: Array) -> Array:
        """``(N,)`` to ``(N,)``; constant beyond the outermost knots."""
        return np.asarray(np.interp(decisions, self.knots, self.probabilities), np.float64)


def fit_platt(decisions: Array, labels: Labels) -> LogisticCurve:
    """The logistic curve with slope and offset free (Platt 1999).

    Args:
        decisions: ``(N,)``.
        labels: ``(N,)`` 0/1, both present.
    """
    curve = LogisticRegression(C=_NO_PENALTY).fit(decisions[:, None], labels)
    return LogisticCurve(float(curve.coef_[0, 0]), float(curve.intercept_[0]))


def fit_rising_platt(decisions: Array, labels: Labels) -> LogisticCurve:
    """The same for a machine that is to fly.

    Raises:
        UserError: Cracks have no higher decision values than sound tiles.
    """
    curve = fit_platt(decisions, labels)
    if curve.slope <= 0:
        raise UserError(
            "on photographs that it never saw, the machine tells cracks from sound surfaces no better than chance",
            "Train longer, or give more photographs with labels that can be trusted",
        )
    return curve


def fit_temperature(decisions: Array, labels: Labels) -> LogisticCurve:
    """Slope alone, the offset stays 0 (temperature scaling, Guo et al. 2017): the verdicts at 0.5 do not change."""
    curve = LogisticRegression(C=_NO_PENALTY, fit_intercept=False).fit(decisions[:, None], labels)
    return LogisticCurve(float(curve.coef_[0, 0]), 0.0)


def fit_isotonic(decisions: Array, labels: Labels) -> MonotoneCurve:
    """Rising steps (Zadrozny & Elkan 2002), kept one pseudo-row away from the certainty of 0 and 1."""
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
    """Log-loss of every kind of calibration on photographs that it was not fitted on.

    Args:
        decisions: ``(N,)``, out of fold.
        labels: ``(N,)`` 0/1.
        groups: ``(N,)`` photographs.

    Returns:
        Name of :data:`CALIBRATIONS` to its loss; the smallest deserves trust.

    Raises:
        UserError: Too few photographs.
    """
    everything = np.ones(len(labels), bool)
    losses: dict[str, float] = {}
    for name, fit in CALIBRATIONS.items():
        probabilities = np.empty(len(labels))
        for fitting, judged in photograph_folds(groups, everything, None, 0):
            probabilities[judged] = fit(decisions[fitting], labels[fitting]).probability(decisions[judged])
        losses[name] = log_loss(labels, probabilities)
    return losses
