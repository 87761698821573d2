# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Removal of overlaps between tracks: the longer one absorbs the stretch, the shorter one loses it.

Overlaps come from badly aligned frames, and from lines that follow different branches of a fork. Two parallel cracks
are distinguished from one that is mapped twice by the frames that show both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.alignment import Aligner, Match
from crack_perception.mapping.association.lines import Lines, comparable_log_width, map_tolerance
from crack_perception.mapping.association.parallel_lines import LEAST_PARALLEL_M
from crack_perception.mapping.polylines import cross, joined_tangents, largest_eigenvalue, length_of, runs, tangents
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.fusion import RELATIVE_SIGMA_M
from crack_perception.mapping.tracks.polyline_warp import traces, warp_line
from crack_perception.mapping.tracks.track import ENOUGH_FRAMES, TWO_SHARE, Track
from crack_perception.mapping.tracks.vertices import POINT, WIDTHS, Vertices, bounds_of

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

WIDEST_M = 0.12
"""Largest distance between two lines of one crack that is mapped twice."""
# Shorter overlaps may belong to a fork or a crossing.
_LEAST_M, _LEAST_BETWEEN_M = 0.06, 0.3
# Two cracks that frames have shown parallel are mapped no nearer to each other than this.
_APART_M = LEAST_PARALLEL_M - RELATIVE_SIGMA_M
_MAX_HOLE = 4
_NEAR_END = 3
# Sine of the largest angle between the surface normal at a line and that of a neighbour on the same surface.
_TILT = 0.2
# No stretch with fewer matched vertices is removed.
_LEAST_VERTICES = 2
# The continuation beyond an end has about the direction of the last vertices before it.
_END_REACH, _STRAIGHT_ON = 7, 0.5


@dataclass(frozen=True, eq=False)
class Absorbed:
    """Two cracks without their overlap: the longer one, and the rest of the shorter one, longest part first."""

    longer: Vertices
    left: list[Vertices]


def may_overlap(track: Track, others: Sequence[Track], settings: MapSettings) -> list[bool]:
    """Return for each of some cracks, at least one, whether ``absorb`` can find an overlap with a crack.

    It is a necessary condition, calculated for all of them at once: vertices near each other with alike directions that
    frames have not shown parallel.
    """
    mine, parts = track.vertices, [other.vertices for other in others]
    bounds = np.array(bounds_of(parts))
    sizes = np.diff(bounds)
    first_of = bounds[:-1].repeat(sizes)
    geometry = np.concatenate([part.geometry for part in parts])
    points = geometry[:, POINT]
    variances = np.add.reduceat(traces(geometry), bounds[:-1]) / sizes + traces(mine.geometry).mean()
    # The largest distances in the surface at which ``Aligner.match`` matches two vertices, and at which these belong to
    # one crack whatever frames have shown. They are measured perpendicular to one normal: a part of the distance along
    # the other normal is added.
    deep_m = _TILT * _normal_gate(np.sqrt(variances), settings)
    reach_m2, touching_m2 = (
        np.square(math.hypot(far_m, settings.step_m + 0.3 * far_m) + deep_m) for far_m in (WIDEST_M, _APART_M)
    )

    normal = track.normal / math.sqrt(track.normal @ track.normal)
    flat = np.eye(3) - np.outer(normal, normal)
    local, centre = (points - mine.point_m[0]) @ flat, (mine.point_m - mine.point_m[0]) @ flat
    squares = (-2 * local) @ centre.T
    squares += np.einsum("ij,ij->i", centre, centre)
    squares += np.einsum("ij,ij->i", local, local)[:, None]
    close = squares <= reach_m2.repeat(sizes)[:, None]
    at = close.any(axis=1).nonzero()[0]
    if not len(at):
        return [False] * len(others)
    there = joined_tangents(points, first_of, first_of + (sizes - 1).repeat(sizes))[at]
    close = close[at] & (np.abs(there @ tangents(mine.point_m).T) >= np.cos(settings.max_angle_rad))
    edges = at.searchsorted(bounds).tolist()
    possible = []
    for number, other in enumerate(others):
        first, last = edges[number], edges[number + 1]
        longer, shorter = longer_first(track, other)
        shown = close[first:last]
        if shorter.id in longer.apart_from:
            v = shorter.vertices
            apart = (v.shown < ENOUGH_FRAMES) | (v.parallel_views_of(longer.id) > TWO_SHARE * v.shown)
            apart = apart[at[first:last] - bounds[number], None] if shorter is other else apart
            shown = shown & (~apart | (squares[at[first:last]] <= touching_m2[number]))
        possible.append(int(np.count_nonzero(shown.any(axis=1 if shorter is other else 0))) >= _LEAST_VERTICES)
    return possible


