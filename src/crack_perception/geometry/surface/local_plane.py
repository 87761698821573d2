# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Fit a plane with covariance to rangefinder hits: generalised least squares with drifting errors.

A hit is the point where the optical axis meets the surface, in the map. Heights of hits over a reference plane through
the present one are ``a + b u + c v`` plus a slight curvature; the assumed direction of the surface is the prior of the
slopes ``b, c``, the curvature has a small prior. The error of a hit comes from the pose (drifting, correlated between
consecutive hits), from the range (partly white, partly common) and from the roughness of the surface. With Gaussian
priors, one matrix inverse gives the plane, its covariance, and the prediction of each hit from the others (Rasmussen,
Williams, "Gaussian processes for machine learning", 2006, sections 2.7 and 5.4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.rotations import skew

Array = npt.NDArray[np.float64]

# Correlation time of pose errors. The longer it is, the less information many hits add.
_DRIFT_S = 10.0
# Share of the range variance that is common to all ranges: scale or offset of the sensor.
_COMMON_RANGE_SHARE = 0.1
# Local deviation of a wall from its plane: formwork, plaster, ribs.
_RELIEF_SIGMA_M = 0.005
# Prior of the height at the last hit, in standard deviations of that hit: practically uninformative.
_HEIGHT_SIGMAS = 100.0
_LEAST_TILT_SIGMA_RAD = 0.002


# Columns of a row of hits.
_POINT, _LEVER, _FACING, _NORMAL = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 12)
_TIME, _RANGE_SIGMA, _READINGS, _POSE_ROOT = 12, 13, 14, slice(15, 51)
HIT_COLUMNS = 51


@dataclass(frozen=True, eq=False)
class Hits:
    """N hits of a rangefinder in map axes, one row (N, 51) each; a mean of rows is a valid hit."""

    rows: Array

    @staticmethod
    def of(
        point_m: Array,
        lever_m: Array,
        facing: Array,
        time_s: float,
        range_sigma_m: float,
        readings: float,
        pose_root: Array,
    ) -> Hits:
        """Create a single hit.

        Args:
            point_m: (3,) where the optical axis met the surface.
            lever_m: (3,) from the camera to there.
            facing: (3,) unit normal that the surface is assumed to have.
            time_s: Time of the hit.
            range_sigma_m: Standard deviation of a single reading.
            readings: Number of readings averaged, above 0.
            pose_root: (6, 6) symmetric square root of the covariance of the camera's position and attitude, map axes.
                This root varies as smoothly as the covariance, so that means of roots are roots.
        """
        row = np.empty((1, HIT_COLUMNS))
        row[0, _POINT], row[0, _LEVER], row[0, _FACING], row[0, _NORMAL] = point_m, lever_m, facing, facing
        row[0, [_TIME, _RANGE_SIGMA, _READINGS]] = time_s, range_sigma_m, readings
        row[0, _POSE_ROOT] = pose_root.ravel()
        return Hits(row)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def point_m(self) -> Array:
        """(N, 3) where the optical axis met the surface."""
        return self.rows[:, _POINT]

    @property
    def lever_m(self) -> Array:
        """(N, 3) from the camera to there."""
        return self.rows[:, _LEVER]

    @property
    def facing(self) -> Array:
        """(N, 3) assumed surface normals, of length 1 except for averaging."""
        return self.rows[:, _FACING]

    @property
    def normal(self) -> Array:
        """(N, 3) normals known at the time of the hits; writable."""
        return self.rows[:, _NORMAL]

    @property
    def time_s(self) -> Array:
        """(N,) times of the hits [s]."""
        return self.rows[:, _TIME]

    @property
    def range_sigma_m(self) -> Array:
        """(N,) standard deviation of a single reading."""
        return self.rows[:, _RANGE_SIGMA]

    @property
    def readings(self) -> Array:
        """(N,) number of readings averaged; writable."""
        return self.rows[:, _READINGS]

    @property
    def pose_root(self) -> Array:
        """(N, 6, 6) square roots of the poses' covariances."""
        return self.rows[:, _POSE_ROOT].reshape(-1, 6, 6)


@dataclass(frozen=True, eq=False)
class LocalPlane:
    """Tangent plane at the last hit, in the map.

    Attributes:
        normal: (3,) unit vector towards the camera.
        anchor_m: (3,) the point of the plane whose height is independent of the tilts.
        offset_sigma_m: Standard deviation of the plane along its normal there.
        tilt_covariance: (3, 3) of the normal.
        distance_sigma_m: Standard deviation of the camera's distance from the plane; less than offset and
            camera position combined, because their errors are correlated.
        innovation: Distance of the last hit from the prediction of the others, in standard deviations.
        misfit: Chi-squared of all hits, with at most as many degrees of freedom as hits; a direction that differs
            from the assumed one does not add to it.
    """

    normal: Array
    anchor_m: Array
    offset_sigma_m: float
    tilt_covariance: Array
    distance_sigma_m: float
    innovation: float
    misfit: float


