# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cracks of two surveys that are one crack, compared by length along their common line.

Ids mean nothing here: one crack of a survey may be two in the other. Lines that follow each other across short gaps
are joined to chains; chains that lie along each other for a part of their length are a family. Of each chain it is
known, step by step, whether the other survey has a line there too, and whether it has looked there at all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.polylines import cross, interpolated
from crack_perception.report.comparison.lines import Chain, LineSet, chains, runs_of, sampled
from crack_perception.report.comparison.survey import Survey

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

STEP_M = 0.005
GAP_M = 0.1
"""A gap in a line that is no longer counts as fragmentation, not as a change."""
_BEND_RAD = math.radians(20)
_SHAPE_SIGMA_M = 0.005
_ALIKE_STEPS = 16.0
# Reach before a family's own shift is known, and after.
_FIRST_REACH_M = (0.03, 0.12)
_LAST_REACH_M = (0.015, 0.04)
# Vertices by which the place on a line may jump from one step to the next where a chain follows it.
_FOLLOWED_VERTICES = 3.0
_LEAST_COMMON_M = 0.03
_LEAST_COMMON_SHARE = 0.3
# Two lines beside the same line of the other survey, one of them so much wider: only one is the same crack.
_OTHER_WIDTH_RATIO = 1.6
# The same where one of them is so much farther away, before it is shifted onto the line.
_FARTHER_M = 0.04


@dataclass(frozen=True, eq=False)
class Track:
    """A chain of one survey at even steps, in the old frame, beside the other survey.

    Attributes:
        points_m: (N, 3).
        line: (N,) index of the survey's crack at a step, -1 in the gap between two.
        position: (N,) fractional vertex index in that crack.
        other: (N,) index of the other survey's crack beside it, -1 where there is none.
        other_position: (N,) fractional vertex index there, or in ``near``.
        near: (N,) index of the nearest crack of the other survey within the reach that position errors need.
        shown: (N,) whether the other survey's images have shown the place.
        step_m: Length of a step.
    """

    points_m: Array
    line: Index
    position: Array
    other: Index
    other_position: Array
    near: Index
    shown: Mask
    step_m: float

    @property
    def covered_m(self) -> float:
        """Length beside the other survey's lines."""
        return float((self.other >= 0).sum()) * self.step_m

    @property
    def length_m(self) -> float:
        """Whole length, gaps included."""
        return len(self.points_m) * self.step_m

    def extra_runs(self) -> list[tuple[int, int, bool]]:
        """Stretches (start, stop, at an end) that the other survey has shown and has no line beside.

        Stretches between two covered ones that are no longer than ``GAP_M`` are gaps of the other survey's line.
        """
        covered = self.other >= 0
        if not covered.any():
            return []
        runs = []
        for is_covered, start, stop in runs_of(covered.tolist()):
            if is_covered:
                continue
            at_end = start == 0 or stop == len(covered)
            if at_end or (stop - start) * self.step_m > GAP_M:
                runs.append((start, stop, at_end))
        return runs

    @property
    def extra_m(self) -> float:
        """Length of ``extra_runs`` as far as the other survey has shown it."""
        return sum(float(self.shown[start:stop].sum()) for start, stop, _ in self.extra_runs()) * self.step_m

    @property
    def hidden_m(self) -> float:
        """Length of ``extra_runs`` that the other survey has not shown."""
        return sum(float((~self.shown[start:stop]).sum()) for start, stop, _ in self.extra_runs()) * self.step_m

    def widths_mm(self, own: Survey, start: int, stop: int) -> Array:
        """(K,) known widths at the steps of a stretch.

        Args:
            own: The survey that the chain is of.
        """
        steps = [
            interpolated(own.cracks[line].width_mm, self.position[start + first : start + last])
            for line, first, last in runs_of(self.line[start:stop].tolist())
            if line >= 0
        ]
        widths_mm = np.concatenate([np.zeros(0), *steps])
        return widths_mm[np.isfinite(widths_mm)]

    @property
    def lines(self) -> tuple[int, ...]:
        """Indices of the cracks in it, in order."""
        return tuple(dict.fromkeys(index for index in self.line.tolist() if index >= 0))


