# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Assignment of the lines of a frame to mapped cracks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.alignment import (
    Aligner,
    Match,
    ShiftInformation,
    ShiftMeasurements,
    Similarity,
)
from crack_perception.mapping.association.lines import MAX_TOLERANCE_M, Lines, Mask, map_vertices, view_vertices
from crack_perception.mapping.association.parallel_lines import ParallelLines, find_parallel_lines
from crack_perception.mapping.association.view_lines import ViewLine, ViewLines
from crack_perception.mapping.polylines import largest_eigenvalue
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.track import Track

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# 99.9 % of a chi-square of three degrees of freedom.
_GATE_CHI2 = 16.27
# An alignment that matches this share of the vertices that can be matched needs no alternative.
_CLEARLY_ALIGNED = 0.85
_MAX_HYPOTHESES = 6
_MIN_RUN, _MAX_HOLE = 3, 4
_REACH_SIGMAS = 3.0


@dataclass(frozen=True, eq=False)
class ShiftPrior:
    """Expected shift of a frame against the map before its lines are compared.

    Attributes:
        mean_m, covariance_m2: From the frames of the same source just before.
        view_m2: (3, 3) position covariance that the frame reports; limits what is possible.
    """

    mean_m: Array
    covariance_m2: Array
    view_m2: Array


@dataclass(eq=False)
class Assignment:
    """One line of a frame and the cracks that it shows; the arrays are parts of those of ``Association``.

    Attributes:
        line: The line.
        first: Its first vertex among those of the frame.
        owner: (N,) id of the mapped crack that a vertex belongs to, 0 for none.
        foot: (N,) nearest vertex of that crack.
        across_m: (N, 3) remaining distance between the two across the line, once the frame is aligned.
        information: By owner, information on the remaining common shift of its vertices.
        similarity: Error of the line's position.
    """

    line: ViewLine
    first: int
    owner: npt.NDArray[np.int64]
    foot: Index
    across_m: Array
    information: dict[int, ShiftInformation]
    similarity: Similarity


@dataclass(frozen=True, eq=False)
class Association:
    """All lines of a frame with their assignments.

    Attributes:
        lines: The lines.
        assignments: In the order of the lines.
        across_m: (N, 3) as in ``Assignment``, for the vertices of all lines.
        parallel: Stretches over which two lines run parallel.
    """

    lines: ViewLines
    assignments: list[Assignment]
    across_m: Array
    parallel: list[ParallelLines]


