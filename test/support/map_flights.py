# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Synthetic flights along a wall with known cracks: observations of each frame, with errors of pose and range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from crack_perception.geometry import rotations
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.mapping.polylines import arc_lengths, even_positions, interpolated

RANGE_M = 3.0
VIEW_M = np.array([3.4, 1.9])
GSD_MM = 1.8
CHI2_95_OF_TWO = 5.991


@dataclass(frozen=True)
class Place:
    """Pose of the wall: transform from wall coordinates (u, v, outward) to the map."""

    rotation: np.ndarray = field(default_factory=lambda: np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]]))
    origin_m: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def points(self, points: np.ndarray) -> np.ndarray:
        return points @ self.rotation.T + self.origin_m

    def vectors(self, vectors: np.ndarray) -> np.ndarray:
        return vectors @ self.rotation.T

    def back(self, points: np.ndarray) -> np.ndarray:
        return (points - self.origin_m) @ self.rotation


@dataclass(frozen=True)
class Noise:
    """Standard deviations and correlation times of pose and range errors."""

    attitude_rad: float = 0.0175
    position_m: float = 0.02
    range_share: float = 0.02
    white_share: float = 0.1
    correlation_s: float = 4.0
    shape_m: float = 0.0015
    missed: float = 0.2
    broken: float = 0.3
    """Share of the lines that are observed in two pieces."""
    false_per_frame: float = 0.0

    @property
    def covariance(self) -> np.ndarray:
        """Return the covariance (3, 3) of a line's position in wall coordinates."""
        lateral = (RANGE_M * self.attitude_rad) ** 2 + self.position_m**2
        return np.diag([lateral, lateral, (RANGE_M * self.range_share) ** 2 + self.position_m**2])


def crack(rng: np.random.Generator, start: np.ndarray, heading_rad: float, length_m: float) -> np.ndarray:
    """Return a winding line (N, 2) with vertices every centimetre."""
    count = int(length_m / 0.01)
    turns = np.convolve(rng.normal(0, 0.35, count + 40), np.ones(20) / 20, "same")[20:-20]
    heading = heading_rad + turns
    steps = 0.01 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return np.vstack([start, start + np.cumsum(steps, axis=0)])


def wall_cracks(rng: np.random.Generator, count: int, size_m: tuple[float, float]) -> list[np.ndarray]:
    """Return cracks on a wall, each with vertices (N, 2) and at least 15 cm from the others."""
    cracks: list[np.ndarray] = []
    for _ in range(100 * count):
        line = crack(rng, rng.uniform(0.3, np.array(size_m) - 0.3), rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 2.5))
        inside = np.all((line > 0.1) & (line < np.array(size_m) - 0.1))
        apart = all(np.linalg.norm(line[::5, None] - other[None, ::5], axis=2).min() > 0.15 for other in cracks)
        if inside and apart:
            cracks.append(line)
        if len(cracks) == count:
            return cracks
    raise AssertionError("the wall is too small for so many cracks")


def passes(size_m: tuple[float, float], count: int, rate_hz: float = 5.0, speed_m_s: float = 0.5) -> list[np.ndarray]:
    """Return rows (time, u, v) of the view's centre for ``count`` passes along the wall, one minute apart."""
    rows = []
    duration_s = size_m[0] / speed_m_s
    for number in range(count):
        times = np.arange(0, duration_s, 1 / rate_hz)
        u = speed_m_s * times if number % 2 == 0 else size_m[0] - speed_m_s * times
        rows.append(np.stack([times + number * (duration_s + 60), u, np.full(len(times), size_m[1] / 2)], axis=1))
    return rows


def gauss_markov(
    rng: np.random.Generator, times_s: np.ndarray, white_share: float, correlation_s: float, components: int
) -> np.ndarray:
    """Return unit errors (N, components) at these times: drift plus white noise."""
    drift = np.empty((len(times_s), components))
    drift[0] = rng.standard_normal(components)
    for i in range(1, len(times_s)):
        memory = np.exp(-(times_s[i] - times_s[i - 1]) / correlation_s)
        drift[i] = memory * drift[i - 1] + np.sqrt(1 - memory**2) * rng.standard_normal(components)
    return np.sqrt(1 - white_share) * drift + np.sqrt(white_share) * rng.standard_normal(drift.shape)