@dataclass(frozen=True)
class Family:
    """Chains of both surveys that are one crack; one side is empty where the crack is in one survey only."""

    old: tuple[Track, ...] = field(default=())
    new: tuple[Track, ...] = field(default=())


def families(old: Survey, new: Survey, alignment_sigma_m: float) -> list[Family]:
    """Find the families of two surveys in one frame.

    Args:
        old, new: The surveys; the new one already moved into the old one's frame.
        alignment_sigma_m: Standard deviation of that motion.
    """
    old_chains, new_chains = _chains(old), _chains(new)
    old_lines, new_lines = old.lines, new.lines
    new_tracks = [_track(chain, new, old, old_lines, alignment_sigma_m) for chain in new_chains]
    old_tracks = [_track(chain, old, new, new_lines, alignment_sigma_m) for chain in old_chains]
    _separate(new_tracks, new, old)
    _separate(old_tracks, old, new)
    _follow(new_tracks)
    _follow(old_tracks)
    groups = _Groups(len(old_tracks) + len(new_tracks))
    old_of = {line: index for index, track in enumerate(old_tracks) for line in track.lines}
    new_of = {line: index for index, track in enumerate(new_tracks) for line in track.lines}
    for index, track in enumerate(new_tracks):
        for partner in _partners(track, old_of, old_tracks):
            groups.join(partner, len(old_tracks) + index)
    for index, track in enumerate(old_tracks):
        for partner in _partners(track, new_of, new_tracks):
            groups.join(index, len(old_tracks) + partner)
    found = []
    for members in groups.members():
        found.append(
            Family(
                tuple(old_tracks[index] for index in members if index < len(old_tracks)),
                tuple(new_tracks[index - len(old_tracks)] for index in members if index >= len(old_tracks)),
            )
        )
    return found


def _chains(survey: Survey) -> list[Chain]:
    return chains(
        [crack.line_m for crack in survey.cracks], [crack.normal for crack in survey.cracks], GAP_M, _BEND_RAD
    )


def _track(chain: Chain, own: Survey, other: Survey, lines: LineSet, alignment_sigma_m: float) -> Track:
    """Compare a chain with the other survey's lines."""
    steps = sampled(chain.points_m, STEP_M)
    low = np.minimum(steps.positions.astype(int), len(chain.owner) - 1)
    high = np.minimum(low + 1, len(chain.owner) - 1)
    line = np.where(chain.owner[low] == chain.owner[high], chain.owner[low], -1)
    share = steps.positions - low
    position = (1 - share) * chain.vertex[low] + share * chain.vertex[high]
    members = [own.cracks[index] for index in dict.fromkeys(chain.owner.tolist())]
    normal = sum((crack.normal * crack.length_m for crack in members), np.zeros(3))
    normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
    covariance_m2 = np.mean([_bounded(crack.covariance_m2) for crack in members], axis=0)
    prior_m2 = 2 * covariance_m2 + alignment_sigma_m**2 * np.eye(3)
    sigma_m = math.sqrt(float(np.linalg.eigvalsh(prior_m2)[-1]))
    shift_m = np.zeros(3)
    first = float(np.clip(3 * sigma_m, *_FIRST_REACH_M))
    last = float(np.clip(_LAST_REACH_M[0] + 0.5 * sigma_m, *_LAST_REACH_M))
    for reach_m in (first, 0.5 * (first + last), last):
        shift_m = _shift(steps.points_m, steps.directions, normal, lines, shift_m, reach_m, prior_m2)
    points_m = steps.points_m + shift_m
    feet = lines.feet(points_m, steps.directions, normal, first)
    off = points_m - feet.point_m
    across = np.abs((off * _across(feet.tangent, normal)).sum(axis=1))
    beside = (feet.line >= 0) & (feet.beyond_m == 0) & (across <= last)
    return Track(
        points_m=steps.points_m,
        line=line,
        position=position,
        other=np.where(beside, feet.line, -1),
        other_position=feet.position,
        near=np.where((feet.line >= 0) & (feet.beyond_m == 0) & (across <= first), feet.line, -1),
        shown=other.shows(steps.points_m),
        step_m=steps.step_m,
    )


