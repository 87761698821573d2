# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rigid alignment of two maps of one structure by the lines of their cracks.

A line measures a shift across itself and along the surface normal, not along itself: cracks of several directions are
needed. All vertices of a pair of lines share the position errors of the two cracks, which are integrated out with the
cracks' covariances; so a long crack does not count as many independent measurements. Nor do cracks seen within a few
seconds of each other, whose errors are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.geometry import rotations
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.polylines import cross, tangents
from crack_perception.report.comparison.lines import TANGENT_REACH, LineSet, even

Array = npt.NDArray[np.float64]

_STEP_M = 0.02
# Position errors of cracks that were first seen within this time are alike.
_ALIKE_NS = 8_000_000_000
# Standard deviation of a vertex apart from the error of its line, and how many neighbours have the same.
_SHAPE_SIGMA_M = 0.005
_ALIKE = 4.0
# Of a line's direction, from errors of its shape.
_DIRECTION_SIGMA_RAD = 0.02
_LEVEL_SIGMA_RAD = math.radians(0.5)
_REACHES_M = (0.25, 0.15, 0.1, 0.06, 0.06, 0.06)
ENOUGH_LINES = 150
"""So many lines of the new map, the longest ones, are aligned."""
_VOTERS = 700
_CELL_M = 0.1
_HEADING_STEP_DEG = 1.0
_HYPOTHESES = 6
_DISTINCT_M = 0.15
_RIVAL_SHARE = 0.9
_LEAST_SHARE = 0.2
_MOST_UNCERTAIN_M = 0.1
_REMEDY = "Give the place of NEW's map frame in OLD's with --offset X Y Z --heading DEG and --offset-sigma"


@dataclass(frozen=True)
class Prior:
    """What is known of the place of the new map's frame in the old one.

    Attributes:
        offset_m: Its origin.
        heading_deg: Its turn about the vertical, anticlockwise from above.
        sigma_m, heading_sigma_deg: Standard deviations. The search covers three of them.
    """

    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    heading_deg: float = 0.0
    sigma_m: float = 0.5
    heading_sigma_deg: float = 2.0


@dataclass(frozen=True, eq=False)
class Alignment:
    """Transformation from the new map's frame to the old one's.

    Attributes:
        rotation: (3, 3).
        translation_m: (3,).
        centre_m: (3,) point of the old frame to which the covariance refers.
        covariance: (6, 6) of shift and rotation vector about the centre, axes of the old frame.
        residual_m: Root mean square of the distances across between the aligned lines.
        matched_m: Length of the new map's lines that lie along lines of the old one.
        matched_share: That length as a share of all lines of the smaller map.
        pairs: Pairs of lines that were aligned.
    """

    rotation: Array
    translation_m: Array
    centre_m: Array
    covariance: Array
    residual_m: float
    matched_m: float
    matched_share: float
    pairs: int

    def to_old(self, points_m: Array) -> Array:
        """Points (N, 3) of the new map in the old map's frame."""
        return points_m @ self.rotation.T + self.translation_m

    def to_new(self, points_m: Array) -> Array:
        """Points (N, 3) of the old map in the new map's frame."""
        return np.asarray((points_m - self.translation_m) @ self.rotation)

    def covariance_at(self, point_m: Array) -> Array:
        """(3, 3) covariance of the aligned place of a point (3,) of the old frame."""
        jacobian = np.hstack([np.eye(3), -_cross_matrix(point_m - self.centre_m)])
        return np.asarray(jacobian @ self.covariance @ jacobian.T)

    @property
    def heading_deg(self) -> float:
        """Turn about the vertical, anticlockwise from above."""
        return math.degrees(math.atan2(self.rotation[1, 0], self.rotation[0, 0]))

    @property
    def heading_sigma_deg(self) -> float:
        """Standard deviation of ``heading_deg``."""
        return math.degrees(math.sqrt(max(0.0, float(self.covariance[5, 5]))))

    @property
    def sigma_m(self) -> Array:
        """(3,) standard deviations of the shift at the centre, axes of the old frame."""
        return np.sqrt(np.maximum(np.diag(self.covariance)[:3], 0.0))