def longer_first(one: Track, other: Track) -> tuple[Track, Track]:
    """Two cracks, the one with more vertices first; of two with as many, the older one."""
    order = (len(one.vertices), -one.id) >= (len(other.vertices), -other.id)
    return (one, other) if order else (other, one)


def absorb(longer: Track, shorter: Track, settings: MapSettings) -> Absorbed | None:
    """Remove the overlap of two cracks from the shorter one; None where they do not overlap."""
    a, b = longer.vertices, shorter.vertices
    match = _match(longer, shorter, settings)
    stretches = _stretches(longer, shorter, match, settings)
    if not stretches:
        return None
    feet = match.nearest
    merged = a.copy()
    for start, stop in stretches:
        inside = start + match.matched[start:stop].nonzero()[0]
        at = np.arange(feet[inside].min(), feet[inside].max() + 1)
        _blend(merged, at, b, inside, feet[inside], match, settings)

    left: list[Vertices] = []
    forward = bool(feet[stretches[-1][1] - 1] >= feet[stretches[0][0]])
    begin, end = stretches[0][0], stretches[-1][1]
    moved = 0
    for part, inner, at_end in ((np.arange(begin), begin, not forward), (np.arange(end, len(b)), end - 1, forward)):
        if len(part) <= _NEAR_END:
            continue
        foot = int(feet[inner])
        ends_m = b.point_m[part[[0, -1]] if part[0] > inner else part[[-1, 0]]]
        if not _continues(a, at_end, foot, ends_m):
            # A part that does not continue an end of the longer line is a branch, which begins on it.
            left.append(b.at(np.append(part, inner) if part[0] < inner else np.append(inner, part)))
            continue
        beyond = b.at(part.astype(float) if part[0] > inner else part[::-1].astype(float))
        warp_line(beyond, 0, 1, (merged.point_m[foot + moved] - b.point_m[inner])[None], settings.step_m)
        if at_end:
            merged = merged.joined(beyond)
        else:
            merged = beyond.reversed().joined(merged)
            moved += len(part)
    for (_, stop), (start, _) in pairwise(stretches):
        left.append(b.at(np.arange(stop - 1.0, start + 1.0)))
    left = [part for part in left if length_of(part.point_m) >= settings.branch_length_m]
    left.sort(key=len, reverse=True)
    return Absorbed(merged, left)


def _continues(line: Vertices, at_end: bool, foot: int, ends_m: Array) -> bool:
    """Return whether a part from ``ends_m[0]`` to ``ends_m[1]`` continues a line beyond its end."""
    reach = min(_END_REACH, len(line) - 1)
    last, before = (-1, -1 - reach) if at_end else (0, reach)
    if abs(foot - (len(line) - 1 if at_end else 0)) >= _NEAR_END:
        return False
    outward = line.point_m[last] - line.point_m[before]
    leads = ends_m[1] - ends_m[0]
    lengths = float(np.sqrt((outward @ outward) * (leads @ leads)))
    return float(outward @ leads) >= _STRAIGHT_ON * lengths and float((ends_m[0] - line.point_m[last]) @ outward) >= 0