def _across(directions: Array, normal: Array) -> Array:
    across = cross(directions, normal)
    return np.asarray(across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9))


def _shift(
    points_m: Array,
    directions: Array,
    normal: Array,
    lines: LineSet,
    shift_m: Array,
    reach_m: float,
    prior_m2: Array,
) -> Array:
    """Shift (3,) of a chain onto the other survey's lines: what their common error is, given its covariance."""
    moved = points_m + shift_m
    feet = lines.feet(moved, directions, normal, max(reach_m, 0.1))
    across = _across(feet.tangent, normal)
    off = ((feet.point_m - moved) * across).sum(axis=1)
    depth = (feet.point_m - moved) @ normal
    used = (feet.line >= 0) & (feet.beyond_m == 0) & (np.abs(off) <= reach_m)
    if not used.any():
        return shift_m
    across, off, depth = across[used], off[used], depth[used]
    weight = (1 - 0.9 * (off / reach_m) ** 2) / (_SHAPE_SIGMA_M**2 * _ALIKE_STEPS)
    information = np.linalg.inv(prior_m2) + (across * weight[:, None]).T @ across
    vector = (weight * (off + across @ shift_m)) @ across
    level = weight.sum() / 4
    information += level * np.outer(normal, normal)
    vector += level * (float(np.median(depth)) + normal @ shift_m) * normal
    return np.asarray(np.linalg.solve(information, vector))


def _bounded(covariance_m2: Array) -> Array:
    return covariance_m2 + 1e-8 * np.eye(3) if np.isfinite(covariance_m2).all() else 0.05**2 * np.eye(3)


def _separate(tracks: Sequence[Track], own: Survey, other: Survey) -> None:
    """Where chains lie along one stretch of a line, leave it to the nearest one, or to the one of the line's width.

    Chains of like width and distance remain both: they are one crack that was mapped twice.
    """
    beside: dict[int, list[Track]] = defaultdict(list)
    for track in tracks:
        for line in np.unique(track.other[track.other >= 0]).tolist():
            beside[line].append(track)
    for line, rivals in beside.items():
        if len(rivals) < 2:
            continue
        count = len(other.cracks[line].line_m)
        places = [set(track.other_position[track.other == line].astype(int).tolist()) for track in rivals]
        ratios = [_log_width_ratio(track, line, own, other) for track in rivals]
        distances_m = [_distance_m(track, line, other) for track in rivals]
        for index, track in enumerate(rivals):
            for rival in range(len(rivals)):
                common = len(places[index] & places[rival])
                is_worse = (
                    ratios[index] > ratios[rival] + math.log(_OTHER_WIDTH_RATIO)
                    or distances_m[index] > distances_m[rival] + _FARTHER_M
                )
                if is_worse and common > 0.5 * min(len(places[index]), len(places[rival]), count):
                    track.other[track.other == line] = -1
                    break


def _follow(tracks: Sequence[Track]) -> None:
    """Where a chain bends away from the line that it lies along, follow that line within the wider reach.

    Position errors bend a map by centimetres along a flight; the part beyond the usual reach is the same crack, not
    growth. A stretch of the line that another chain lies along belongs to that one: a branch is a branch.
    """
    taken = {
        (line, int(place)): index
        for index, track in enumerate(tracks)
        for line, place in zip(track.other.tolist(), track.other_position.tolist(), strict=True)
        if line >= 0
    }
    for index, track in enumerate(tracks):
        count = len(track.other)
        for order in (range(1, count), range(count - 2, -1, -1)):
            before = order.start - order.step if count > 1 else 0
            for step in order:
                line = int(track.other[before])
                if (
                    line >= 0
                    and track.other[step] < 0
                    and track.near[step] == line
                    and abs(track.other_position[step] - track.other_position[before]) <= _FOLLOWED_VERTICES
                    and taken.get((line, int(track.other_position[step])), index) == index
                ):
                    track.other[step] = line
                before = step


