"""Covariances that estimators send: which of them are believed, and what becomes of them at the camera."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry.poses.covariance import Lost, at_lever, between, checked_covariance

GOOD = np.diag([0.02, 0.02, 0.03, 0.01, 0.01, 0.02]) ** 2


def changed(*entries: tuple[int, int, float]) -> np.ndarray:
    covariance = GOOD.copy()
    for row, column, value in entries:
        covariance[row, column] = value
    return covariance


def test_proper_covariance_is_taken_as_it_is() -> None:
    correlated = changed((0, 5, 2e-4), (5, 0, 2e-4))
    assert checked_covariance(correlated.ravel()) == pytest.approx(correlated)


def test_zeros_mean_that_it_is_unknown() -> None:
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
        (np.eye(6) * 1e-9, r"too small to be true \(0\.032 mm"),
        (changed((5, 5, 1e-10)), "too small to be true"),
    ],
)
def test_what_is_no_covariance_is_refused_with_its_reason(covariance: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        checked_covariance(covariance.ravel())
    assert not isinstance(refusal.value, Lost)


@pytest.mark.parametrize("covariance", [np.eye(6) * 1e6, changed((2, 2, 400.0)), changed((5, 5, 1.0))])
def test_estimator_that_says_that_it_is_lost_is_believed(covariance: np.ndarray) -> None:
    with pytest.raises(Lost, match="standard deviation of"):
        checked_covariance(covariance)


def test_heading_error_swings_the_camera_at_the_end_of_its_lever() -> None:
    at_camera = at_lever(np.diag([0, 0, 0, 0, 0, 0.01]) ** 2, np.array([2.0, 0, 0]))
    assert np.sqrt(np.diag(at_camera)) == pytest.approx([0, 0.02, 0, 0, 0, 0.01])
    # A turn to the left moves a camera ahead of the centre to the left.
    assert at_camera[1, 5] == pytest.approx(0.02 * 0.01)


def test_covariance_at_a_lever_is_that_of_moved_points() -> None:
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(6, 6)) * 0.01
    lever = np.array([0.4, -0.3, 0.2])
    errors = rng.normal(size=(200_000, 6)) @ factor.T
    errors[:, :3] += np.cross(errors[:, 3:], lever)
    assert at_lever(factor @ factor.T, lever) == pytest.approx(np.cov(errors.T), rel=0.05, abs=1e-6)


def test_covariance_between_two_poses_is_between_theirs() -> None:
    assert between(GOOD, 4 * GOOD, 0.25) == pytest.approx(1.75 * GOOD)
    assert between(GOOD, GOOD, 0.5) == pytest.approx(GOOD)
    assert between(None, GOOD, 0.5) is None
    assert between(GOOD, None, 0.5) is None
