# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Check covariances of estimated poses and propagate them to the camera.

Covariances are (6, 6) of (x, y, z, rotation about x, y, z) in the parent's axes, as in PoseWithCovariance.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.rotations import skew

Array = npt.NDArray[np.float64]

# No airborne estimator is better than this: smaller numbers are placeholders.
_LEAST_POSITION_SIGMA_M = 0.001
_LEAST_ATTITUDE_SIGMA_RAD = np.deg2rad(0.01)
_LARGEST = 1e100
# From these on the estimator reports that it has no valid pose.
_LOST_POSITION_SIGMA_M = 10.0
_LOST_ATTITUDE_SIGMA_RAD = np.deg2rad(30.0)


class EstimatorLost(ValueError):
    """The estimator reports an unknown pose; the text holds its standard deviations."""


def checked_covariance(values: npt.ArrayLike) -> Array | None:
    """Return the covariance (6, 6) of a message's 36 numbers; None for zeros, the convention for "unknown".

    Raises:
        EstimatorLost: A valid covariance that is so large that the pose is useless.
        ValueError: Not a covariance: not finite, not symmetric, singular, or implausibly small.
    """
    covariance = np.asarray(values, dtype=np.float64).reshape(6, 6)
    if not np.any(covariance):
        return None
    if not np.all(np.isfinite(covariance)):
        raise ValueError("it holds numbers that are not finite")
    if np.abs(covariance).max() > _LARGEST:  # whose sums and products would overflow
        raise ValueError(f"it holds {np.abs(covariance).max():g}")
    variances = np.diag(covariance)
    if np.any(variances <= 0):
        raise ValueError("a variance is not positive")
    sigmas = np.sqrt(variances)
    scale = np.outer(sigmas, sigmas)
    if np.any(np.abs(covariance - covariance.T) > 1e-3 * scale):
        raise ValueError("it is not symmetric")
    symmetric = 0.5 * (covariance + covariance.T)
    # Checked on the correlation matrix, so that units do not matter.
    if np.linalg.eigvalsh(symmetric / scale)[0] < 1e-9:
        raise ValueError("it is singular")
    position_m, attitude_rad = sigmas[:3], sigmas[3:]
    if position_m.min() < _LEAST_POSITION_SIGMA_M or attitude_rad.min() < _LEAST_ATTITUDE_SIGMA_RAD:
        raise ValueError(
            f"it is implausibly small ({1000 * position_m.min():.2g} mm, {np.rad2deg(attitude_rad.min()):.2g} deg)"
        )
    if position_m.max() > _LOST_POSITION_SIGMA_M or attitude_rad.max() > _LOST_ATTITUDE_SIGMA_RAD:
        raise EstimatorLost(
            f"standard deviation of {position_m.max():.3g} m and {np.rad2deg(attitude_rad.max()):.3g} deg"
        )
    return symmetric


def at_lever(covariance: Array, lever_m: Array) -> Array:
    """Return the covariance of a frame that is rigidly attached at ``lever_m`` (3,), in the parent's axes."""
    jacobian = np.eye(6)
    jacobian[:3, 3:] = -skew(lever_m)
    return np.asarray(jacobian @ covariance @ jacobian.T)


def between(before: Array | None, after: Array | None, fraction: float) -> Array | None:
    """Interpolate the covariances of two poses; None if one of them has none.

    Errors of neighbouring estimates are strongly correlated, so the variance does not shrink in between.
    """
    if before is None or after is None:
        return None
    return (1 - fraction) * before + fraction * after
