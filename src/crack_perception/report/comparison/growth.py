# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Significance of differences between two surveys, after what both surveys measure differently everywhere.

Two flights differ in resolution, blur and range, so that one of them may measure every crack a little wider, or see
every tip a little farther. Such a bias is estimated from all cracks of the pair at once, as a mixture of cracks that
have not changed and of cracks that have, which carry little weight. The spread of the former corrects the stated
standard deviations (an empirical null, Efron 2004), more so the more cracks there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_ITERATIONS = 40
# Share of changed cracks before any is known, counted as so many cracks, and their spread in standard deviations.
_CHANGED_SHARE, _CHANGED_COUNT = 0.25, 4.0
_CHANGED_SPREAD = 8.0
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
        surprise: Distance of the coefficients from 0 in standard deviations of what is expected of them.
    """

    coefficients: Array
    covariance: Array
    scale: float
    cracks: int
    weight: float
    surprise: float = 0.0

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
        change: New minus old.
        sigma: Standard deviation, with that of the bias.
        growth_probability: Probability that it has grown. For a length, this also allows for what the other survey may
            have missed by chance, so that it does not follow from ``change`` and ``sigma``.
    """

    change: float
    sigma: float
    growth_probability: float


def estimate_bias(differences: Array, sigmas: Array, predictors: Array, prior_sigmas: Array) -> Bias:
    """Estimate the bias of K differences by expectation maximisation.

    Args:
        differences: (K,) new minus old.
        sigmas: (K,) their standard deviations as far as they are known.
        predictors: (K, P); the first one is the most important.
        prior_sigmas: (P,) standard deviations of the coefficients, whose expectation is 0.
    """
    prior = np.diag(1.0 / np.square(prior_sigmas))
    count = len(differences)
    if not count:
        return Bias(np.zeros(len(prior_sigmas)), _inverse(prior), 1.0, 0, 0.0)
    # The likelihood may have several maxima: most of a few cracks may have changed alike.
    starts = (0.0, _densest(differences / predictors[:, 0]))
    fits = [_fit(differences, sigmas, predictors, prior, start) for start in starts]
    return max(fits, key=lambda fit: fit[0])[1]


def _fit(differences: Array, sigmas: Array, predictors: Array, prior: Array, start: float) -> tuple[float, Bias]:
    """Logarithm of the posterior density, and the bias, from a first guess of the first coefficient."""
    count = len(differences)
    coefficients: Array = np.zeros(len(prior))
    scale, changed = 1.0, _CHANGED_SHARE
    coefficients[0] = start
    weights, total, density = np.ones(count), prior, 0.0
    for _ in range(_ITERATIONS):
        residuals = (differences - predictors @ coefficients) / sigmas
        same = (1 - changed) * np.exp(-0.5 * (residuals / scale) ** 2) / scale
        other = changed * np.exp(-0.5 * (residuals / _CHANGED_SPREAD) ** 2) / _CHANGED_SPREAD
        either = np.maximum(same + other, 1e-300)
        spread = -0.5 * _PRIOR_CRACKS * (2 * math.log(scale) + 1 / scale**2)
        density = float(np.log(either).sum()) - 0.5 * float(coefficients @ prior @ coefficients) + spread
        weights = same / either
        changed = (count - float(weights.sum()) + _CHANGED_SHARE * _CHANGED_COUNT) / (count + _CHANGED_COUNT)
        squared = (float(weights @ residuals**2) + _PRIOR_CRACKS) / (float(weights.sum()) + _PRIOR_CRACKS)
        scale = float(np.clip(math.sqrt(squared), *_SCALE_LIMITS))
        precision = weights / (scale * sigmas) ** 2
        total = prior + (predictors * precision[:, None]).T @ predictors
        coefficients = np.asarray(np.linalg.solve(total, predictors.T @ (precision * differences)), np.float64)
    surprise = math.sqrt(float(coefficients @ prior @ coefficients))
    return density, Bias(coefficients, _inverse(total), scale, count, float(weights.sum()), surprise)


def _inverse(matrix: Array) -> Array:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _densest(values: Array) -> float:
    """Middle of the shortest interval that holds half of the values."""
    ordered = np.sort(values)
    half = len(ordered) // 2 + 1
    widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
    first = int(widths.argmin())
    return float(ordered[first : first + half].mean())


def without_bias(measured: float, sigma: float, predictors: Array, bias: Bias) -> tuple[float, float]:
    """The difference of one crack without the bias, and its standard deviation with that of the bias."""
    return measured - bias.of(predictors), max(math.hypot(bias.scale * sigma, bias.sigma(predictors)), 1e-9)


def growth_probability(change: float, sigma: float) -> float:
    """Probability of growth by the one-sided normal test of a difference."""
    return 0.5 * math.erfc(-change / (sigma * math.sqrt(2.0)))
