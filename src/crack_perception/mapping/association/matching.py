"""Which part of which mapped crack every line of a frame shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.alignment import (
    Aligner,
    Index,
    Lines,
    Mask,
    Match,
    ShiftInformation,
    Similarity,
    shift_information,
)
from crack_perception.mapping.association.nearby_lines import MAX_TOLERANCE_M, map_vertices, view_vertices
from crack_perception.mapping.association.parallel_lines import ParallelLines, find_parallel_lines
from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.polylines import runs
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.track import Track

Array = npt.NDArray[np.float64]

# 99.9 % of a chi-square of three degrees of freedom.
_GATE_CHI2 = 16.27
# With this share of what could be matched, an alignment needs no rival.
_CLEARLY_ALIGNED = 0.85
_MAX_HYPOTHESES = 6
_MIN_RUN, _MAX_HOLE = 3, 4
_REACH_SIGMAS = 3.0


@dataclass(frozen=True, eq=False)
class ShiftPrior:
    """What is known of a frame's shift against the map before its lines are looked at.

    Attributes:
        mean_m, covariance_m2: From the frames of the same source just before.
        view_m2: (3, 3) what the frame says of its own error; decides what is impossible.
    """

    mean_m: Array
    covariance_m2: Array
    view_m2: Array


@dataclass(eq=False)
class Assignment:
    """One line of a frame and what it shows.

    Attributes:
        line: The line.
        owner: (N,) id of the mapped crack that a vertex belongs to, 0 for none.
        foot: (N,) vertex of that crack next to it.
        across_m: (N, 3) what is left between the two across the line, once the frame is aligned.
        information: By owner, on what its vertices are still off by in common.
        similarity: How the line is off.
    """

    line: ViewLine
    owner: npt.NDArray[np.int64]
    foot: Index
    across_m: Array
    information: dict[int, ShiftInformation]
    similarity: Similarity


@dataclass(frozen=True, eq=False)
class Association:
    """All lines of a frame.

    Attributes:
        assignments: In the order of the lines.
        parallel: Where two lines run side by side.
    """

    assignments: list[Assignment]
    parallel: list[ParallelLines]


def associate(
    lines: Sequence[ViewLine], tracks: Sequence[Track], prior: ShiftPrior, settings: MapSettings
) -> Association:
    """Match the lines of a frame, at least one, with the cracks that are near."""
    query = view_vertices(lines)
    centre = query.point_m.mean(axis=0)
    predicted = Similarity(centre, prior.mean_m, np.zeros(3), 0.0)
    beside = find_parallel_lines(lines, settings)
    target, target_m2 = map_vertices(tracks, query, settings)
    if len(target) == 0:
        return Association([_nothing(line, predicted) for line in lines], beside)

    total_m2 = prior.view_m2 + target_m2.mean(axis=0)
    normal_gate_m = 4 * float(np.sqrt(np.linalg.eigvalsh(total_m2)[-1])) + 0.02
    aligner = Aligner(query, target, min(normal_gate_m, settings.max_offset_m), settings)
    similarity = _best(aligner, predicted, prior, total_m2)
    assignments = [_nothing(line, similarity or predicted) for line in lines]
    if similarity is not None:
        match = aligner.match(query.point_m - similarity.offset_at(query.point_m))
        for number, assignment in enumerate(assignments):
            _assign(assignment, match, query.owner == number, target, settings)
    _assign_stragglers(assignments, aligner, target_m2, similarity, prior.view_m2)
    _settle_rivals(assignments, beside)
    return Association(assignments, beside)


def _best(aligner: Aligner, predicted: Similarity, prior: ShiftPrior, total_m2: Array) -> Similarity | None:
    """The most credible alignment; None when none is possible."""
    reach_m = _reach(prior.covariance_m2)
    points = aligner.query.point_m

    def rated(start: Similarity, reach: float) -> tuple[float, int, Similarity]:
        found = aligner.align(start, prior.mean_m, prior.covariance_m2, reach)
        match = aligner.match(points - found.offset_at(points))
        closeness = np.exp(-2 * (match.off_m[:, 0] / aligner.target.tolerance_m[match.nearest]) ** 2)
        surprise = found.surprise(prior.mean_m, prior.covariance_m2, aligner.settings)
        # Three standard deviations away weigh as much as a quarter of the lines unmatched.
        rating = float(closeness[match.matched].sum()) - len(points) * 0.25 * surprise / 9
        return rating, int(match.matched.sum()), found

    best = rated(predicted, reach_m)
    if best[1] < _CLEARLY_ALIGNED * len(points):
        reachable = aligner.match(points - predicted.offset_at(points), _reach(total_m2)).matched
        if best[1] < _CLEARLY_ALIGNED * int(reachable.sum()):
            for start in _hypotheses(aligner, reachable, predicted, total_m2):
                best = max(best, rated(start, MAX_TOLERANCE_M), key=lambda rating: rating[0])
    possible = best[1] > 0 and _mahalanobis(best[2].shift_m, total_m2) <= _GATE_CHI2
    return best[2] if possible else None


def _hypotheses(aligner: Aligner, reachable: Mask, predicted: Similarity, total_m2: Array) -> list[Similarity]:
    """Alignments of one line with one mapped crack each, for the pairs that are likeliest to be one."""
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
    """Match lines by themselves that the frame's alignment leaves over: the cracks have errors of their own.

    What another line of the frame shows already is not theirs.

    Args:
        target_m2: (M, 3, 3) covariance of the mapped vertices.
        similarity: The frame's, where it has one.
    """
    target = aligner.target
    for number, assignment in enumerate(assignments):
        if np.any(assignment.owner):
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
        # The frame's error is known as well as the cracks are that tell it; else it is as the frame says.
        expected = similarity or Similarity(part.point_m.mean(axis=0), np.zeros(3), np.zeros(3), 0.0)
        told = similarity is not None and not free.all()
        error_m2 = target_m2[~free].mean(axis=0) if told else view_m2
        apart_m2 = target_m2[free].mean(axis=0) + error_m2
        found = alone.align(expected, expected.shift_m, apart_m2, _reach(apart_m2))
        if _mahalanobis(found.shift_m - expected.shift_m, apart_m2) > _GATE_CHI2:
            continue
        match = alone.match(part.point_m - found.offset_at(part.point_m))
        assignment.similarity = found
        _assign(assignment, match, np.ones(len(part), dtype=bool), alone.target, aligner.settings)


def _assign(assignment: Assignment, match: Match, part: Mask, target: Lines, settings: MapSettings) -> None:
    """Give the vertices of one line, ``part`` of the match, to their cracks, in stretches worth the name."""
    matched = match.matched[part]
    nearest = match.nearest[part]
    owner = np.where(matched, target.owner[nearest], 0)
    foot = target.vertex[nearest].copy()
    across = match.offset_m[part]
    shortest = min(_MIN_RUN, max(1, len(owner) // 2))
    for crack in sorted(set(owner[owner > 0].tolist())):
        stretches = runs(owner == crack)
        for (_, stop), (start, _) in pairwise(stretches):
            hole = slice(stop, start)
            if start - stop <= _MAX_HOLE and not owner[hole].any():
                owner[hole] = crack
                foot[hole] = np.rint(np.linspace(foot[stop - 1], foot[start], start - stop + 2)[1:-1])
                across[hole] = 0.0
        for start, stop in runs(owner == crack):
            if stop - start < shortest:
                owner[start:stop] = 0
    assignment.owner, assignment.foot, assignment.across_m = owner, foot, across
    whole = part.nonzero()[0]
    assignment.information = {}
    for crack in sorted(set(owner[owner > 0].tolist())):
        at = np.zeros(len(part), dtype=bool)
        at[whole[(owner == crack) & matched]] = True
        assignment.information[crack] = shift_information(match, at, settings.shape_sigma_m)


def _settle_rivals(assignments: list[Assignment], parallel: list[ParallelLines]) -> None:
    """Where two lines side by side were given to one crack, leave it to the nearer one."""
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


def _nothing(line: ViewLine, similarity: Similarity) -> Assignment:
    count = len(line)
    return Assignment(line, np.zeros(count, np.int64), np.zeros(count, np.intp), np.zeros((count, 3)), {}, similarity)


def _reach(covariance_m2: Array) -> float:
    return min(max(_REACH_SIGMAS * math.sqrt(np.linalg.eigvalsh(covariance_m2)[-1]), 0.06), 0.3)


def _mahalanobis(offset_m: Array, covariance_m2: Array) -> float:
    return float(offset_m @ np.linalg.solve(covariance_m2, offset_m))
