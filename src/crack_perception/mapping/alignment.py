"""How a frame's lines lie to the mapped ones: which vertex belongs to which, and by how much all of them are off.

All lines of a frame share the error of one camera pose and one range. It is found as a small similarity (shift,
rotation, scale) by iterated matching of vertices to lines, with the uncertainty of pose and range as prior: shape, not
nearness alone, tells neighbouring cracks apart. Along a straight line nothing is measured, and the prior holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.map_settings import MapSettings
from crack_perception.mapping.polylines import cross

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

# Neighbouring vertices are off together: so many count as one.
_ALIKE = 5.0
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
    """

    point_m: Array
    tangent: Array
    normal: Array
    owner: Index
    vertex: Index
    tolerance_m: Array

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


@dataclass(frozen=True, eq=False)
class Match:
    """The nearest target vertex of every query vertex.

    Attributes:
        nearest: (N,) index among the targets.
        across_m, normal_m: (N,) distance in the surface across the line, and along the normal.
        across, normal: (N, 3) these directions.
        matched: (N,) the two belong together.
    """

    nearest: Index
    across_m: Array
    normal_m: Array
    across: Array
    normal: Array
    matched: Mask


class Aligner:
    """Aligns the lines of a frame with mapped ones.

    Args:
        query: Vertices of the frame.
        target: Vertices of the map; must not be empty.
        normal_gate_m: How far matching vertices may lie apart along the normal.
    """

    def __init__(self, query: Lines, target: Lines, normal_gate_m: float, settings: MapSettings) -> None:
        self.query, self.target = query, target
        self.settings = settings
        self.normal_gate_m = normal_gate_m
        # Distances are taken from a near origin: squares of map coordinates may be large.
        self._origin = query.point_m.mean(axis=0)
        self._target = target.point_m - self._origin
        self._target_squares = np.einsum("ij,ij->i", self._target, self._target)
        alike = (np.abs(query.tangent @ target.tangent.T) >= np.cos(settings.max_angle_rad)) & (
            query.normal @ target.normal.T >= np.cos(settings.max_normal_angle_rad)
        )
        self._blocked = np.where(alike, 0.0, np.inf)

    def match(self, moved_m: Array, tolerance_m: float | None = None) -> Match:
        """Nearest targets of the query's vertices, which have been moved to (N, 3).

        Args:
            tolerance_m: Instead of the targets' own.
        """
        local = moved_m - self._origin
        squares = self._target_squares - 2 * (local @ self._target.T) + self._blocked
        nearest = np.argmin(squares, axis=1)
        possible = np.isfinite(squares[np.arange(len(nearest)), nearest])
        tangent, normal = self.target.tangent[nearest], self.target.normal[nearest]
        across = cross(normal, tangent)
        across /= np.maximum(np.sqrt(np.einsum("ij,ij->i", across, across)), 1e-9)[:, None]
        normal = cross(tangent, across)
        gap = local - self._target[nearest]
        across_m, normal_m = np.einsum("ij,ij->i", gap, across), np.einsum("ij,ij->i", gap, normal)
        along_m = np.einsum("ij,ij->i", gap, tangent)
        reach = self.target.tolerance_m[nearest] if tolerance_m is None else tolerance_m
        matched = (
            possible
            & (np.abs(across_m) <= reach)
            & (np.abs(normal_m) <= self.normal_gate_m)
            & (np.abs(along_m) <= self.settings.step_m + 0.3 * np.abs(across_m))
        )
        return Match(nearest, across_m, normal_m, across, normal, matched)

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
        prior[3:6, 3:6] = np.eye(3) / settings.rotation_sigma_rad**2
        prior[6, 6] = 1 / settings.scale_sigma**2
        relative = self.query.point_m - start.centre_m
        current = start
        for reach in (reach_m, 0.5 * reach_m, None, None):
            match = self.match(self.query.point_m - current.offset_at(self.query.point_m), reach)
            if not match.matched.any():
                return current
            at = match.matched
            tolerance = np.maximum(self.target.tolerance_m[match.nearest[at]], reach or 0.0)
            trust = (1 - 0.9 * np.minimum(match.across_m[at] / tolerance, 1.0) ** 2) / _ALIKE
            gap = self.query.point_m[at] - self.target.point_m[match.nearest[at]]
            information, wanted = prior.copy(), np.append(prior[:3, :3] @ mean_m, np.zeros(4))
            for direction, sigma_m in ((match.across[at], settings.shape_sigma_m), (match.normal[at], NORMAL_SIGMA_M)):
                q = relative[at]
                jacobian = np.column_stack([direction, cross(q, direction), np.einsum("ij,ij->i", q, direction)])
                weighted = jacobian * (trust / sigma_m**2)[:, None]
                information += weighted.T @ jacobian
                wanted += weighted.T @ np.einsum("ij,ij->i", gap, direction)
            solution = np.asarray(np.linalg.solve(information, wanted), np.float64)
            current = Similarity(start.centre_m, solution[:3], solution[3:6], float(solution[6]))
        return current


@dataclass(frozen=True, eq=False)
class ShiftInformation:
    """What matched vertices say of their shift in common: (3, 3) information matrix and (3,) information vector.

    Along a straight line they say nothing.
    """

    matrix: Array
    vector: Array

    def __add__(self, other: ShiftInformation) -> ShiftInformation:
        return ShiftInformation(self.matrix + other.matrix, self.vector + other.vector)


def shift_information(match: Match, at: Mask, shape_sigma_m: float) -> ShiftInformation:
    """What the matched vertices ``at`` say of a shift."""
    across, normal = match.across[at] / shape_sigma_m, match.normal[at] / NORMAL_SIGMA_M
    return ShiftInformation(
        (across.T @ across + normal.T @ normal) / _ALIKE,
        (match.across_m[at] / shape_sigma_m @ across + match.normal_m[at] / NORMAL_SIGMA_M @ normal) / _ALIKE,
    )
