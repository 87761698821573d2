# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Lines of one frame, prepared for the map: evenly spaced, with usable covariances, or refused with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.observation import CrackObservation
from crack_perception.mapping.polylines import even_positions, joined_tangents
from crack_perception.mapping.settings import MapSettings

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

_MAX_SIGMA_M = 3.0
"""A line whose position has a larger standard deviation is not mapped."""
_MAX_VERTICES = 2000
"""Maximum number of vertices of all lines of a frame (40 m by default), which limits time and memory."""
_MAX_COORDINATE_M = 1e7
_REPEATED_M = 1e-6


class Refused(Exception):
    """Raised for an observation that cannot be mapped; the text is the reason, equal for all of a kind."""


@dataclass(frozen=True, eq=False)
class ViewLine:
    """One crack line of one frame, N evenly spaced vertices.

    Attributes:
        point_m, tangent: (N, 3) each.
        normal: (3,) unit vector.
        covariance_m2: (3, 3) positive definite, of its centre.
        width_mm, width_sigma_mm: (N,) ``nan`` where unknown.
        gsd_mm: Ground sampling distance, ``nan`` where unknown.
        score: Probability that it is a crack.
    """

    point_m: Array
    tangent: Array
    normal: Array
    covariance_m2: Array
    width_mm: Array
    width_sigma_mm: Array
    gsd_mm: float
    score: float

    def __len__(self) -> int:
        return len(self.point_m)


@dataclass(frozen=True, eq=False)
class ViewLines(Sequence[ViewLine]):
    """All L lines of a frame, their N vertices one after the other; iterate for single lines.

    Attributes:
        bounds: L + 1 rows: line ``i`` has the vertices from ``bounds[i]`` to before ``bounds[i + 1]``.
        first_of, last_of: (N,) first and last vertex of the line that a vertex belongs to.
        point_m, tangent: (N, 3) each.
        normal: (L, 3) unit vectors.
        covariance_m2: (L, 3, 3) positive definite, of the lines' centres.
        width_mm, width_sigma_mm: (N,) ``nan`` where unknown.
        gsd_mm: (L,) ground sampling distances, ``nan`` where unknown.
        score: L probabilities that a line is a crack.
    """

    bounds: list[int]
    first_of: Index
    last_of: Index
    point_m: Array
    tangent: Array
    normal: Array
    covariance_m2: Array
    width_mm: Array
    width_sigma_mm: Array
    gsd_mm: Array
    score: list[float]

    @cached_property
    def line_of(self) -> Index:
        """(N,) number of the line that a vertex belongs to."""
        return np.repeat(np.arange(len(self.score)), np.diff(self.bounds))

    @cached_property
    def centre_m(self) -> Array:
        """(L, 3) means of the lines' vertices."""
        return np.stack([self.point_m[a:b].sum(axis=0) / (b - a) for a, b in self.spans])

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """First and last vertex (exclusive) of each line."""
        return list(zip(self.bounds[:-1], self.bounds[1:], strict=True))

    @cached_property
    def _lines(self) -> list[ViewLine]:
        return [
            ViewLine(
                self.point_m[a:b],
                self.tangent[a:b],
                self.normal[number],
                self.covariance_m2[number],
                self.width_mm[a:b],
                self.width_sigma_mm[a:b],
                float(self.gsd_mm[number]),
                self.score[number],
            )
            for number, (a, b) in enumerate(self.spans)
        ]

    def __len__(self) -> int:
        return len(self.score)

    @overload
    def __getitem__(self, number: int) -> ViewLine: ...

    @overload
    def __getitem__(self, number: slice) -> list[ViewLine]: ...

    def __getitem__(self, number: int | slice) -> ViewLine | list[ViewLine]:
        return self._lines[number]

    def __iter__(self) -> Iterator[ViewLine]:
        return iter(self._lines)


_NO_LINES = ViewLines(
    [0],
    np.zeros(0, np.intp),
    np.zeros(0, np.intp),
    np.zeros((0, 3)),
    np.zeros((0, 3)),
    np.zeros((0, 3)),
    np.zeros((0, 3, 3)),
    np.zeros(0),
    np.zeros(0),
    np.zeros(0),
    [],
)


