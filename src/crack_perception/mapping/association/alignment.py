# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Alignment of a frame's lines with the mapped ones: matching vertices, and the common error of all lines.

All lines of a frame share the error of one camera pose and one range. It is estimated as a small similarity (shift,
rotation, scale) by iterated matching of vertices to lines, with the uncertainty of pose and range as prior, so that
shape and not only distance separates neighbouring cracks. Along a straight line nothing is measured, and the prior
holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.lines import MAX_LOG_WIDTH_RATIO, Index, Lines, Mask
from crack_perception.mapping.polylines import cross
from crack_perception.mapping.settings import MapSettings

Array = npt.NDArray[np.float64]

# The errors of neighbouring vertices are correlated: this many count as one.
_ALIKE = 5.0
# About this many vertices are enough to align a frame; below this reach, half of the iterations.
_ENOUGH, _NEAR_M = 60, 0.12
# Standard deviation along the surface normal, relief included.
NORMAL_SIGMA_M = 0.02


@dataclass(frozen=True, eq=False)
class Similarity:
    """A small shift, rotation and scale: ``offset(p) = shift + rotation x (p - centre) + scale (p - centre)``."""

    centre_m: Array
    shift_m: Array
    rotation_rad: Array
    scale: float

    def offset_at(self, points_m: Array) -> Array:
        """Position error (N, 3) of the frame at points (N, 3)."""
        relative = points_m - self.centre_m
        return np.asarray(self.shift_m - cross(relative, self.rotation_rad) + self.scale * relative)

    def surprise(self, mean_m: Array, covariance_m2: Array, settings: MapSettings) -> float:
        """Squared Mahalanobis distance from a shift of that mean and covariance without rotation and scale."""
        off = self.shift_m - mean_m
        return float(
            off @ np.linalg.solve(covariance_m2, off)
            + self.rotation_rad @ self.rotation_rad / settings.rotation_sigma_rad**2
            + (self.scale / settings.scale_sigma) ** 2
        )


@dataclass(frozen=True, eq=False)
class Match:
    """The nearest target vertex of every query vertex.

    Attributes:
        nearest: (N,) index among the targets.
        off_m: (N, 2) distance in the surface across the line, and along the normal.
        directions: (N, 2, 3) these directions.
        matched: (N,) whether the two belong together.
    """

    nearest: Index
    off_m: Array
    directions: Array
    matched: Mask

    @property
    def offset_m(self) -> Array:
        """Offset (N, 3) of the query across the target's line."""
        return np.einsum("nk,nki->ni", self.off_m, self.directions)


