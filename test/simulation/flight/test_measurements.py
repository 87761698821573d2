# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Errors of the simulated pose estimate, and outages."""

from __future__ import annotations

import numpy as np
import pytest
from rotation_angle import angle_between

from crack_perception.geometry.poses.pose import Pose
from crack_perception.simulation.flight.measurements import dropouts, noisy_poses

EXACT = [Pose.of((1.0, 2.0, 3.0), (0.0, 0.0, 0.6, 0.8))] * 20_000


def test_noisy_poses_have_requested_sigma_and_drift() -> None:
    poses = noisy_poses(np.random.default_rng(0), EXACT, 0.05, 0.02, 0.01, 0.1)
    shifts_m = np.array([pose.position_m for pose in poses]) - EXACT[0].position_m
    np.testing.assert_allclose(shifts_m.std(axis=0), 0.02, rtol=0.15)
    turns_rad = np.array([angle_between(pose.quaternion, EXACT[0].quaternion) for pose in poses])
    assert np.sqrt((turns_rad**2).mean()) == pytest.approx(0.01 * np.sqrt(3), rel=0.1)
    # Consecutive estimates differ little: most of the error drifts.
    assert np.diff(shifts_m, axis=0).std() < 0.6 * 0.02


def test_noisy_poses_without_noise_are_exact() -> None:
    pose = noisy_poses(np.random.default_rng(0), EXACT[:3], 0.05, 0.0, 0.0, 0.1)[1]
    np.testing.assert_allclose(pose.position_m, EXACT[0].position_m)
    np.testing.assert_allclose(pose.quaternion, EXACT[0].quaternion)


def test_noisy_poses_white_share_is_uncorrelated() -> None:
    def step(white_share: float) -> float:
        poses = noisy_poses(np.random.default_rng(0), EXACT[:5000], 0.02, 0.02, 0.0, white_share)
        return float(np.diff([pose.position_m for pose in poses], axis=0).std())

    assert step(0.0) < 0.1 * 0.02
    assert step(1.0) == pytest.approx(np.sqrt(2) * 0.02, rel=0.05)


def test_dropouts_have_requested_share_and_length() -> None:
    times_s = np.arange(0, 2000, 0.02)
    lost = dropouts(np.random.default_rng(4), times_s, 0.1, (0.5, 2.0))
    assert lost.mean() == pytest.approx(0.1, abs=0.02)
    changes = np.flatnonzero(np.diff(lost.astype(int)))
    stretches_s = np.diff(times_s[changes])[::2] if not lost[0] else np.diff(times_s[changes])[1::2]
    assert stretches_s.min() > 0.45 and stretches_s.max() < 2.05
    assert not lost[0] and not dropouts(np.random.default_rng(4), times_s, 0.0, (0.5, 2.0)).any()