@dataclass(eq=False)
class _Raw:
    """An observation whose parts have the right shapes.

    Attributes:
        along_m: (N,) distances of the vertices along the line, empty until they are known.
        covariance_m2: (3, 3), not checked yet.
    """

    point_m: Array
    width_mm: Array
    width_sigma_mm: Array
    normal: Array
    covariance_m2: Array
    gsd_mm: float
    score: float
    along_m: Array


def view_lines(observations: Sequence[CrackObservation], settings: MapSettings, refused: Counter[str]) -> ViewLines:
    """Prepare the usable lines in an order that is independent of the input order; count the others by reason."""
    raw: list[_Raw] = []
    for observation in observations:
        try:
            raw.append(_raw(observation))
        except Refused as reason:
            refused[str(reason)] += 1
    _measure(raw)
    checked: list[tuple[tuple[float, ...], _Raw, Array]] = []
    for each, covariance in zip(raw, _usable_covariances(raw, settings.position_floor_m), strict=True):
        try:
            _check_length(each, settings)
            if isinstance(covariance, Refused):
                raise covariance
        except Refused as reason:
            refused[str(reason)] += 1
            continue
        order = (-_vertex_count(each, settings), -each.score, *each.point_m[0].tolist())
        checked.append((order, each, covariance))
    checked.sort(key=lambda item: item[0])
    total = used = 0
    for order, _, _ in checked:
        total -= int(order[0])
        used += total <= _MAX_VERTICES
    if used < len(checked):
        refused["a frame shows more lines than can be mapped in time"] += len(checked) - used
        del checked[used:]
    if not checked:
        return _NO_LINES
    return _resampled([each for _, each, _ in checked], np.stack([each for _, _, each in checked]), settings)


def _raw(observation: CrackObservation) -> _Raw:
    """Convert an observation to arrays.

    Raises:
        Refused: A part does not have the right shape or range.
    """
    line = np.asarray(observation.line_m, dtype=np.float64)
    if line.ndim != 2 or line.shape[1] != 3:
        raise Refused("a line is not made of points in space")
    width = np.asarray(observation.width_mm, np.float64)
    sigma = np.asarray(observation.width_sigma_mm, np.float64)
    if not width.shape == sigma.shape == (len(line),):
        raise Refused("a line does not have one width per vertex")
    if len(line) < 2:
        raise Refused("a line has fewer than two usable points")
    if not 0 <= observation.score <= 1:
        raise Refused("a score is not a probability")
    normal = np.asarray(observation.normal, dtype=np.float64)
    length = float(np.sqrt(normal @ normal)) if normal.shape == (3,) else np.nan
    if not 1e-6 < length < np.inf:
        raise Refused("a normal has no direction")
    covariance = np.asarray(observation.covariance_m2, dtype=np.float64)
    if covariance.shape != (3, 3):
        raise Refused("a covariance is not finite")
    gsd_mm = float(observation.gsd_mm_per_px)
    return _Raw(
        line,
        width,
        sigma,
        normal / length,
        covariance,
        gsd_mm if 0 < gsd_mm < np.inf else float("nan"),
        float(observation.score),
        np.zeros(0),
    )


def _measure(raw: list[_Raw]) -> None:
    """Set the distances along the lines; remove vertices that are repeated or out of range."""
    if not raw:
        return
    bounds = [0]
    for each in raw:
        bounds.append(bounds[-1] + len(each.point_m))
    points = np.concatenate([each.point_m for each in raw])
    steps = points[1:] - points[:-1]
    lengths = np.sqrt(np.einsum("ij,ij->i", steps, steps))
    lengths[np.array(bounds[1:-1], np.intp) - 1] = np.inf
    usable = np.abs(points).max() < _MAX_COORDINATE_M and lengths.min() > _REPEATED_M
    for each, first, last in zip(raw, bounds[:-1], bounds[1:], strict=True):
        if not usable:
            _repair(each)
            continue
        along = np.zeros(last - first)
        lengths[first : last - 1].cumsum(out=along[1:])
        each.along_m = along