def _log_width_ratio(track: Track, line: int, own: Survey, other: Survey) -> float:
    """How different the widths of a track and of a line beside it are; a pixel is added to either."""
    crack, members = other.cracks[line], [own.cracks[index] for index in track.lines]
    widths = [
        each.mean_width_mm + (each.gsd_mm_per_px if math.isfinite(each.gsd_mm_per_px) else 1.0)
        for each in (crack, *members)
    ]
    differences = [abs(math.log(width / widths[0])) for width in widths[1:] if width > 0 and widths[0] > 0]
    return min(differences, default=0.0)


def _distance_m(track: Track, line: int, other: Survey) -> float:
    """Median distance of a track from a line beside it, without the track's own shift."""
    beside = track.other == line
    feet_m = interpolated(other.cracks[line].line_m, track.other_position[beside])
    return float(np.median(np.linalg.norm(track.points_m[beside] - feet_m, axis=1)))


def _partners(track: Track, chain_of: dict[int, int], others: Sequence[Track]) -> list[int]:
    """Chains of the other survey that lie along a good part of this chain, or of which a good part lies along it."""
    common: dict[int, float] = defaultdict(float)
    for line in track.other[track.other >= 0].tolist():
        common[chain_of[line]] += track.step_m
    return [
        chain
        for chain, length_m in common.items()
        if length_m >= max(_LEAST_COMMON_M, _LEAST_COMMON_SHARE * min(track.length_m, others[chain].length_m))
    ]


class _Groups:
    """Disjoint sets of numbers."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def _root(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def join(self, one: int, other: int) -> None:
        self._parent[self._root(other)] = self._root(one)

    def members(self) -> list[list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self._parent)):
            found[self._root(index)].append(index)
        return list(found.values())


@dataclass(frozen=True, eq=False)
class CommonWidths:
    """Widths of both surveys at the same places: (N,) each, and the length of a step."""

    old_mm: Array
    old_sigma_mm: Array
    new_mm: Array
    new_sigma_mm: Array
    step_m: float


def common_widths(family: Family, old: Survey, new: Survey) -> CommonWidths | None:
    """Widths along the common line of a family; None where one survey has none."""
    rows, length_m = [], 0.0
    for track in family.new:
        for own, other, start, stop in _pairs_of(track):
            part = slice(start, stop)
            one, two = new.cracks[own], old.cracks[other]
            rows.append(
                np.stack(
                    [
                        interpolated(two.width_mm, track.other_position[part]),
                        interpolated(two.width_sigma_mm, track.other_position[part]),
                        interpolated(one.width_mm, track.position[part]),
                        interpolated(one.width_sigma_mm, track.position[part]),
                    ]
                )
            )
            length_m += (stop - start) * track.step_m
    if not rows:
        return None
    table = np.concatenate(rows, axis=1)
    step_m = length_m / table.shape[1]
    table = table[:, np.isfinite(table).all(axis=0)]
    return CommonWidths(table[0], table[1], table[2], table[3], step_m) if table.shape[1] else None


def _pairs_of(track: Track) -> list[tuple[int, int, int, int]]:
    """Stretches (own crack, other crack, start, stop) of a track that both surveys have."""
    pairs = list(zip(track.line.tolist(), track.other.tolist(), strict=True))
    found, start = [], 0
    for index in range(1, len(pairs) + 1):
        if index == len(pairs) or pairs[index] != pairs[start]:
            own, other = pairs[start]
            if own >= 0 and other >= 0:
                found.append((own, other, start, index))
            start = index
    return found
