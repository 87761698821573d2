# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Removal of overlaps between tracks: the longer one absorbs the stretch, the shorter one loses it.

Overlaps come from badly aligned frames, and from lines that follow different branches of a fork. Two parallel cracks
are distinguished from one that is mapped twice by the frames that show both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.alignment import Aligner, Match
from crack_perception.mapping.association.lines import Lines, comparable_log_width, map_tolerance
from crack_perception.mapping.polylines import cross, length_of, runs, tangents
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.polyline_warp import warp_line
from crack_perception.mapping.tracks.track import ENOUGH_FRAMES, TWO_SHARE, Track
from crack_perception.mapping.tracks.vertices import WIDTHS, Vertices

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

WIDEST_M = 0.12
"""Largest distance between two lines of one crack that is mapped twice."""
# Shorter overlaps may belong to a fork or a crossing.
_LEAST_M, _LEAST_BETWEEN_M = 0.06, 0.3
_MAX_HOLE = 4
_NEAR_END = 3
# The continuation beyond an end has about the direction of the last vertices before it.
_END_REACH, _STRAIGHT_ON = 7, 0.5


@dataclass(frozen=True, eq=False)
class Absorbed:
    """Two cracks without their overlap: the longer one, and the rest of the shorter one, longest part first."""

    longer: Vertices
    left: list[Vertices]


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
    sigma = float(np.sqrt(np.linalg.eigvalsh(a.covariance_m2.mean(axis=0) + b.covariance_m2.mean(axis=0))[-1]))
    aligner = Aligner(lines[0], lines[1], min(0.02 + 2 * sigma, settings.max_offset_m), settings)
    match = aligner.match(b.point_m, WIDEST_M)
    feet = match.nearest
    frames = np.minimum(b.shown, a.shown[feet])
    both = np.maximum(b.parallel_views_of(longer.id), a.parallel_views_of(shorter.id)[feet])
    known = frames >= ENOUGH_FRAMES
    apart = np.where(known, both > TWO_SHARE * frames, (both > 0) | (shorter.id in longer.apart_from))
    aside = np.abs(match.off_m[:, 0])
    matched = match.matched & ~apart & ((aside <= narrow[feet]) | known)
    return Match(feet, match.off_m, match.directions, matched)


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