@dataclass(frozen=True, eq=False)
class _Rigid:
    rotation: Array
    translation_m: Array

    def __call__(self, points_m: Array) -> Array:
        return points_m @ self.rotation.T + self.translation_m


@dataclass(frozen=True, eq=False)
class _Line:
    """A line of the new map: vertices at even steps, directions, normal, covariance, when it was first seen."""

    points_m: Array
    directions: Array
    normal: Array
    covariance_m2: Array
    seen_ns: int


@dataclass(frozen=True, eq=False)
class _Fit:
    place: _Rigid
    information: Array
    residual_m: float
    matched_m: float
    pairs: int
    groups: int


def align(old: Sequence[MappedCrack], new: Sequence[MappedCrack], prior: Prior) -> Alignment:
    """Estimate the place of the new map in the old one.

    Args:
        old, new: Cracks of the maps, and whatever else stays in its place and was mapped as a line.
        prior: What is known already.

    Raises:
        UserError: The cracks do not determine it, or several places fit about equally well.
    """
    aligner = _Aligner(old, new, prior)
    fits = sorted((aligner.fit(start) for start in aligner.hypotheses()), key=lambda fit: fit.matched_m, reverse=True)
    best = fits[0]
    for rival in fits[1:]:
        if (
            rival.matched_m > _RIVAL_SHARE * best.matched_m
            and aligner.distance_m(best.place, rival.place) > _DISTINCT_M
        ):
            x, y, z = (best.place.translation_m - rival.place.translation_m).tolist()
            raise UserError(
                f"the two maps fit in several places, {math.hypot(x, y, z):.2f} m apart, about equally well", _REMEDY
            )
    return aligner.result(best)