def _repair(raw: _Raw) -> None:
    """Remove vertices that are repeated or out of range; the line may end up without any."""
    keep = np.all(np.abs(raw.point_m) < _MAX_COORDINATE_M, axis=1)
    points = raw.point_m[keep]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    fresh = np.append(True, steps > _REPEATED_M)[: len(points)]
    kept = keep.nonzero()[0][fresh]
    raw.along_m = np.append(0.0, np.cumsum(steps))[: len(points)][fresh]
    raw.point_m, raw.width_mm, raw.width_sigma_mm = raw.point_m[kept], raw.width_mm[kept], raw.width_sigma_mm[kept]


def _check_length(raw: _Raw, settings: MapSettings) -> None:
    if len(raw.point_m) < 2:
        raise Refused("a line has fewer than two usable points")
    length_m = float(raw.along_m[-1])
    if length_m < settings.min_length_m:
        raise Refused("a line is too short to be mapped")
    if length_m > (_MAX_VERTICES - 2) * settings.step_m:
        raise Refused("a line is longer than any view")


def _vertex_count(raw: _Raw, settings: MapSettings) -> int:
    return max(2, round(float(raw.along_m[-1]) / settings.step_m) + 1)


def _resampled(lines: list[_Raw], covariance_m2: Array, settings: MapSettings) -> ViewLines:
    """The lines with evenly spaced vertices."""
    places = [even_positions(each.along_m, settings.step_m) for each in lines]
    counts = np.array([len(place) for place in places])
    sizes = np.array([len(each.point_m) for each in lines])
    bounds = np.append(0, counts.cumsum())
    first_of = bounds[:-1].repeat(counts)
    last_of = (bounds[1:] - 1).repeat(counts)
    # As ``interpolated`` does, for all lines at once.
    local = np.concatenate(places)
    low = np.minimum(local.astype(int), (sizes - 2).repeat(counts))
    share = (local - low)[:, None]
    row = (sizes.cumsum() - sizes).repeat(counts)
    raw_points = np.concatenate([each.point_m for each in lines])
    points = (1 - share) * raw_points[row + low] + share * raw_points[row + low + 1]
    nearest = row + (local + 0.5).astype(int)
    width_mm = np.concatenate([each.width_mm for each in lines])[nearest]
    sigma_mm = np.concatenate([each.width_sigma_mm for each in lines])[nearest]
    known = (width_mm > 0) & (width_mm < np.inf) & (sigma_mm > 0) & (sigma_mm < np.inf)
    width_mm[~known] = sigma_mm[~known] = np.nan
    return ViewLines(
        bounds.tolist(),
        first_of,
        last_of,
        points,
        joined_tangents(points, first_of, last_of),
        np.stack([each.normal for each in lines]),
        covariance_m2,
        width_mm,
        sigma_mm,
        np.array([each.gsd_mm for each in lines]),
        [each.score for each in lines],
    )


def _usable_covariances(raw: list[_Raw], floor_m: float) -> list[Array | Refused]:
    """The covariances (3, 3) with standard deviations of at least ``floor_m``, or why they cannot be used."""
    if not raw:
        return []
    matrices = np.stack([each.covariance_m2 for each in raw])
    finite = np.logical_and.reduce(np.isfinite(matrices.reshape(-1, 9)), axis=1)
    matrices[~finite] = np.eye(3)
    values, axes = np.linalg.eigh(0.5 * (matrices + matrices.transpose(0, 2, 1)))
    floored = (axes * np.maximum(values, floor_m**2)[:, None]) @ axes.transpose(0, 2, 1)
    results: list[Array | Refused] = []
    for is_finite, (lowest, _, highest), matrix in zip(finite.tolist(), values.tolist(), floored, strict=True):
        if not is_finite:
            results.append(Refused("a covariance is not finite"))
        elif highest > _MAX_SIGMA_M**2:
            results.append(Refused("a position is practically unknown"))
        elif lowest < -0.1 * max(highest, floor_m**2):
            results.append(Refused("a covariance has a negative variance"))
        else:
            results.append(matrix)
    return results