def flight(
    rng: np.random.Generator,
    cracks: Sequence[np.ndarray],
    path: np.ndarray,
    noise: Noise,
    place: Place | None = None,
    source: str = "drone",
) -> Iterator[FrameObservation]:
    """Return the frames along a path (N, 3) of (time, u, v)."""
    place = place or Place()
    errors = gauss_markov(rng, path[:, 0], noise.white_share, noise.correlation_s, 7)
    for (time_s, *centre), error in zip(path, errors, strict=True):
        view = _View(np.array(centre), noise, error)
        observations = []
        for number, line in enumerate(cracks):
            for piece in _seen(rng, line, view, noise):
                width = np.full(len(piece), 0.4 + 0.1 * (number % 5))
                observations.append(_observation(rng, piece, width, view, noise, place))
        for _ in range(rng.poisson(noise.false_per_frame)):
            start = view.centre + rng.uniform(-0.4, 0.4, 2) * VIEW_M
            line = crack(rng, start, rng.uniform(0, 7), rng.uniform(0.1, 0.4))
            observations.append(_observation(rng, line, np.full(len(line), 0.3), view, noise, place))
        corners = view.centre + 0.5 * VIEW_M * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        yield FrameObservation(round(time_s * 1e9), source, place.points(view.measured(corners)), tuple(observations))


@dataclass(frozen=True)
class _View:
    centre: np.ndarray
    noise: Noise
    error: np.ndarray

    def measured(self, points: np.ndarray) -> np.ndarray:
        """Return the measured wall coordinates (N, 3) of points (N, 2) of the wall."""
        noise, e = self.noise, self.error
        relative = points - self.centre
        roll = noise.attitude_rad * e[2]
        turned = relative + roll * np.stack([-relative[:, 1], relative[:, 0]], axis=1)
        lateral = RANGE_M * noise.attitude_rad * e[:2] + noise.position_m * e[3:5]
        scaled = turned * (1 + noise.range_share * e[6])
        outward = -RANGE_M * noise.range_share * e[6] + noise.position_m * e[5]
        return np.column_stack([self.centre + scaled + lateral, np.full(len(points), outward)])


def _seen(rng: np.random.Generator, line: np.ndarray, view: _View, noise: Noise) -> list[np.ndarray]:
    inside = np.all(np.abs(line - view.centre) < 0.48 * VIEW_M, axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]])))
    pieces = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start < 10 or rng.random() < noise.missed:
            continue
        if rng.random() < noise.broken and stop - start > 60:
            middle = rng.integers(start + 20, stop - 30)
            pieces += [line[start:middle], line[middle + 8 : stop]]
        else:
            pieces.append(line[start:stop])
    return pieces


def _observation(
    rng: np.random.Generator, line: np.ndarray, width_mm: np.ndarray, view: _View, noise: Noise, place: Place
) -> CrackObservation:
    places = even_positions(arc_lengths(line), 0.013)
    points = view.measured(interpolated(line, places))
    points[:, :2] += noise.shape_m * rng.standard_normal((len(points), 2))
    if rng.random() < 0.5:
        points = points[::-1]
    widths = interpolated(width_mm, places) + rng.normal(0, 0.05, len(places))
    # Away from the middle of the image, errors of direction and scale also shift a detection.
    x, y = line.mean(axis=0) - view.centre
    covariance = noise.covariance.copy()
    covariance[:2, :2] += noise.attitude_rad**2 * np.array([[y * y, -x * y], [-x * y, x * x]])
    radial = np.array([x, y, -RANGE_M])
    covariance += noise.range_share**2 * np.outer(radial, radial)
    covariance[2, 2] -= (RANGE_M * noise.range_share) ** 2
    return CrackObservation(
        place.points(points),
        widths,
        np.full(len(places), 0.05),
        place.vectors(np.array([0.0, 0.0, 1.0])),
        place.rotation @ covariance @ place.rotation.T,
        GSD_MM,
        float(rng.uniform(0.7, 0.95)),
    )


