# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""RBF SVM as plain arrays: exact, with fewer support vectors, or in int8."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve
from sklearn.svm import SVC

from crack_perception.training.export.onnx_graph import quantise_per_channel

Array = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]

Real = TypeVar("Real", np.float32, np.float64)

_RIDGE = 1e-6
_JITTER = 1e-4
_LEAST_RESIDUAL = 1e-6


@dataclass(frozen=True)
class RbfMachine:
    """RBF SVM with decision value ``sum_i coefficients_i * exp(-gamma |x - vectors_i|^2) + intercept``.

    Args:
        vectors: ``(S, P)`` support vectors.
        coefficients: ``(S,)`` dual coefficients.
        intercept: Intercept of the decision value.
        gamma: Kernel coefficient.
    """

    vectors: Vectors
    coefficients: Vectors
    intercept: float
    gamma: float

    @property
    def stored_bytes(self) -> int:
        """Size of vectors, coefficients, intercept and gamma in float32."""
        return self.vectors.nbytes + self.coefficients.nbytes + 8

    def decide(self, projected: Array) -> Array:
        """Decision values ``(N,)`` of ``(N, P)``."""
        kernel = rbf_kernel(projected.astype(np.float32), self.vectors, self.gamma)
        return np.asarray(kernel @ self.coefficients + self.intercept, np.float64)


@dataclass(frozen=True)
class Int8Machine:
    """RBF SVM with int8 support vectors and one scale for each feature.

    The query is multiplied by the scales and rounded to int16 with one scale for each row, as finely as int32 can hold
    the sum of P products int16 x int8; one multiplication converts that sum to ``x . z``. Int8 queries lose the
    features of small scale: on 64 components of real features the root mean square error of refitted decision values
    was 0.016 with int8 and 0.0007 with int16 queries.

    Args:
        levels: ``(S, P)``; a vector is ``levels * scales``.
        scales: ``(P,)``.
        coefficients: ``(S,)`` dual coefficients.
        intercept: Intercept of the decision value.
        gamma: Kernel coefficient.
    """

    levels: npt.NDArray[np.int8]
    scales: Vectors
    coefficients: Vectors
    intercept: float
    gamma: float

    @property
    def stored_bytes(self) -> int:
        """Size of the levels in int8 and of the rest in float32; the norms are computed at load."""
        return self.levels.nbytes + self.scales.nbytes + self.coefficients.nbytes + 8

    @property
    def vectors(self) -> Vectors:
        """Support vectors ``(S, P)`` in float32."""
        return self.levels.astype(np.float32) * self.scales

    @cached_property
    def _squared_norms(self) -> Vectors:
        return np.asarray((self.vectors**2).sum(axis=1), np.float32)

    def decide(self, projected: Array) -> Array:
        """Decision values ``(N,)`` of ``(N, P)``."""
        queries = projected.astype(np.float32)
        scaled = queries * self.scales
        steps = np.maximum(np.abs(scaled).max(axis=1, keepdims=True), 1e-30) / finest_query_level(scaled.shape[1])
        products = integer_products(np.rint(scaled / steps).astype(np.int16), self.levels)
        squared = (queries**2).sum(axis=1)[:, None] + self._squared_norms - 2.0 * steps * products
        kernel = np.exp(-self.gamma * np.maximum(squared, 0.0))
        return np.asarray(kernel @ self.coefficients + self.intercept, np.float64)