class Aligner:
    """Aligns the lines of a frame with mapped ones.

    Args:
        query: Vertices of the frame.
        target: Vertices of the map; must not be empty.
        normal_gate_m: Largest distance of matching vertices along the normal.
    """

    def __init__(self, query: Lines, target: Lines, normal_gate_m: float, settings: MapSettings) -> None:
        self.query, self.target = query, target
        self.settings, self.normal_gate_m = settings, normal_gate_m
        # Distances are taken from a near origin: squares of map coordinates may be large.
        self._origin = query.point_m[0]
        self._target = target.point_m - self._origin
        self._target_squares = np.einsum("ij,ij->i", self._target, self._target)
        angles = query.tangent.astype(np.float32) @ target.tangent.T.astype(np.float32)
        np.abs(angles, out=angles)
        alike = angles >= math.cos(settings.max_angle_rad)
        facing = _starts(query.owner), _starts(target.owner)
        if not (query.normal[facing[0]] @ target.normal[facing[1]].T >= math.cos(settings.max_normal_angle_rad)).all():
            alike &= query.normal @ target.normal.T >= math.cos(settings.max_normal_angle_rad)
        # Widths separate neighbouring cracks where both are known.
        if _may_differ(query.log_width, target.log_width):
            width = query.log_width[:, None]
            alike &= ~(width > target.log_width + MAX_LOG_WIDTH_RATIO)
            alike &= ~(width < target.log_width - MAX_LOG_WIDTH_RATIO)
        self._blocked = np.where(alike, self._target_squares, np.inf)
        self._target_factor = -2 * self._target.T
        across = cross(target.normal, target.tangent)
        across /= np.maximum(np.sqrt(np.einsum("ij,ij->i", across, across)), 1e-9)[:, None]
        # Along the line, across it in the surface, and along the surface normal there.
        self._axes = np.empty((len(target), 3, 3))
        self._axes[:, 0], self._axes[:, 1], self._axes[:, 2] = target.tangent, across, cross(target.tangent, across)

    def match(self, moved_m: Array, tolerance_m: float | None = None, every: int = 1) -> Match:
        """Match the query's vertices, moved to (N, 3), with the nearest targets.

        Args:
            tolerance_m: Largest distance across, instead of the targets' tolerances.
            every: Only every so many-th vertex of the query is given.
        """
        local = moved_m - self._origin
        squares = local @ self._target_factor
        squares += self._blocked[::every]
        nearest = squares.argmin(axis=1)
        axes = self._axes[nearest]
        off = np.einsum("nki,ni->nk", axes, local - self._target[nearest])
        size = np.abs(off)
        reach = self.target.tolerance_m[nearest] if tolerance_m is None else tolerance_m
        matched = (
            np.isfinite(squares[np.arange(len(nearest)), nearest])
            & (size[:, 1] <= reach)
            & (size[:, 2] <= self.normal_gate_m)
            & (size[:, 0] <= self.settings.step_m + 0.3 * size[:, 1])
        )
        return Match(nearest, off[:, 1:], axes[:, 1:], matched)

    def align(self, start: Similarity, mean_m: Array, covariance_m2: Array, reach_m: float) -> Similarity:
        """Estimate the similarity between the frame and the map.

        Args:
            start: Initial value.
            mean_m, covariance_m2: Prior of the shift.
            reach_m: Largest distance of matching lines in the first iteration; later ones use the targets' tolerance.
        """
        settings = self.settings
        prior = np.zeros((7, 7))
        prior[:3, :3] = np.linalg.inv(covariance_m2)
        prior[[3, 4, 5], [3, 4, 5]] = 1 / settings.rotation_sigma_rad**2
        prior[6, 6] = 1 / settings.scale_sigma**2
        wanted_before = np.append(prior[:3, :3] @ mean_m, np.zeros(4))
        every = max(1, len(self.query) // _ENOUGH)
        points = self.query.point_m[::every]
        around = points - start.centre_m
        inverse_sigmas = np.array([1 / settings.shape_sigma_m, 1 / NORMAL_SIGMA_M])
        current = start
        for reach in (reach_m, 0.5 * reach_m, None, None)[:: 2 if reach_m < _NEAR_M else 1]:
            match = self.match(points - current.offset_at(points), reach, every)
            at = match.matched.nonzero()[0]
            if len(at) == 0:
                return current
            nearest = match.nearest[at]
            tolerance = np.maximum(self.target.tolerance_m[nearest], reach or 0.0)
            trust = np.sqrt((1 - 0.9 * np.minimum(match.off_m[at, 0] / tolerance, 1.0) ** 2) * (every / _ALIKE))
            weight = (trust[:, None] * inverse_sigmas).ravel()
            directions = match.directions[at].reshape(-1, 3)
            pairs = at.repeat(2)
            relative = around[pairs]
            gap = points[pairs] - self.target.point_m[nearest.repeat(2)]
            jacobian = np.empty((len(weight), 7))
            jacobian[:, :3] = directions
            jacobian[:, 3:6] = cross(relative, directions)
            jacobian[:, 6] = np.einsum("ij,ij->i", relative, directions)
            jacobian *= weight[:, None]
            off = weight * np.einsum("ij,ij->i", gap, directions)
            solution = np.linalg.solve(prior + jacobian.T @ jacobian, wanted_before + jacobian.T @ off)
            current = Similarity(start.centre_m, solution[:3], solution[3:6], float(solution[6]))
        return current


def _starts(owner: Index) -> Index:
    """Index of the first vertex of each run of vertices with one owner."""
    return np.append(0, (owner[1:] != owner[:-1]).nonzero()[0] + 1)


def _may_differ(one: Array, other: Array) -> bool:
    """Return whether two sets of logarithms of widths, ``nan`` where unknown, hold widths of different cracks."""
    lowest, highest = (np.fmin.reduce(one), np.fmin.reduce(other)), (np.fmax.reduce(one), np.fmax.reduce(other))
    return bool(max(highest[0] - lowest[1], highest[1] - lowest[0]) > MAX_LOG_WIDTH_RATIO)


@dataclass(frozen=True, eq=False)
class ShiftInformation:
    """Information of matched vertices on their common shift: (3, 3) matrix and (3,) vector.

    Along a straight line there is none.
    """

    matrix: Array
    vector: Array

    @classmethod
    def none(cls) -> ShiftInformation:
        """No information."""
        return cls(np.zeros((3, 3)), np.zeros(3))

    def __add__(self, other: ShiftInformation) -> ShiftInformation:
        return ShiftInformation(self.matrix + other.matrix, self.vector + other.vector)


class ShiftMeasurements:
    """Information of the vertices of a match on a shift; vertices without a match contribute nothing.

    Args:
        match: Of N vertices.
        shape_sigma_m: Standard deviation of a line's shape.
    """

    def __init__(self, match: Match, shape_sigma_m: float) -> None:
        weight = match.matched[:, None] / np.array([shape_sigma_m, NORMAL_SIGMA_M])
        self._directions = (match.directions * weight[:, :, None]).reshape(-1, 3)
        self._offsets = (match.off_m * weight).ravel()

    def between(self, first: int, last: int) -> ShiftInformation:
        """Information from the vertices ``first`` to before ``last`` on their common shift."""
        directions = self._directions[2 * first : 2 * last]
        return ShiftInformation(
            directions.T @ directions / _ALIKE, self._offsets[2 * first : 2 * last] @ directions / _ALIKE
        )