def fit_local_plane(hits: Hits, normal: Array, normal_sigma_rad: float, curvature_sigma_per_m: float) -> LocalPlane:
    """Fit the plane at the last of N >= 1 hits.

    Args:
        hits: The last one was measured from the present camera position.
        normal: (3,) unit normal from an earlier fit, else the assumed one: errors are evaluated along it.
        normal_sigma_rad: Standard deviation of each tilt of the assumed direction.
        curvature_sigma_per_m: Standard deviation of the curvature (inverse radius) of the surface.
    """
    reference = hits.facing[-1]
    axes = _axes_in(reference)
    relative_m = hits.point_m - hits.point_m[-1]
    height_m, (u, v) = relative_m @ reference, axes @ relative_m.T
    design = np.stack([np.ones(len(hits)), u, v, 0.5 * u * u, 0.5 * v * v], axis=1)
    tilt, bend = max(normal_sigma_rad, _LEAST_TILT_SIGMA_RAD), curvature_sigma_per_m
    # Errors along the reference, converted for a plane that is inclined to it.
    slant = normal / max(float(normal @ reference), 0.2)
    of_pose = _pose_errors(hits, slant)
    memory = np.exp(-np.abs(hits.time_s[:, None] - hits.time_s) / _DRIFT_S)
    errors = memory * (of_pose @ of_pose.T) + _range_errors(hits, slant)
    prior = np.array([_HEIGHT_SIGMAS**2 * errors[-1, -1], tilt**2, tilt**2, bend**2, bend**2])
    prior_design = prior[:, None] * design.T
    inverse = np.linalg.inv(design @ prior_design + errors)
    gain = prior_design @ inverse
    estimate = gain @ height_m
    covariance = np.diag(prior) - gain @ prior_design.T

    slopes = covariance[1:3, 1:3]
    at = -np.linalg.solve(slopes, covariance[1:3, 0])
    cosine = 1 / np.sqrt(1 + estimate[1] ** 2 + estimate[2] ** 2)
    fitted = cosine * (reference - estimate[1:3] @ axes)
    offset_m2 = cosine**2 * float(covariance[0, 0] + at @ covariance[1:3, 0])
    of_camera = np.concatenate([fitted, np.zeros(3)]) @ hits.pose_root[-1]
    in_common = cosine * ((gain[0] + at @ gain[1:3]) * memory[-1]) @ (of_pose @ of_camera)
    distance_m2 = offset_m2 + float(of_camera @ of_camera) - 2 * float(in_common)
    weighted = inverse @ height_m
    return LocalPlane(
        normal=fitted,
        anchor_m=hits.point_m[-1] + at @ axes + (estimate[0] + at @ estimate[1:3]) * reference,
        offset_sigma_m=float(np.sqrt(max(offset_m2, 0.0) + _RELIEF_SIGMA_M**2)),
        tilt_covariance=_tilts_of(fitted, axes, slopes),
        distance_sigma_m=float(np.sqrt(max(distance_m2, 0.0) + _RELIEF_SIGMA_M**2)),
        innovation=float(abs(weighted[-1]) / np.sqrt(inverse[-1, -1])),
        misfit=float(height_m @ weighted) - float(estimate[1:3] @ estimate[1:3]) / tilt**2,
    )


def _axes_in(normal: Array) -> Array:
    """Return two unit vectors (2, 3) in a plane; the first is horizontal unless the plane is."""
    first = skew(normal) @ ([0.0, 0.0, -1.0] if abs(normal[2]) < 0.9 else [0.0, -1.0, 0.0])
    first /= np.linalg.norm(first)
    return np.stack([first, skew(normal) @ first])


def _pose_errors(hits: Hits, slant: Array) -> Array:
    """Return the effect (N, 6) of six independent pose errors of unit variance on the hits' heights."""
    levers = np.empty((len(hits), 1, 6))
    levers[:, 0, :3] = slant
    levers[:, 0, 3:] = hits.lever_m @ skew(slant)
    return np.asarray((levers @ hits.pose_root)[:, 0])


def _range_errors(hits: Hits, slant: Array) -> Array:
    """Return the covariance (N, N) of the hits' heights from ranges and surface roughness."""
    lengths_m = np.sqrt(np.einsum("ij,ij->i", hits.lever_m, hits.lever_m))
    sigmas_m = hits.range_sigma_m * (hits.lever_m @ slant) / lengths_m
    independent = (1 - _COMMON_RANGE_SHARE) * sigmas_m**2 / hits.readings + _RELIEF_SIGMA_M**2
    return np.asarray(_COMMON_RANGE_SHARE * np.outer(sigmas_m, sigmas_m) + np.diag(independent))


def _tilts_of(normal: Array, axes: Array, slopes: Array) -> Array:
    """Return the covariance (3, 3) of a unit normal from that (2, 2) of the slopes along ``axes``."""
    least = slopes + _LEAST_TILT_SIGMA_RAD**2 * np.eye(2)
    square = axes - np.outer(axes @ normal, normal)
    return np.asarray(square.T @ least @ square)