def finest_query_level(features: int) -> int:
    """Largest int16 level for which int32 holds any sum of ``features`` products with int8 levels."""
    return int(min(2**15 - 1, (2**31 - 1) // (127 * features)))


def integer_products(queries: npt.NDArray[np.int16], levels: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
    """Compute ``queries @ levels.T`` of ``(N, P)`` and ``(S, P)`` exactly, as with int32 accumulators.

    numpy has no fast integer matrix product; the sums are below 2^31, which float64 adds exactly in any order.
    """
    return np.asarray((queries.astype(np.float64) @ levels.T.astype(np.float64)).astype(np.int32))


def rbf_kernel(left: npt.NDArray[Real], right: npt.NDArray[Real], gamma: float) -> npt.NDArray[Real]:
    """Compute the kernel ``exp(-gamma |x - z|^2)`` of ``(N, P)`` and ``(S, P)``: ``(N, S)`` of the same dtype."""
    squared = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2.0 * left @ right.T
    return np.asarray(np.exp(-gamma * np.maximum(squared, 0.0)), left.dtype)


def machine_arrays(machine: SVC, gamma: float) -> RbfMachine:
    """Convert a fitted two-class RBF ``SVC`` to arrays.

    Args:
        machine: SVM fitted with this gamma.
        gamma: Kernel coefficient as a number.
    """
    return RbfMachine(
        machine.support_vectors_.astype(np.float32),
        machine.dual_coef_[0].astype(np.float32),
        float(machine.intercept_[0]),
        gamma,
    )


def trimmed(machine: RbfMachine, kept: int, seed: int) -> RbfMachine:
    """Keep only the vectors with the largest coefficients, without a refit (trimming of the paper, section 3.2.2).

    Args:
        machine: Exact SVM.
        kept: Number of vectors to keep.
        seed: Seed of the random order of ties. Most coefficients of a soft-margin SVM are at the same bound and are
            sorted by class: without a random order only one class would be kept.
    """
    shuffled = np.random.default_rng(seed).permutation(len(machine.coefficients))
    order = shuffled[np.argsort(-np.abs(machine.coefficients[shuffled]), kind="stable")][:kept]
    return RbfMachine(machine.vectors[order], machine.coefficients[order], machine.intercept, machine.gamma)


def recentred(machine: RbfMachine, exact: RbfMachine, projected: Array) -> RbfMachine:
    """Change the intercept so that the mean decision value on rows ``(N, P)`` equals that of the exact SVM."""
    shift = float(np.mean(exact.decide(projected) - machine.decide(projected)))
    return replace(machine, intercept=machine.intercept + shift)


def reduced(machine: RbfMachine, kept: int, projected: Array) -> RbfMachine:
    """Keep fewer vectors and refit their coefficients to the decision values (Burges 1996, Keerthi et al. 2006).

    The vectors are the pivots of an incomplete Cholesky factorisation of their kernel matrix (Fine & Scheinberg 2001).
    There are fewer than ``kept`` if fewer span all.

    Args:
        machine: Exact SVM.
        kept: Maximum number of vectors.
        projected: ``(N, P)`` rows that the decision values are fitted on.
    """
    pivots = cholesky_pivots(machine.vectors, machine.gamma, kept)
    return refitted(machine, machine.vectors[pivots], projected)


def cholesky_pivots(vectors: Vectors, gamma: float, count: int) -> npt.NDArray[np.intp]:
    """Select at most ``count`` of the vectors ``(S, P)``, each with the largest residual given those before it."""
    residual = np.ones(len(vectors))
    factor = np.zeros((count, len(vectors)))
    pivots: list[int] = []
    while len(pivots) < count and residual.max() > _LEAST_RESIDUAL:
        step, pivot = len(pivots), int(np.argmax(residual))
        column = rbf_kernel(vectors, vectors[pivot : pivot + 1], gamma)[:, 0]
        factor[step] = (column - factor[:step, pivot] @ factor[:step]) / np.sqrt(residual[pivot])
        residual -= factor[step] ** 2
        residual[pivot] = 0.0
        pivots.append(pivot)
    return np.array(pivots, np.intp)


def refitted(machine: RbfMachine, vectors: Vectors, projected: Array) -> RbfMachine:
    """Fit the coefficients of other vectors to the decision values of an SVM.

    Kernel ridge regression: with the kernel K between rows and vectors and K_v between vectors, the coefficients c
    minimise ``|K c + b - f|^2 + ridge N c' K_v c``.

    Args:
        machine: SVM with the decision values f.
        vectors: ``(S', P)`` new vectors.
        projected: ``(N, P)`` rows that the decision values are fitted on.
    """
    wanted = machine.decide(projected)
    # Smooth kernels give nearly singular matrices, which are not positive definite in float32.
    exact_vectors = vectors.astype(np.float64)
    kernel = rbf_kernel(projected, exact_vectors, machine.gamma)
    means = kernel.mean(axis=0)
    kernel -= means
    among = rbf_kernel(exact_vectors, exact_vectors, machine.gamma)
    penalty = _RIDGE * len(projected) * (among + _JITTER * np.eye(len(vectors)))
    coefficients = solve(kernel.T @ kernel + penalty, kernel.T @ (wanted - wanted.mean()), assume_a="pos")
    intercept = float(wanted.mean() - means @ coefficients)
    return RbfMachine(vectors, coefficients.astype(np.float32), intercept, machine.gamma)


def quantised(machine: RbfMachine) -> Int8Machine:
    """Round the vectors to int8 with one scale for each feature; the coefficients are unchanged."""
    levels, scales = quantise_per_channel(machine.vectors, 1)
    return Int8Machine(levels, scales, machine.coefficients, machine.intercept, machine.gamma)


def quantised_and_refitted(machine: RbfMachine, projected: Array) -> Int8Machine:
    """Round the vectors to int8 and refit the coefficients to compensate for the rounding.

    Args:
        machine: Exact SVM.
        projected: ``(N, P)`` rows that the decision values are fitted on.
    """
    rounded = quantised(machine)
    coefficients = refitted(machine, rounded.vectors, projected)
    return Int8Machine(rounded.levels, rounded.scales, coefficients.coefficients, coefficients.intercept, machine.gamma)
