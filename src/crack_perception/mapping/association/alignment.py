"""How a frame's lines lie to the mapped ones: which vertex belongs to which, and by how much all of them are off.

All lines of a frame share the error of one camera pose and one range. It is found as a small similarity (shift,
rotation, scale) by iterated matching of vertices to lines, with the uncertainty of pose and range as prior: shape, not
nearness alone, tells neighbouring cracks apart. Along a straight line nothing is measured, and the prior holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.polylines import cross
from crack_perception.mapping.settings import MapSettings

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

# Neighbouring vertices are off together: so many count as one.
_ALIKE = 5.0
# More vertices than this are not needed to align a frame, and none further off than this to begin with.
_ENOUGH, _NEAR_M = 60, 0.12
# Lines whose comparable widths differ by more than this factor are different cracks.
_MAX_LOG_WIDTH_RATIO = float(np.log(2.0))
# Depth is measured worse than direction, relief and all.
NORMAL_SIGMA_M = 0.02


@dataclass(frozen=True, eq=False)
class Lines:
    """Vertices of several lines.

    Attributes:
        point_m, tangent, normal: (N, 3) each.
        owner: (N,) which line a vertex belongs to.
        vertex: (N,) its index there.
        tolerance_m: (N,) how far across a matching line may be off once the frame is aligned.
        log_width: (N,) logarithm of a width that is comparable with others (``comparable_log_width``), ``nan`` where
            unknown.
    """

    point_m: Array
    tangent: Array
    normal: Array
    owner: Index
    vertex: Index
    tolerance_m: Array
    log_width: Array

    def __len__(self) -> int:
        return len(self.point_m)

    def where(self, mask: Mask) -> Lines:
        """Only some of the vertices."""
        return Lines(
            self.point_m[mask],
            self.tangent[mask],
            self.normal[mask],
            self.owner[mask],
            self.vertex[mask],
            self.tolerance_m[mask],
            self.log_width[mask],
        )


@dataclass(frozen=True, eq=False)
class Similarity:
    """A small shift, rotation and scale: ``offset(p) = shift + rotation x (p - centre) + scale (p - centre)``."""

    centre_m: Array
    shift_m: Array
    rotation_rad: Array
    scale: float

    def offset_at(self, points_m: Array) -> Array:
        """By how much the frame has points (N, 3) off."""
        relative = points_m - self.centre_m
        return np.asarray(self.shift_m - cross(relative, self.rotation_rad) + self.scale * relative)

    def surprise(self, mean_m: Array, covariance_m2: Array, settings: MapSettings) -> float:
        """Squared Mahalanobis distance from what was expected: a shift of that mean and covariance, and no more."""
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
        matched: (N,) the two belong together.
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
        normal_gate_m: How far matching vertices may lie apart along the normal.
    """

    def __init__(self, query: Lines, target: Lines, normal_gate_m: float, settings: MapSettings) -> None:
        self.query, self.target = query, target
        self.settings, self.normal_gate_m = settings, normal_gate_m
        # Distances are taken from a near origin: squares of map coordinates may be large.
        self._origin = query.point_m[0]
        self._target = target.point_m - self._origin
        self._target_squares = np.einsum("ij,ij->i", self._target, self._target)
        alike = (np.abs(query.tangent @ target.tangent.T) >= np.cos(settings.max_angle_rad)) & (
            query.normal @ target.normal.T >= np.cos(settings.max_normal_angle_rad)
        )
        # Of cracks next to each other, the width tells which is which; where one is unknown, it tells nothing.
        if not np.isnan(query.log_width).all():
            alike &= ~(np.abs(query.log_width[:, None] - target.log_width) > _MAX_LOG_WIDTH_RATIO)
        self._blocked = np.where(alike, self._target_squares, np.inf)
        across = cross(target.normal, target.tangent)
        across /= np.maximum(np.sqrt(np.einsum("ij,ij->i", across, across)), 1e-9)[:, None]
        # Along the line, across it in the surface, and along the surface normal there.
        self._axes = np.stack([target.tangent, across, cross(target.tangent, across)], axis=1)

    def match(self, moved_m: Array, tolerance_m: float | None = None, every: int = 1) -> Match:
        """Nearest targets of the query's vertices, which have been moved to (N, 3).

        Args:
            tolerance_m: Instead of the targets' own.
            every: Only each so many-th of the query's vertices has been.
        """
        local = moved_m - self._origin
        squares = self._blocked[::every] - 2 * (local @ self._target.T)
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
        """The similarity that takes the frame off best.

        Args:
            start: Where to begin.
            mean_m, covariance_m2: Prior of the shift.
            reach_m: How far off matching lines may be in the beginning; it shrinks to the targets' tolerance.
        """
        settings = self.settings
        prior = np.zeros((7, 7))
        prior[:3, :3] = np.linalg.inv(covariance_m2)
        prior[[3, 4, 5], [3, 4, 5]] = 1 / settings.rotation_sigma_rad**2
        prior[6, 6] = 1 / settings.scale_sigma**2
        wanted_before = np.append(prior[:3, :3] @ mean_m, np.zeros(4))
        every = max(1, len(self.query) // _ENOUGH)
        points = self.query.point_m[::every]
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
            relative = np.repeat(points[at] - start.centre_m, 2, axis=0)
            gap = np.repeat(points[at] - self.target.point_m[nearest], 2, axis=0)
            jacobian = np.empty((len(weight), 7))
            jacobian[:, :3] = directions
            jacobian[:, 3:6] = cross(relative, directions)
            jacobian[:, 6] = np.einsum("ij,ij->i", relative, directions)
            jacobian *= weight[:, None]
            off = weight * np.einsum("ij,ij->i", gap, directions)
            solution = np.linalg.solve(prior + jacobian.T @ jacobian, wanted_before + jacobian.T @ off)
            current = Similarity(start.centre_m, solution[:3], solution[3:6], float(solution[6]))
        return current


@dataclass(frozen=True, eq=False)
class ShiftInformation:
    """What matched vertices say of their shift in common: (3, 3) information matrix and (3,) information vector.

    Along a straight line they say nothing.
    """

    matrix: Array
    vector: Array

    @classmethod
    def none(cls) -> ShiftInformation:
        """Nothing."""
        return cls(np.zeros((3, 3)), np.zeros(3))

    def __add__(self, other: ShiftInformation) -> ShiftInformation:
        return ShiftInformation(self.matrix + other.matrix, self.vector + other.vector)


def shift_information(match: Match, at: Mask, shape_sigma_m: float) -> ShiftInformation:
    """What the matched vertices ``at`` say of a shift."""
    directions = match.directions[at] / np.array([shape_sigma_m, NORMAL_SIGMA_M])[:, None]
    off = match.off_m[at] / np.array([shape_sigma_m, NORMAL_SIGMA_M])
    flat = directions.reshape(-1, 3)
    return ShiftInformation(flat.T @ flat / _ALIKE, off.ravel() @ flat / _ALIKE)
