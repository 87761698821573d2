# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Affine maps fitted on training features: standardisation, principal components, ZCA whitening.

All three are a :class:`Projection`, which can be folded into the following matrix at export (:meth:`Projection.then`);
whitening then costs neither space nor time at inference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

# Directions whose variance is below this share of the largest contain only rounding errors.
_LEAST_EIGENVALUE = 1e-7


@dataclass(frozen=True)
class Projection:
    """Affine map ``features @ matrix + bias``.

    Args:
        matrix: ``(F, P)``.
        bias: ``(P,)``.
    """

    matrix: Features
    bias: Features

    def apply(self, features: Features) -> Array:
        """Projected features ``(N, P)`` of features ``(N, F)``."""
        return np.asarray(features @ self.matrix + self.bias, np.float64)

    def then(self, following: Projection) -> Projection:
        """Combine this map ``(F, P)`` and a following map ``(P, Q)`` to one map ``(F, Q)``."""
        following_matrix = following.matrix.astype(np.float64)
        matrix = self.matrix.astype(np.float64) @ following_matrix
        bias = self.bias.astype(np.float64) @ following_matrix + following.bias
        return Projection(matrix.astype(np.float32), bias.astype(np.float32))


def fit_standardise(features: Features) -> Projection:
    """Fit a diagonal map ``(F, F)`` of every feature to mean 0 and variance 1; constant features become 0."""
    scaler = StandardScaler().fit(features)
    matrix = np.diag(1.0 / scaler.scale_)
    return Projection(matrix.astype(np.float32), (-scaler.mean_ / scaler.scale_).astype(np.float32))


def fit_pca(features: Features, components: int, seed: int) -> Projection:
    """Fit standardisation and principal components as one map ``(F, components)``.

    Args:
        features: ``(N, F)``.
        components: Number of principal components, at most ``min(N, F)``.
        seed: Seed of the randomised decomposition.
    """
    scaler = StandardScaler().fit(features)
    pca = PCA(components, svd_solver="randomized", random_state=seed).fit(scaler.transform(features))
    matrix = pca.components_.T / scaler.scale_[:, None]
    bias = -(scaler.mean_ / scaler.scale_) @ pca.components_.T - pca.mean_ @ pca.components_.T
    return Projection(matrix.astype(np.float32), bias.astype(np.float32))


def fit_zca(features: Features, shrinkage: float | None = None) -> Projection:
    """Fit ZCA whitening of the standardised features ``(F, F)`` (ZCA-cor of Kessy et al. 2018; paper section 3.1.2).

    With the standard deviations D, the correlation matrix R and its shrunk form ``S = (1 - s) R + s I = U L U'``, the
    map is ``(x - mean) D^-1 U L^-1/2 U'``. Of all maps to an identity covariance it changes the standardised features
    least. The mean eigenvalue of R is 1, therefore the shrinkage target is ``I``.

    Args:
        features: ``(N, F)``; N may be smaller than F.
        shrinkage: s between 0 and 1; ``None`` estimates it (Ledoit & Wolf 2004). With 0, directions without variance
            are skipped (pseudo-inverse) and all others are scaled to variance 1, noise included.

    Raises:
        ValueError: The shrinkage is outside 0 to 1.
    """
    scaler = StandardScaler().fit(features)
    standardised = scaler.transform(features.astype(np.float64))
    if shrinkage is None:
        shrinkage = float(ledoit_wolf_shrinkage(standardised, assume_centered=True))
    if not 0.0 <= shrinkage <= 1.0:
        raise ValueError(f"the shrinkage is {shrinkage}, must be between 0 and 1")
    correlation = standardised.T @ standardised / len(standardised)
    variances, directions = np.linalg.eigh((1.0 - shrinkage) * correlation + shrinkage * np.eye(len(correlation)))
    kept = variances > _LEAST_EIGENVALUE * variances[-1]
    rotation = (directions[:, kept] / np.sqrt(variances[kept])) @ directions[:, kept].T
    matrix = rotation / scaler.scale_[:, None]
    return Projection(matrix.astype(np.float32), (-scaler.mean_ @ matrix).astype(np.float32))
