"""What the drone believes: poses and ranges with the errors of real sensors, and their times."""

from __future__ import annotations

import numpy as np

from crack_perception.geometry import rotations
from crack_perception.geometry.pose import Pose
from crack_perception.simulation.noise_fields import correlated_noise

# Estimators drift slowly; this share of the error's variance changes from one estimate to the next.
_WHITE_VARIANCE_SHARE = 0.1
_DRIFT_CORRELATION_S = 8.0
_ATTITUDE_CORRELATION_S = 4.0


def noisy_poses(
    rng: np.random.Generator, exact: list[Pose], interval_s: float, position_noise_m: float, attitude_noise_rad: float
) -> list[Pose]:
    """Estimated poses: exact ones plus drifting and white errors of the given total standard deviations an axis."""
    count = len(exact)
    drift, white = np.sqrt(1 - _WHITE_VARIANCE_SHARE), np.sqrt(_WHITE_VARIANCE_SHARE)
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
