"""Errors of the simulated pose estimate."""

from __future__ import annotations

import numpy as np
import pytest
from rotation_angle import angle_between

from crack_perception.geometry.pose import Pose
from crack_perception.simulation.measurements import noisy_poses

EXACT = [Pose.of((1.0, 2.0, 3.0), (0.0, 0.0, 0.6, 0.8))] * 20_000


def test_pose_errors_have_the_asked_deviations_and_drift() -> None:
    poses = noisy_poses(np.random.default_rng(0), EXACT, 0.05, 0.02, 0.01)
    shifts_m = np.array([pose.position_m for pose in poses]) - EXACT[0].position_m
    np.testing.assert_allclose(shifts_m.std(axis=0), 0.02, rtol=0.15)
    turns_rad = np.array([angle_between(pose.quaternion, EXACT[0].quaternion) for pose in poses])
    assert np.sqrt((turns_rad**2).mean()) == pytest.approx(0.01 * np.sqrt(3), rel=0.1)
    # From one estimate to the next little changes: most of the error drifts.
    assert np.diff(shifts_m, axis=0).std() < 0.6 * 0.02


def test_without_noise_poses_are_exact() -> None:
    pose = noisy_poses(np.random.default_rng(0), EXACT[:3], 0.05, 0.0, 0.0)[1]
    np.testing.assert_allclose(pose.position_m, EXACT[0].position_m)
    np.testing.assert_allclose(pose.quaternion, EXACT[0].quaternion)
