# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Simulated measurement errors of poses, and outages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crack_perception.geometry import rotations
from crack_perception.geometry.poses.pose import Pose
from crack_perception.simulation.wall.noise_fields import correlated_noise

# Correlation times of the drift of pose estimates.
_DRIFT_CORRELATION_S = 8.0
_ATTITUDE_CORRELATION_S = 4.0


def noisy_poses(
    rng: np.random.Generator,
    exact: list[Pose],
    interval_s: float,
    position_noise_m: float,
    attitude_noise_rad: float,
    white_share: float,
) -> list[Pose]:
    """Return estimated poses: exact ones plus drifting and white errors.

    The noises are total standard deviations per axis; ``white_share`` of the variance is white, the rest drifts.
    """
    count = len(exact)
    drift, white = np.sqrt(1 - white_share), np.sqrt(white_share)
    shift_m = position_noise_m * (
        drift * correlated_noise(rng, count, 3, interval_s, _DRIFT_CORRELATION_S)
        + white * rng.standard_normal((count, 3))
    )
    turn_rad = attitude_noise_rad * (
        drift * correlated_noise(rng, count, 3, interval_s, _ATTITUDE_CORRELATION_S)
        + white * rng.standard_normal((count, 3))
    )
    return [
        Pose.of(pose.position_m + shift, rotations.multiply(rotations.from_rotation_vector(turn), pose.quaternion))
        for pose, shift, turn in zip(exact, shift_m, turn_rad, strict=True)
    ]


def dropouts(
    rng: np.random.Generator, times_s: NDArray[np.float64], share: float, outage_s: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return which of the ascending times (N,) fall into outages.

    Args:
        rng: Random generator.
        times_s: Times [s]; the first is never lost.
        share: Mean share of the time that is lost.
        outage_s: Shortest and longest outage; uniformly distributed.
    """
    lost = np.zeros(len(times_s), bool)
    if share <= 0:
        return lost
    between_s = float(np.mean(outage_s)) * (1 - share) / share
    begin_s = float(times_s[0]) + rng.exponential(between_s)
    while begin_s <= times_s[-1]:
        end_s = begin_s + rng.uniform(*outage_s)
        lost |= (times_s > begin_s) & (times_s < end_s)
        begin_s = end_s + rng.exponential(between_s)
    return lost
