"""Affine maps fitted on training features: standardising, principal components, ZCA whitening.

All three are one :class:`Projection`, so that whatever matrix comes next can swallow them at export
(:meth:`Projection.then`); whitening then costs neither bytes nor time in flight.
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

# Directions whose variance is below this share of the largest hold rounding errors alone.
_LEAST_EIGENVALUE = 1e-7


@dataclass(frozen=True)
class Projection:
    """An affine map ``features @ matrix + bias``.

    Args:
        matrix: ``(F, P)``.
        bias: ``(P,)``.
    """

    matrix: Features
    bias: Features

    def apply(self, features: Features) -> Array:
        """``(N, F)`` to ``(N, P)``."""
        return np.asarray(features @ self.matrix + self.bias, np.float64)

    def then(self, following: Projection) -> Projection:
        """This map and a following one as a single matrix and bias: ``(F, P)`` and ``(P, Q)`` give ``(F, Q)``."""
        following_matrix = following.matrix.astype(np.float64)
        matrix = self.matrix.astype(np.float64) @ following_matrix
        bias = self.bias.astype(np.float64) @ following_matrix + following.bias
        return Projection(matrix.astype(np.float32), bias.astype(np.float32))


def fit_standardise(features: Features) -> Projection:
    """Every feature to mean 0 and variance 1, as a diagonal ``(F, F)`` matrix; a constant feature becomes 0."""
    scaler = StandardScaler().fit(features)
    matrix = np.diag(1.0 / scaler.scale_)
    return Projection(matrix.astype(np.float32), (-scaler.mean_ / scaler.scale_).astype(np.float32))


def fit_pca(features: Features, components: int, seed: int) -> Projection:
    """Standardise, then keep the first principal components: ``(F, components)``.

    Args:
        features: ``(N, F)``.
        components: Number of them; at most ``min(N, F)``.
        seed: Of the randomised decomposition.
    """
    scaler = StandardScaler().fit(features)
    pca = PCA(components, svd_solver="randomized", random_state=seed).fit(scaler.transform(features))
    matrix = pca.components_.T / scaler.scale_[:, None]
    bias = -(scaler.mean_ / scaler.scale_) @ pca.components_.T - pca.mean_ @ pca.components_.T
    return Projection(matrix.astype(np.float32), bias.astype(np.float32))


def fit_zca(features: Features, shrinkage: float | None = None) -> Projection:
    """ZCA whitening of the standardised features (ZCA-cor of Kessy et al. 2018; paper section 3.1.2): ``(F, F)``.

    With D the standard deviations, R the correlation matrix and ``S = (1 - s) R + s I = U L U'`` its shrunk form, the
    map is ``(x - mean) D^-1 U L^-1/2 U'``. Of all maps that make the covariance the identity it is the one whose
    outputs stay closest to the standardised features. The mean eigenvalue of R is 1, hence the target ``I``.

    Args:
        features: ``(N, F)``; N may be smaller than F.
        shrinkage: s between 0 and 1; ``None`` estimates it (Ledoit & Wolf 2004). With 0, directions in which the
            features do not vary are left out (pseudo-inverse), the others are blown up to variance 1, noise included.

    Raises:
        ValueError: A shrinkage outside 0 to 1.
    """
    scaler = StandardScaler().fit(features)
    standardised = scaler.transform(features.astype(np.float64))
    if shrinkage is None:
        shrinkage = float(ledoit_wolf_shrinkage(standardised, assume_centered=True))
    if not 0.0 <= shrinkage <= 1.0:
        raise ValueError(f"a shrinkage lies between 0 and 1, not {shrinkage}")
    correlation = standardised.T @ standardised / len(standardised)
    variances, directions = np.linalg.eigh((1.0 - shrinkage) * correlation + shrinkage * np.eye(len(correlation)))
    kept = variances > _LEAST_EIGENVALUE * variances[-1]
    rotation = (directions[:, kept] / np.sqrt(variances[kept])) @ directions[:, kept].T
    matrix = rotation / scaler.scale_[:, None]
    return Projection(matrix.astype(np.float32), (-scaler.mean_ @ matrix).astype(np.float32))