def _match(longer: Track, shorter: Track, settings: MapSettings) -> Match:
    """Match of the shorter crack's vertices with the longer one."""
    a, b = longer.vertices, shorter.vertices
    tangent = tangents(a.point_m)
    across = cross(tangent, longer.normal)
    # Both widths plus the same pixel, so that the coarser views decide which difference counts.
    gsd_mm = float(np.fmax(longer.gsd_mm, shorter.gsd_mm))
    narrow = map_tolerance(across, a.covariance_m2 + b.covariance_m2.mean(axis=0), settings)
    lines = [
        Lines(
            v.point_m,
            along,
            np.repeat(track.normal[None], len(v), axis=0),
            np.full(len(v), track.id),
            np.arange(len(v)),
            narrow if track is longer else np.zeros(len(v)),
            comparable_log_width(v.width_mm, gsd_mm),
        )
        for track, v, along in ((shorter, b, tangents(b.point_m)), (longer, a, tangent))
    ]
    variance = largest_eigenvalue(a.covariance_m2.mean(axis=0) + b.covariance_m2.mean(axis=0))
    aligner = Aligner(lines[0], lines[1], float(_normal_gate(math.sqrt(variance), settings)), settings)
    match = aligner.match(b.point_m, WIDEST_M)
    feet = match.nearest
    frames = np.minimum(b.shown, a.shown[feet])
    both = np.maximum(b.parallel_views_of(longer.id), a.parallel_views_of(shorter.id)[feet])
    known = frames >= ENOUGH_FRAMES
    apart = np.where(known, both > TWO_SHARE * frames, (both > 0) | (shorter.id in longer.apart_from))
    aside = np.abs(match.off_m[:, 0])
    # No frame shows lines parallel that are so near each other: then those that it showed were others.
    apart &= aside >= _APART_M
    matched = match.matched & ~apart & ((aside <= narrow[feet]) | known)
    return Match(feet, match.off_m, match.directions, matched)


def _normal_gate(sigma_m: Array | float, settings: MapSettings) -> Array:
    """Largest distance along the normal of two lines of one crack whose positions have this standard deviation."""
    return np.asarray(np.minimum(0.02 + 2 * sigma_m, settings.max_offset_m))


def _stretches(longer: Track, shorter: Track, match: Match, settings: MapSettings) -> list[tuple[int, int]]:
    """Half-open stretches of the shorter crack to be removed."""
    count = len(shorter.vertices)
    filled = match.matched.copy()
    for (_, stop), (start, _) in pairwise(runs(filled)):
        if start - stop <= _MAX_HOLE:
            filled[stop:start] = True
    least = min(_LEAST_M / settings.step_m, 0.7 * count)
    between = _LEAST_BETWEEN_M / settings.step_m
    branch = settings.branch_length_m / settings.step_m
    return [
        (start, stop)
        for start, stop in runs(filled)
        if stop - start >= (between if min(start, count - stop) > branch else least)
    ]


def _blend(
    v: Vertices, at: Index, b: Vertices, inside: Index, feet: Index, match: Match, settings: MapSettings
) -> None:
    """Fuse the vertices ``inside`` of ``b`` into the vertices ``at`` of ``v`` next to them.

    Both may stem from the same views: covariance intersection does not count these twice (Julier and Uhlmann 1997).
    """
    order = np.argsort(feet, kind="stable")
    gap = match.offset_m[inside][order]
    offset = np.stack([np.interp(at, feet[order], gap[:, axis]) for axis in range(3)], axis=1)
    source = inside[order][np.minimum(np.searchsorted(feet[order], at), len(inside) - 1)]
    mine, theirs = np.linalg.inv(v.covariance_m2[at]), np.linalg.inv(b.covariance_m2[source])
    fused = np.linalg.inv(0.5 * (mine + theirs))
    shift = np.einsum("nij,njk,nk->ni", 0.5 * fused, theirs, offset)
    v.covariance_m2[at] = 0.5 * (fused + fused.transpose(0, 2, 1))
    warp_line(v, int(at[0]), int(at[-1]) + 1, shift, settings.step_m)
    v.evidence[at] = np.maximum(v.evidence[at], b.evidence[source])
    v.shape_weight[at] = np.maximum(v.shape_weight[at], b.shape_weight[source])
    sharper = np.isfinite(b.width_mm[source]) & ~(v.width_gsd_mm[at] <= b.width_gsd_mm[source])
    v.states[at[sharper], WIDTHS] = b.states[source[sharper], WIDTHS]
