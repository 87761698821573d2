# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the drift filter with correlated errors; generalised least squares is the reference."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.mapping.tracks.drift_filter import Drift, NoiseProcess, first_drift, fuse

VIEW_M2 = np.diag([0.003, 0.001, 0.004]) + 0.0005
NOTHING_M2 = np.zeros((1, 3, 3))


def filtered(times_s: np.ndarray, measured_m: np.ndarray, noise: NoiseProcess) -> tuple[np.ndarray, np.ndarray]:
    """Return position (3,) and covariance (3, 3) after all views of one source."""
    position, covariance = measured_m[0].copy(), VIEW_M2[None]
    drift = first_drift(1, times_s[0], noise)
    for time_s, seen in zip(times_s[1:], measured_m[1:], strict=True):
        fused = fuse(covariance, (seen - position)[None], VIEW_M2[None], NOTHING_M2, drift, time_s, noise)
        position, covariance, drift = position + fused.shift_m[0], fused.covariance_m2, fused.drift
    return position, covariance[0]


def least_squares(times_s: np.ndarray, measured_m: np.ndarray, noise: NoiseProcess) -> tuple[np.ndarray, np.ndarray]:
    """Compute the same from the joint covariance of all errors."""
    gaps = np.abs(times_s[:, None] - times_s) / noise.error_correlation_s
    joint = (1 - noise.white_share) * np.exp(-gaps) + noise.white_share * np.eye(len(times_s))
    weights = np.linalg.solve(joint, np.ones(len(times_s)))
    return weights @ measured_m / weights.sum(), VIEW_M2 / weights.sum()


@pytest.mark.parametrize("white_share", [0.0, 0.1, 0.5, 1.0])
def test_drift_filter_equals_generalised_least_squares(white_share: float) -> None:
    rng = np.random.default_rng(1)
    noise = NoiseProcess(4.0, white_share)
    times = np.cumsum(np.array([0, 0.1, 0.1, 2.0, 0.1, 30.0, 0.2, 1.0, 5.0]))
    measured = rng.normal(0, 0.05, (len(times), 3))
    position, covariance = filtered(times, measured, noise)
    wanted, wanted_m2 = least_squares(times, measured, noise)
    assert position == pytest.approx(wanted, abs=1e-9)
    assert covariance == pytest.approx(wanted_m2, rel=1e-6)


def test_drift_filter_white_noise_averages_out_drift_does_not() -> None:
    times = np.arange(100) * 0.01
    measured = np.zeros((100, 3))
    _, white = filtered(times, measured, NoiseProcess(4.0, 1.0))
    _, drifting = filtered(times, measured, NoiseProcess(4.0, 0.0))
    assert white == pytest.approx(VIEW_M2 / 100)
    assert drifting[0, 0] > 0.85 * VIEW_M2[0, 0]


def test_drift_filter_two_sources_independent() -> None:
    noise = NoiseProcess(4.0, 0.0)
    fused = fuse(VIEW_M2[None], np.zeros((1, 3)), VIEW_M2[None], NOTHING_M2, Drift.unknown(1), 0.0, noise)
    assert fused.covariance_m2[0] == pytest.approx(VIEW_M2 / 2)


def test_drift_filter_time_set_back_symmetric() -> None:
    noise = NoiseProcess(4.0, 0.1)
    drift = first_drift(1, 100.0, noise)
    offset = np.full((1, 3), 0.02)
    back = fuse(VIEW_M2[None], offset, VIEW_M2[None], NOTHING_M2, drift, 99.0, noise)
    on = fuse(VIEW_M2[None], offset, VIEW_M2[None], NOTHING_M2, drift, 101.0, noise)
    assert back.shift_m == pytest.approx(on.shift_m)
    assert np.all(np.linalg.eigvalsh(back.covariance_m2[0]) > 0)


def test_drift_filter_straight_line_no_information_along_it() -> None:
    along = np.diag([0.0, 1e6, 0.0])[None]
    noise = NoiseProcess(4.0, 1.0)
    fused = fuse(VIEW_M2[None], np.full((1, 3), 0.1), VIEW_M2[None], along, Drift.unknown(1), 0.0, noise)
    assert fused.covariance_m2[0, 1, 1] == pytest.approx(VIEW_M2[1, 1], rel=0.05)
    assert fused.covariance_m2[0, 0, 0] == pytest.approx(VIEW_M2[0, 0] / 2, rel=0.05)