def associate(lines: ViewLines, tracks: Sequence[Track], prior: ShiftPrior, settings: MapSettings) -> Association:
    """Match the lines of a frame, at least one, with the cracks near them."""
    query = view_vertices(lines)
    predicted = Similarity(query.point_m.sum(axis=0) / len(query), prior.mean_m, np.zeros(3), 0.0)
    parallel = find_parallel_lines(lines, settings)
    association = _unassigned(lines, predicted, parallel)
    target, target_m2 = map_vertices(tracks, query, settings)
    if len(target) == 0:
        return association

    total_m2 = prior.view_m2 + target_m2.sum(axis=0) / len(target)
    normal_gate_m = 4 * math.sqrt(largest_eigenvalue(total_m2)) + 0.02
    aligner = Aligner(query, target, min(normal_gate_m, settings.max_offset_m), settings)
    best = _best(aligner, predicted, prior, total_m2)
    if best is not None:
        for assignment in association.assignments:
            assignment.similarity = best.similarity
        _assign(association.assignments, best.match, target, settings)
    _assign_stragglers(
        association.assignments, aligner, target_m2, best.similarity if best is not None else None, prior.view_m2
    )
    _resolve_rivals(association.assignments, parallel)
    return association


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A possible alignment of the frame, the match that it gives, and how credible it is."""

    rating: float
    matched: int
    similarity: Similarity
    match: Match


def _best(aligner: Aligner, predicted: Similarity, prior: ShiftPrior, total_m2: Array) -> _Candidate | None:
    """Return the most credible alignment; None if none is possible."""
    reach_m = _reach(prior.covariance_m2)
    points = aligner.query.point_m

    def rated(start: Similarity, reach: float) -> _Candidate:
        found = aligner.align(start, prior.mean_m, prior.covariance_m2, reach)
        match = aligner.match(points - found.offset_at(points))
        closeness = np.exp(-2 * (match.off_m[:, 0] / aligner.target.tolerance_m[match.nearest]) ** 2)
        surprise = found.surprise(prior.mean_m, prior.covariance_m2, aligner.settings)
        # Three standard deviations away weigh as much as a quarter of the lines unmatched.
        rating = float(closeness[match.matched].sum()) - len(points) * 0.25 * surprise / 9
        return _Candidate(rating, int(np.count_nonzero(match.matched)), found, match)

    best = rated(predicted, reach_m)
    if best.matched < _CLEARLY_ALIGNED * len(points):
        reachable = aligner.match(points - predicted.offset_at(points), _reach(total_m2)).matched
        if best.matched < _CLEARLY_ALIGNED * int(reachable.sum()):
            for start in _hypotheses(aligner, reachable, predicted, total_m2):
                best = max(best, rated(start, MAX_TOLERANCE_M), key=lambda candidate: candidate.rating)
    possible = best.matched > 0 and _mahalanobis(best.similarity.shift_m, total_m2) <= _GATE_CHI2
    return best if possible else None


def _hypotheses(aligner: Aligner, reachable: Mask, predicted: Similarity, total_m2: Array) -> list[Similarity]:
    """Alignments of one line with one mapped crack each, for the most likely pairs."""
    query, target, settings = aligner.query, aligner.target, aligner.settings
    pairs: list[tuple[int, int, Aligner]] = []
    for line in np.unique(query.owner[reachable]):
        part = query.where(query.owner == line)
        for crack in np.unique(target.owner):
            alone = Aligner(part, target.where(target.owner == crack), aligner.normal_gate_m, settings)
            matched = int(alone.match(part.point_m, _reach(total_m2)).matched.sum())
            if matched >= _MIN_RUN:
                pairs.append((matched, len(pairs), alone))
    pairs.sort(key=lambda pair: pair[:2], reverse=True)
    start = Similarity(predicted.centre_m, np.zeros(3), np.zeros(3), 0.0)
    return [alone.align(start, np.zeros(3), total_m2, _reach(total_m2)) for _, _, alone in pairs[:_MAX_HYPOTHESES]]


def _assign_stragglers(
    assignments: list[Assignment],
    aligner: Aligner,
    target_m2: Array,
    similarity: Similarity | None,
    view_m2: Array,
) -> None:
    """Match the lines that the frame's alignment does not match one by one, because cracks have individual errors.

    Stretches that another line of the frame shows already are excluded.

    Args:
        target_m2: (M, 3, 3) covariance of the mapped vertices.
        similarity: The frame's, where it has one.
    """
    target = aligner.target
    for number, assignment in enumerate(assignments):
        if assignment.information:
            continue
        free = np.ones(len(target), dtype=bool)
        for other in assignments:
            for crack in other.information:
                feet = other.foot[other.owner == crack]
                free &= (target.owner != crack) | (target.vertex < feet.min()) | (target.vertex > feet.max())
        if not free.any():
            return
        part = aligner.query.where(aligner.query.owner == number)
        alone = Aligner(part, target.where(free), aligner.normal_gate_m, aligner.settings)
        # The frame's error is as uncertain as the cracks that it was measured against; else as the frame reports.
        expected = similarity or Similarity(part.point_m.mean(axis=0), np.zeros(3), np.zeros(3), 0.0)
        measured = similarity is not None and not free.all()
        error_m2 = target_m2[~free].mean(axis=0) if measured else view_m2
        apart_m2 = target_m2[free].mean(axis=0) + error_m2
        found = alone.align(expected, expected.shift_m, apart_m2, _reach(apart_m2))
        if _mahalanobis(found.shift_m - expected.shift_m, apart_m2) > _GATE_CHI2:
            continue
        match = alone.match(part.point_m - found.offset_at(part.point_m))
        assignment.similarity = found
        _assign([assignment], match, alone.target, aligner.settings)


def _assign(assignments: Sequence[Assignment], match: Match, target: Lines, settings: MapSettings) -> None:
    """Assign the vertices of some lines, which follow each other in the match, to their cracks.

    Stretches that are too short are removed, and short gaps in a stretch are filled.
    """
    owner = np.where(match.matched, target.owner[match.nearest], 0)
    foot, across = target.vertex[match.nearest], match.offset_m
    measured = ShiftMeasurements(match, settings.shape_sigma_m)
    edges = [*((owner[1:] != owner[:-1]).nonzero()[0] + 1).tolist(), len(owner)]
    row = edge = 0
    for assignment in assignments:
        count = len(assignment.line)
        assignment.owner[:], assignment.foot[:] = 0, foot[row : row + count]
        assignment.across_m[:] = across[row : row + count]
        runs: list[_Run] = []
        first = row
        while first < row + count:
            last = min(edges[edge], row + count)
            crack = int(owner[first])
            if crack:
                runs.append((first - row, last - row, crack))
            edge += edges[edge] == last
            first = last
        for start, stop, crack in _joined_runs(runs, min(_MIN_RUN, max(1, count // 2)), assignment):
            assignment.owner[start:stop] = crack
            found = measured.between(row + start, row + stop)
            before = assignment.information.get(crack)
            assignment.information[crack] = found if before is None else before + found
        row += count


_Run = tuple[int, int, int]
"""First vertex, last vertex (exclusive) and crack."""


def _joined_runs(runs: list[_Run], shortest: int, assignment: Assignment) -> list[_Run]:
    """Runs of vertices with one crack after filling short holes and removing runs below ``shortest`` vertices."""
    for crack in sorted({crack for _, _, crack in runs}):
        joined: list[_Run] = []
        for run in runs:
            if joined and joined[-1][2] == run[2] == crack and run[0] - joined[-1][1] <= _MAX_HOLE:
                first, stop, _ = joined.pop()
                start, last, _ = run
                foot = assignment.foot
                step = (foot[start] - foot[stop - 1]) / (start - stop + 1)
                foot[stop:start] = np.rint(np.arange(1, start - stop + 1) * step + foot[stop - 1])
                assignment.across_m[stop:start] = 0.0
                run = (first, last, crack)
            joined.append(run)
        runs = [run for run in joined if run[2] != crack or run[1] - run[0] >= shortest]
    return sorted(runs, key=lambda run: (run[2], run[0]))


def _resolve_rivals(assignments: list[Assignment], parallel: list[ParallelLines]) -> None:
    """If two parallel lines were assigned to one crack, keep only the nearer one."""
    parts = {(pair.line, pair.other): pair.at for pair in parallel}
    for first, second in parts:
        if first > second:
            continue
        a, b = assignments[first], assignments[second]
        for crack in sorted(a.information.keys() & b.information.keys()):
            at_a, at_b = (
                part[assignment.owner[part] == crack]
                for assignment, part in ((a, parts[first, second]), (b, parts[second, first]))
            )
            if not len(at_a) or not len(at_b):
                continue
            distance_a = float(np.linalg.norm(a.across_m[at_a], axis=1).mean())
            distance_b = float(np.linalg.norm(b.across_m[at_b], axis=1).mean())
            loser, part = (a, at_a) if distance_a > distance_b else (b, at_b)
            loser.owner[part] = 0
            if not np.any(loser.owner == crack):
                del loser.information[crack]


def _unassigned(lines: ViewLines, similarity: Similarity, parallel: list[ParallelLines]) -> Association:
    count = len(lines.point_m)
    owner, foot, across = np.zeros(count, np.int64), np.zeros(count, np.intp), np.zeros((count, 3))
    assignments = [
        Assignment(line, first, owner[first:last], foot[first:last], across[first:last], {}, similarity)
        for line, (first, last) in zip(lines, lines.spans, strict=True)
    ]
    return Association(lines, assignments, across, parallel)


def _reach(covariance_m2: Array) -> float:
    return min(max(_REACH_SIGMAS * math.sqrt(largest_eigenvalue(covariance_m2)), 0.06), 0.3)


def _mahalanobis(offset_m: Array, covariance_m2: Array) -> float:
    return float(offset_m @ np.linalg.solve(covariance_m2, offset_m))
