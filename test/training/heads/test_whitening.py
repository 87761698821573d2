# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Standardisation, principal components and ZCA whitening of features with known covariance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("sklearn")

from crack_perception.training.heads.whitening import Projection, fit_pca, fit_standardise, fit_zca


def correlated_features(rows: int, columns: int = 12) -> npt.NDArray[np.float32]:
    """Neighbouring columns correlate, scales span two decades, means differ."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0.0, 1.0, (rows, columns + 1))
    return ((noise[:, 1:] + 0.8 * noise[:, :-1]) * np.logspace(-1, 1, columns) + 3.0).astype(np.float32)


def test_fit_standardise_gives_mean_0_variance_1_and_constant_0() -> None:
    features = np.column_stack([correlated_features(500), np.full(500, 7.0, np.float32)])
    standardised = fit_standardise(features).apply(features)
    np.testing.assert_allclose(standardised.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(standardised.var(axis=0), [1.0] * 12 + [0.0], atol=1e-4)


def test_fit_pca_equals_scikit_learn() -> None:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    features = np.random.default_rng(3).normal(5.0, 3.0, (300, 20)) @ np.diag(np.arange(1.0, 21.0))
    projection = fit_pca(features.astype(np.float32), 6, seed=0)
    scaled = StandardScaler().fit_transform(features)
    expected = PCA(6, svd_solver="randomized", random_state=0).fit(scaled).transform(scaled)
    np.testing.assert_allclose(np.abs(projection.apply(features.astype(np.float32))), np.abs(expected), atol=2e-2)


@pytest.mark.parametrize("shrinkage", [0.0, None])
def test_fit_zca_well_conditioned_gives_identity_covariance(shrinkage: float | None) -> None:
    features = correlated_features(20000)
    white = fit_zca(features, shrinkage).apply(features)
    np.testing.assert_allclose(np.cov(white.T), np.eye(12), atol=0.01)
    np.testing.assert_allclose(white.mean(axis=0), 0.0, atol=1e-4)


def test_fit_zca_is_closer_to_features_than_rotated_whitening() -> None:
    features = correlated_features(5000)
    standardised = fit_standardise(features).apply(features)
    white = fit_zca(features, 0.0).apply(features)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(0.0, 1.0, (12, 12)))[0]
    correlations = [np.corrcoef(white[:, i], standardised[:, i])[0, 1] for i in range(12)]
    assert min(correlations) > 0.75
    assert np.mean((white - standardised) ** 2) < 0.5 * np.mean((white @ rotation - standardised) ** 2)


def test_fit_zca_full_shrinkage_equals_standardisation() -> None:
    features = correlated_features(300)
    expected = fit_standardise(features)
    whitened = fit_zca(features, 1.0)
    np.testing.assert_allclose(whitened.matrix, expected.matrix, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(whitened.bias, expected.bias, rtol=1e-4)


def test_fit_zca_fewer_rows_than_features_is_finite() -> None:
    features = correlated_features(8)
    exact = fit_zca(features, 0.0).apply(features)
    variances = np.linalg.eigvalsh(exact.T @ exact / len(exact))
    np.testing.assert_allclose(variances, [0.0] * 5 + [1.0] * 7, atol=1e-3)
    shrunk = fit_zca(features)
    assert np.isfinite(shrunk.matrix).all()
    assert np.linalg.matrix_rank(shrunk.matrix.astype(np.float64)) == 12


def test_fit_zca_shrinkage_limits_noise_gain() -> None:
    features = correlated_features(13)
    gains = [np.linalg.norm(gain_after_standardisation(fit_zca(features, s), features), 2) for s in (0.0, 0.1, 0.5)]
    assert gains[0] > 3 * gains[1] > 3 * gains[2]
    assert gains[1] <= 1 / np.sqrt(0.1) + 1e-3


def gain_after_standardisation(zca: Projection, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Matrix of the whitening that follows the standardisation."""
    return zca.matrix * features.std(axis=0, dtype=np.float64)[:, None]


def test_fit_zca_shrinkage_outside_0_to_1_raises() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_zca(correlated_features(50), 1.5)


def test_projection_then_equals_two_maps() -> None:
    features = correlated_features(200)
    whitening = fit_zca(features)
    rng = np.random.default_rng(2)
    following = Projection(rng.normal(0, 1, (12, 5)).astype(np.float32), rng.normal(0, 1, 5).astype(np.float32))
    in_sequence = following.apply(whitening.apply(features).astype(np.float32))
    np.testing.assert_allclose(whitening.then(following).apply(features), in_sequence, atol=1e-3)
