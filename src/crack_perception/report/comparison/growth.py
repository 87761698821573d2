# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Significance of differences between two surveys, after what both surveys measure differently everywhere.

Two flights differ in resolution, blur and range, so that one of them may measure every crack a little wider, or see
every tip a little farther. Such a bias is estimated from all cracks of the pair at once, robustly: most of them have
not changed, and those that have carry no weight. In the same way the spread of the unchanged ones corrects the stated
standard deviations (an empirical null, Efron 2004), more so the more cracks there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_ITERATIONS = 20
_TUKEY = 4.0
# The stated standard deviations count as much as this many cracks.
_PRIOR_CRACKS = 6.0
_SCALE_LIMITS = (0.5, 5.0)


@dataclass(frozen=True, eq=False)
class Bias:
    """What is different everywhere: ``coefficients @ predictors`` of a crack.

    Attributes:
        coefficients: (P,).
        covariance: (P, P).
        scale: Factor on the stated standard deviations.
        cracks: Number of cracks that it was estimated from.
        weight: Sum of their weights, 0 to ``cracks``: about how many of them have not changed.
    """

    coefficients: Array
    covariance: Array
    scale: float
    cracks: int
    weight: float

    def of(self, predictors: Array) -> float:
        """The bias of a crack with predictors (P,)."""
        return float(predictors @ self.coefficients)

    def sigma(self, predictors: Array) -> float:
        """Its standard deviation."""
        return math.sqrt(max(0.0, float(predictors @ self.covariance @ predictors)))


@dataclass(frozen=True)
class Difference:
    """Difference of one quantity of a crack between two surveys, without the bias.

    Attributes:
        change: New minus old, without the bias.
        sigma: Standard deviation, with that of the bias.
    """

    change: float
    sigma: float

    @property
    def growth_probability(self) -> float:
        """Probability that it has grown: of the one-sided normal test."""
        return 0.5 * math.erfc(-self.change / (self.sigma * math.sqrt(2.0)))


def estimate_bias(differences: Array, sigmas: Array, predictors: Array, prior_sigmas: Array) -> Bias:
    """Estimate the bias of K differences by iterated weighted least squares with Tukey's weights.

    Args:
        differences: (K,) new minus old.
        sigmas: (K,) their standard deviations as far as they are known.
        predictors: (K, P); the first one is the most important.
        prior_sigmas: (P,) standard deviations of the coefficients, whose expectation is 0.
    """
    prior = np.diag(1.0 / np.square(prior_sigmas))
    coefficients, scale = np.zeros(len(prior_sigmas)), 1.0
    count = len(differences)
    if not count:
        return Bias(coefficients, np.linalg.inv(prior), 1.0, 0, 0.0)
    coefficients[0] = float(np.median(differences / predictors[:, 0]))
    weights, total = np.ones(count), prior
    for _ in range(_ITERATIONS):
        residuals = (differences - predictors @ coefficients) / sigmas
        spread = 1.4826 * float(np.median(np.abs(residuals)))
        squared = (count * spread**2 + _PRIOR_CRACKS) / (count + _PRIOR_CRACKS)
        scale = float(np.clip(math.sqrt(squared), *_SCALE_LIMITS))
        weights = np.maximum(0.0, 1.0 - (residuals / (_TUKEY * scale)) ** 2) ** 2
        precision = weights / (scale * sigmas) ** 2
        total = prior + (predictors * precision[:, None]).T @ predictors
        coefficients = np.linalg.solve(total, predictors.T @ (precision * differences))
    return Bias(coefficients, np.linalg.inv(total), scale, count, float(weights.sum()))


def difference(measured: float, sigma: float, predictors: Array, bias: Bias) -> Difference:
    """The difference of one crack without the bias."""
    return Difference(measured - bias.of(predictors), max(math.hypot(bias.scale * sigma, bias.sigma(predictors)), 1e-9))
