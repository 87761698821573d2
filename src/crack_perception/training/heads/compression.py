# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Approximation of an RBF SVM by random Fourier features and a linear readout (Rahimi & Recht 2007)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge

Array = npt.NDArray[np.float64]

_RIDGE = 1e-3


@dataclass(frozen=True)
class FourierMap:
    """Random Fourier features ``cos(x @ frequencies + phases)`` of the kernel ``exp(-gamma |x - y|^2)``.

    Args:
        frequencies: ``(P, D)``.
        phases: ``(D,)``.
    """

    frequencies: npt.NDArray[np.float32]
    phases: npt.NDArray[np.float32]

    def apply(self, projected: Array) -> Array:
        """Fourier features ``(N, D)`` of projected features ``(N, P)``."""
        return np.asarray(np.cos(projected @ self.frequencies + self.phases), np.float64)


def draw_fourier_map(inputs: int, count: int, gamma: float, seed: int) -> FourierMap:
    """Draw random frequencies from the spectrum of the kernel, and uniform phases."""
    rng = np.random.default_rng(seed)
    frequencies = rng.normal(0.0, np.sqrt(2.0 * gamma), (inputs, count))
    return FourierMap(frequencies.astype(np.float32), rng.uniform(0.0, 2 * np.pi, count).astype(np.float32))


@dataclass(frozen=True)
class LinearReadout:
    """Linear output of Fourier features: ``fourier @ coefficients + intercept``."""

    coefficients: Array
    intercept: float

    def apply(self, fourier: Array) -> Array:
        """Output ``(N,)`` of Fourier features ``(N, D)``."""
        return np.asarray(fourier @ self.coefficients + self.intercept, np.float64)

    def scaled(self, slope: float, offset: float) -> LinearReadout:
        """Return the readout of ``slope * output + offset``."""
        return LinearReadout(self.coefficients * slope, self.intercept * slope + offset)


def fit_readout(fourier: Array, targets: Array, weights: Array | None = None, ridge: float = _RIDGE) -> LinearReadout:
    """Fit targets ``(N,)`` to Fourier features ``(N, D)`` by ridge regression; the penalty is proportional to N."""
    model = Ridge(alpha=ridge * len(fourier)).fit(fourier, targets, sample_weight=weights)
    return LinearReadout(np.asarray(model.coef_, np.float64), float(model.intercept_))


def agreement(exact: Array, approximate: Array, threshold: float) -> float:
    """Share of rows that are on the same side of a threshold in both arrays."""
    return float(np.mean((exact >= threshold) == (approximate >= threshold)))