def moved(frame_observation: FrameObservation, rotation_vector: np.ndarray, shift_m: np.ndarray) -> FrameObservation:
    """Transform a frame to another map frame."""
    turn = rotations.to_matrix(rotations.from_rotation_vector(rotation_vector))
    return replace(
        frame_observation,
        footprint_m=frame_observation.footprint_m @ turn.T + shift_m,
        observations=tuple(
            replace(
                seen,
                line_m=seen.line_m @ turn.T + shift_m,
                normal=turn @ seen.normal,
                covariance_m2=turn @ seen.covariance_m2 @ turn.T,
            )
            for seen in frame_observation.observations
        ),
    )


class Located(Protocol):
    """Mapped crack or single observation."""

    @property
    def line_m(self) -> np.ndarray: ...

    @property
    def covariance_m2(self) -> np.ndarray: ...


@dataclass
class MapErrors:
    """Errors of a map against the truth.

    Attributes:
        recall: Share of the true length that is covered by a mapped line.
        duplicates: Share of the mapped length along a stretch that another line covers as well.
        false_m: Mapped length that is not near any crack [m].
        false_objects: Number of mapped cracks that are mostly false.
        across_m: Distances of mapped vertices across the true lines [m].
        inside_95: For each mapped crack, whether its middle is within its 95 % ellipse, across and along the normal.
        length_m: Length of all mapped lines [m].
    """

    recall: float
    duplicates: float
    false_m: float
    false_objects: int
    across_m: np.ndarray
    inside_95: list[bool]
    length_m: float


def map_errors(
    mapped: Sequence[Located], cracks: Sequence[np.ndarray], place: Place | None = None, near_m: float = 0.12
) -> MapErrors:
    """Compare a map, or the observations of one frame, with the true cracks."""
    place = place or Place()
    truth = np.vstack([line[::2] for line in cracks])
    tangent = np.vstack([np.gradient(line, axis=0)[::2] for line in cracks])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    covered = np.zeros(len(truth))
    false_m, total_m, objects = 0.0, 0.0, 0
    across: list[np.ndarray] = [np.zeros(0)]
    inside: list[bool] = []
    for item in sorted(mapped, key=lambda item: -arc_lengths(item.line_m)[-1]):
        line = place.back(item.line_m)
        step = np.append(np.diff(arc_lengths(line)), 0.0)
        distance = np.linalg.norm(line[:, None, :2] - truth[None], axis=2)
        nearest = distance.argmin(axis=1)
        close = distance.min(axis=1) < near_m
        total_m += float(step.sum())
        false_m += float(step[~close].sum())
        objects += int(close.mean() < 0.5)
        if not close.any():
            continue
        sideways = np.stack([-tangent[nearest, 1], tangent[nearest, 0]], axis=1)
        offset = np.einsum("ij,ij->i", line[:, :2] - truth[nearest], sideways)
        across.append(offset[close])
        covered[distance.min(axis=0) < 0.06 + np.median(np.abs(offset[close]))] += 1
        middle = int(np.flatnonzero(close)[close.sum() // 2])
        error = np.array([offset[middle], line[middle, 2]])
        axes = np.array([[*sideways[middle], 0.0], [0.0, 0.0, 1.0]]) @ place.rotation.T
        inside.append(bool(error @ np.linalg.solve(axes @ item.covariance_m2 @ axes.T, error) < CHI2_95_OF_TWO))
    doubled = float(np.maximum(covered - 1, 0).sum() / max(covered.sum(), 1))
    return MapErrors(
        float((covered > 0).mean()), doubled, false_m, objects, np.abs(np.concatenate(across)), inside, total_m
    )