class _Aligner:
    def __init__(self, old: Sequence[MappedCrack], new: Sequence[MappedCrack], prior: Prior) -> None:
        self._targets = LineSet([even(crack.line_m, _STEP_M) for crack in old], [crack.normal for crack in old])
        self._target_covariances = [_usable(crack.covariance_m2) for crack in old]
        longest = sorted(new, key=lambda crack: -crack.length_m)[:ENOUGH_LINES]
        self._lines = [_line(crack) for crack in longest]
        self._smaller_m = min(sum(crack.length_m for crack in old), sum(crack.length_m for crack in longest))
        self._prior = prior
        yaw = math.radians(prior.heading_deg)
        self._expected = _Rigid(
            rotations.to_matrix(rotations.from_rotation_vector(np.array([0.0, 0.0, yaw]))), np.array(prior.offset_m)
        )
        points = [line.points_m for line in self._lines]
        self._middle_m = np.concatenate(points).mean(axis=0) if points else np.zeros(3)
        sigmas = [prior.sigma_m] * 3 + [_LEVEL_SIGMA_RAD] * 2 + [math.radians(prior.heading_sigma_deg)]
        self._prior_information = np.diag(1.0 / np.square(np.maximum(sigmas, 1e-6)))

    def hypotheses(self) -> list[_Rigid]:
        """Places to start from: the expected one, and those that most pairs of vertices vote for."""
        found: list[tuple[float, _Rigid]] = []
        voters, candidates = _voters(self._lines), _voters_of(self._targets)
        if len(voters[0]) and len(candidates[0]):
            for heading_deg in self._headings_deg():
                turn = rotations.to_matrix(
                    rotations.from_rotation_vector(np.array([0.0, 0.0, math.radians(heading_deg)]))
                )
                place = self._turned(turn)
                for votes, shift_m in _peaks(place, voters, candidates, 3 * self._prior.sigma_m):
                    found.append((votes, _Rigid(place.rotation, place.translation_m + shift_m)))
        chosen: list[_Rigid] = []
        # One place gets votes at several headings, from which it is refined alike: each counts once.
        for _, place in sorted(found, key=lambda each: -each[0]):
            if len(chosen) < _HYPOTHESES and all(self.distance_m(place, each) > _DISTINCT_M for each in chosen):
                chosen.append(place)
        return [self._expected, *chosen]

    def _headings_deg(self) -> list[float]:
        most = int(min(3 * self._prior.heading_sigma_deg, 15.0) / _HEADING_STEP_DEG)
        return [index * _HEADING_STEP_DEG for index in range(-most, most + 1)]

    def _turned(self, turn: Array) -> _Rigid:
        """The expected place, turned about the middle of the new map."""
        middle = self._expected(self._middle_m[None])[0]
        return _Rigid(turn @ self._expected.rotation, middle - turn @ self._expected.rotation @ self._middle_m)

    def fit(self, start: _Rigid) -> _Fit:
        """Refine a place; matching lines are sought nearer from step to step."""
        place = start
        for reach_m in _REACHES_M:
            information, vector, *_ = self._normal_equations(place, reach_m)
            # The prior holds the whole transformation, not the step.
            off = self._from_expected(place)
            total = information + self._prior_information
            step = np.asarray(np.linalg.solve(total, vector - self._prior_information @ off), np.float64)
            place = self._moved(place, step)
        information, _, residual_m, matched_m, pairs, groups = self._normal_equations(place, _REACHES_M[-1])
        return _Fit(place, information, residual_m, matched_m, pairs, groups)

    def _from_expected(self, place: _Rigid) -> Array:
        """Shift of the middle and rotation vector (6,) of a place relative to the expected one."""
        shift = place(self._middle_m[None])[0] - self._expected(self._middle_m[None])[0]
        return np.concatenate([shift, _rotation_vector(place.rotation @ self._expected.rotation.T)])

    def _moved(self, place: _Rigid, step: Array) -> _Rigid:
        turn = rotations.to_matrix(rotations.from_rotation_vector(step[3:]))
        middle = place(self._middle_m[None])[0]
        rotation = turn @ place.rotation
        return _Rigid(rotation, middle + step[:3] - rotation @ self._middle_m)

    def _normal_equations(self, place: _Rigid, reach_m: float) -> tuple[Array, Array, float, float, int, int]:
        """Information (6, 6) and vector (6,) on the step, residual, matched length, numbers of pairs and groups."""
        information, vector = np.zeros((6, 6)), np.zeros(6)
        centre = place(self._middle_m[None])[0]
        squares, matched_m, pairs, times = [], 0.0, 0, set()
        for line in self._lines:
            points = place(line.points_m)
            directions, normal = line.directions @ place.rotation.T, place.rotation @ line.normal
            feet = self._targets.feet(points, directions, normal, reach_m)
            usable = (feet.line >= 0) & (feet.beyond_m == 0)
            for target in np.unique(feet.line[usable]).tolist():
                at = (usable & (feet.line == target)).nonzero()[0]
                if len(at) < 3:
                    continue
                across = cross(feet.tangent[at], self._targets.normals[target])
                across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
                across = _without_noise(across)
                axes = np.stack([across, np.broadcast_to(self._targets.normals[target], across.shape)], axis=1)
                gaps = feet.point_m[at] - points[at]
                off = np.einsum("nki,ni->nk", axes, gaps)
                common_m2 = self._target_covariances[target] + place.rotation @ line.covariance_m2 @ place.rotation.T
                inside = np.abs(off[:, 0]) <= reach_m
                if not inside.any():
                    continue
                middle_off = float(np.median(off[inside, 0]))
                # Tukey's weight on the line as a whole: another crack beside it does not pull.
                variance = float(across.mean(axis=0) @ common_m2 @ across.mean(axis=0)) + _SHAPE_SIGMA_M**2
                weight = max(0.0, 1 - middle_off**2 / max(9 * variance, reach_m**2)) ** 2
                part = _pair_equations(points[at] - centre, axes, off, common_m2)
                information += weight * part[0]
                vector += weight * part[1]
                squares.append(off[inside, 0])
                matched_m += _STEP_M * len(at)
                pairs += 1
                times.add(line.seen_ns // _ALIKE_NS)
        residual_m = float(np.sqrt(np.mean(np.concatenate(squares) ** 2))) if squares else math.nan
        return information, vector, residual_m, matched_m, pairs, len(times)

    def distance_m(self, one: _Rigid, other: _Rigid) -> float:
        """How far two places put the new map's lines apart, in the root mean square."""
        points = np.concatenate([line.points_m[:: max(1, len(line.points_m) // 4)] for line in self._lines])
        return float(np.sqrt(np.mean(np.sum((one(points) - other(points)) ** 2, axis=1))))

    def result(self, fit: _Fit) -> Alignment:
        """The alignment of a fit.

        Raises:
            UserError: It is not determined.
        """
        is_known = self._prior.sigma_m <= _MOST_UNCERTAIN_M
        share = fit.matched_m / self._smaller_m if self._smaller_m > 0 else 0.0
        if not is_known and (fit.pairs < 2 or share < _LEAST_SHARE):
            matched = f"only {fit.matched_m:.2f} m of their cracks ({share:.0%}) lie along each other"
            if share >= _LEAST_SHARE:
                matched = "a single crack of each lies along one of the other, and two are needed"
            raise UserError(f"the two maps cannot be aligned: {matched}", _REMEDY)
        alignment = Alignment(
            rotation=fit.place.rotation,
            translation_m=fit.place.translation_m,
            centre_m=fit.place(self._middle_m[None])[0],
            covariance=np.asarray(
                np.linalg.inv(fit.information * (fit.groups / max(fit.pairs, 1)) + self._prior_information), np.float64
            ),
            residual_m=fit.residual_m,
            matched_m=fit.matched_m,
            matched_share=min(1.0, share),
            pairs=fit.pairs,
        )
        self._check(alignment)
        return alignment

    def _check(self, alignment: Alignment) -> None:
        worst, direction = 0.0, np.zeros(3)
        for line in self._lines:
            middle = alignment.to_old(line.points_m[len(line.points_m) // 2][None])[0]
            variances, axes = np.linalg.eigh(alignment.covariance_at(middle))
            if variances[-1] > worst:
                worst, direction = float(variances[-1]), axes[:, -1]
        # The worst direction is often the depth, in which lines measure little and which matters little.
        if math.sqrt(worst) > _MOST_UNCERTAIN_M and self._prior.sigma_m > _MOST_UNCERTAIN_M:
            x, y, z = (direction * np.sign(direction[np.abs(direction).argmax()])).tolist()
            raise UserError(
                f"the cracks do not determine the alignment of the maps: along ({x:.2f}, {y:.2f}, {z:.2f}) its "
                f"standard deviation is {math.sqrt(worst):.2f} m, because the cracks found in both run that way or "
                "are too few",
                _REMEDY,
            )


def _without_noise(across: Array) -> Array:
    """Directions (N, 3) with the part of their spread that mapping errors explain taken out.

    Otherwise a straight line would seem to measure a shift along itself.
    """
    mean = across.mean(axis=0)
    spread = float(((across - mean) ** 2).sum())
    share = len(across) * _DIRECTION_SIGMA_RAD**2 / spread if spread > 0 else 1.0
    return np.asarray(mean + math.sqrt(max(0.0, 1.0 - share)) * (across - mean))


def _pair_equations(arms: Array, axes: Array, off: Array, common_m2: Array) -> tuple[Array, Array]:
    """Information (6, 6) and vector (6,) of a pair of lines on shift and rotation.

    Args:
        arms: (N, 3) vertices relative to the centre.
        axes: (N, 2, 3) directions across the line and along the normal.
        off: (N, 2) distances to the target in these directions.
        common_m2: (3, 3) covariance of the error that all vertices share; it is integrated out.
    """
    directions = axes.reshape(-1, 3)
    jacobian = np.hstack([directions, cross(arms.repeat(2, axis=0), directions)])
    sigma_m = _SHAPE_SIGMA_M * math.sqrt(_ALIKE)
    gaps = off.ravel() / sigma_m
    jacobian, shared = jacobian / sigma_m, directions / sigma_m
    inner = np.linalg.inv(common_m2) + shared.T @ shared
    mixed = jacobian.T @ shared
    information = jacobian.T @ jacobian - mixed @ np.linalg.solve(inner, mixed.T)
    vector = jacobian.T @ gaps - mixed @ np.linalg.solve(inner, shared.T @ gaps)
    return information, vector


def _line(crack: MappedCrack) -> _Line:
    points_m = even(crack.line_m, _STEP_M)
    return _Line(
        points_m, tangents(points_m, TANGENT_REACH), crack.normal, _usable(crack.covariance_m2), crack.first_seen_ns
    )


def _usable(covariance_m2: Array) -> Array:
    """The covariance, bounded so that it can be inverted."""
    if not np.isfinite(covariance_m2).all():
        return np.eye(3)
    return np.asarray(covariance_m2 + 1e-6 * np.eye(3))


def _voters(lines: Sequence[_Line]) -> tuple[Array, Array]:
    points = [line.points_m for line in lines]
    return _thinned(points, [line.directions for line in lines])


def _voters_of(targets: LineSet) -> tuple[Array, Array]:
    return _thinned(targets.lines_m, targets.tangents)


def _thinned(points: Sequence[Array], directions: Sequence[Array]) -> tuple[Array, Array]:
    if not points:
        return np.zeros((0, 3)), np.zeros((0, 3))
    every = max(1, sum(map(len, points)) // _VOTERS)
    return np.concatenate(points)[::every], np.concatenate(directions)[::every]


def _peaks(
    place: _Rigid, voters: tuple[Array, Array], candidates: tuple[Array, Array], search_m: float
) -> list[tuple[float, Array]]:
    """Votes for shifts (3,) within ``search_m``: pairs of vertices of like direction, counted in cells."""
    points, directions = place(voters[0]), voters[1] @ place.rotation.T
    reach = max(1, int(search_m / _CELL_M))
    side = 2 * reach + 1
    counts = np.zeros(side**3)
    for start in range(0, len(points), 200):
        part = slice(start, start + 200)
        alike = np.abs(directions[part] @ candidates[1].T) > math.cos(math.radians(15))
        one, other = alike.nonzero()
        cells = np.round((candidates[0][other] - points[part][one]) / _CELL_M).astype(int) + reach
        cells = cells[((cells >= 0) & (cells < side)).all(axis=1)]
        counts += np.bincount((cells[:, 0] * side + cells[:, 1]) * side + cells[:, 2], minlength=side**3)
    cube = counts.reshape(side, side, side)
    for axis in range(3):
        padded = np.concatenate([np.zeros_like(cube.take([0], axis)), cube, np.zeros_like(cube.take([0], axis))], axis)
        cube = np.sum([padded.take(range(shift, shift + side), axis) for shift in range(3)], axis=0)
    found: list[tuple[float, Array]] = []
    for _ in range(2):
        index = np.unravel_index(int(cube.argmax()), cube.shape)
        votes = float(cube[index])
        if votes <= 0:
            break
        found.append((votes, np.asarray((np.array(index) - reach) * _CELL_M, np.float64)))
        low = [max(0, each - 2) for each in index]
        cube[low[0] : index[0] + 3, low[1] : index[1] + 3, low[2] : index[2] + 3] = 0
    return found


def _rotation_vector(rotation: Array) -> Array:
    """(3,) of a small rotation (3, 3)."""
    return 0.5 * np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )


def _cross_matrix(vector: Array) -> Array:
    x, y, z = vector.tolist()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
