# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Covariances from estimators: validation, and propagation to the camera."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry.poses.covariance import EstimatorLost, at_lever, between, checked_covariance

GOOD = np.diag([0.02, 0.02, 0.03, 0.01, 0.01, 0.02]) ** 2


def changed(*entries: tuple[int, int, float]) -> np.ndarray:
    covariance = GOOD.copy()
    for row, column, value in entries:
        covariance[row, column] = value
    return covariance


def test_checked_covariance_valid_is_unchanged() -> None:
    correlated = changed((0, 5, 2e-4), (5, 0, 2e-4))
    assert checked_covariance(correlated.ravel()) == pytest.approx(correlated)


def test_checked_covariance_zeros_are_unknown() -> None:
    assert checked_covariance(np.zeros(36)) is None


@pytest.mark.parametrize(
    ("covariance", "reason"),
    [
        (changed((1, 1, np.nan)), "not finite"),
        (changed((0, 3, np.inf)), "not finite"),
        (changed((0, 3, 1e308), (3, 0, -1e308)), r"1e\+308"),
        (changed((2, 2, 0.0)), "not positive"),
        (changed((0, 0, -1.0)), "not positive"),
        (np.diag([4e-4, 4e-4, 4e-4, 0, 0, 0]), "not positive"),
        (changed((0, 1, 2e-4)), "not symmetric"),
        (changed((0, 1, 4e-4), (1, 0, 4e-4)), "singular"),
        (changed((0, 1, 9e-4), (1, 0, 9e-4)), "singular"),
        (np.eye(6) * 1e-9, r"implausibly small \(0\.032 mm"),
        (changed((5, 5, 1e-10)), "implausibly small"),
    ],
)
def test_checked_covariance_invalid_is_refused_with_reason(covariance: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        checked_covariance(covariance.ravel())
    assert not isinstance(refusal.value, EstimatorLost)


@pytest.mark.parametrize("covariance", [np.eye(6) * 1e6, changed((2, 2, 400.0)), changed((5, 5, 1.0))])
def test_checked_covariance_lost_estimator_raises(covariance: np.ndarray) -> None:
    with pytest.raises(EstimatorLost, match="standard deviation of"):
        checked_covariance(covariance)


def test_at_lever_heading_error_moves_camera() -> None:
    at_camera = at_lever(np.diag([0, 0, 0, 0, 0, 0.01]) ** 2, np.array([2.0, 0, 0]))
    assert np.sqrt(np.diag(at_camera)) == pytest.approx([0, 0.02, 0, 0, 0, 0.01])
    # A turn to the left moves a camera ahead of the centre to the left.
    assert at_camera[1, 5] == pytest.approx(0.02 * 0.01)


def test_at_lever_matches_sampled_points() -> None:
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(6, 6)) * 0.01
    lever = np.array([0.4, -0.3, 0.2])
    errors = rng.normal(size=(200_000, 6)) @ factor.T
    errors[:, :3] += np.cross(errors[:, 3:], lever)
    assert at_lever(factor @ factor.T, lever) == pytest.approx(np.cov(errors.T), rel=0.05, abs=1e-6)


def test_between_interpolates_covariances() -> None:
    assert between(GOOD, 4 * GOOD, 0.25) == pytest.approx(1.75 * GOOD)
    assert between(GOOD, GOOD, 0.5) == pytest.approx(GOOD)
    assert between(None, GOOD, 0.5) is None
    assert between(GOOD, None, 0.5) is None
