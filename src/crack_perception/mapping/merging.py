"""Pieces of the map that turn out to be one crack: fragments in line, and lines on top of each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.alignment import Aligner, Lines, Match
from crack_perception.mapping.map_settings import MapSettings
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.nearby_lines import map_tolerance
from crack_perception.mapping.polylines import come_near, runs, tangents
from crack_perception.mapping.shifting import shift_line
from crack_perception.mapping.track import Track, Vertices

Array = npt.NDArray[np.float64]

# An end's direction is that of its last stretch of about this length.
_END_M = 0.15
# Fragments' ends may overlap by this much and still be taken for ends.
_END_OVERLAP_M = 0.06
# Lines that a frame has shown as one may bend this much more, and lie this much further aside.
_LINKED_ANGLE, _LINKED_OFFSET = 2.0, 2.0
_SAME_SHARE = 0.7
_NEAR_END = 3
_COARSE = 4


def merge(survivor: Track, other: Track, linked: bool, settings: MapSettings) -> bool:
    """Take ``other`` into ``survivor`` if they are one crack.

    Args:
        linked: A line of one frame went from one to the other.

    Returns:
        Whether they are; both are as before if not.
    """
    if other.id in survivor.apart_from or survivor.id in other.apart_from:
        return False
    if float(survivor.normal @ other.normal) < np.cos(settings.max_normal_angle_rad):
        return False
    long, short = (survivor, other) if len(survivor.vertices) >= len(other.vertices) else (other, survivor)
    vertices = _laid_over(long, short, settings) or _end_to_end(
        long.vertices, short.vertices, survivor.normal, linked, settings
    )
    if vertices is None:
        return False
    views = survivor.views + other.views
    normal = survivor.views * survivor.normal + other.views * other.normal
    survivor.normal = normal / np.linalg.norm(normal)
    survivor.vertices = vertices
    survivor.even_out(settings.step_m)
    survivor.state = _better(survivor.state, other.state)
    survivor.belief = survivor.belief.joined(other.belief)
    survivor.gsd_mm = float(np.fmin(survivor.gsd_mm, other.gsd_mm))
    survivor.coarsest_gsd_mm = float(np.fmax(survivor.coarsest_gsd_mm, other.coarsest_gsd_mm))
    survivor.views = views
    survivor.misses = min(survivor.misses, other.misses)
    survivor.first_seen_ns = min(survivor.first_seen_ns, other.first_seen_ns)
    survivor.last_seen_ns = max(survivor.last_seen_ns, other.last_seen_ns)
    survivor.apart_from |= other.apart_from
    survivor.snapshot = None
    return True


def _better(a: CrackState, b: CrackState) -> CrackState:
    order = (CrackState.CONFIRMED, CrackState.LOST, CrackState.NEW)
    return min(a, b, key=order.index)


@dataclass(frozen=True, eq=False)
class _Joint:
    """Two lines turned so that the first one's last vertex meets the second one's first."""

    first: Vertices
    second: Vertices
    gap_m: Array
    along_m: float
    badness: float


def _end_to_end(a: Vertices, b: Vertices, normal: Array, linked: bool, settings: MapSettings) -> Vertices | None:
    """The one line of two fragments in line with each other, with what is missing between filled in."""
    ends = np.stack([a.point_m[[0, -1]], b.point_m[[0, -1]]])
    gaps = np.linalg.norm(ends[0][:, None] - ends[1][None], axis=2)
    sigmas = np.sqrt([np.einsum("nii->n", v.covariance_m2)[[0, -1]].max() for v in (a, b)])
    joints = []
    furthest = min(settings.merge_gap_m + float(np.hypot(*sigmas)) + _END_OVERLAP_M, settings.max_offset_m)
    for i, j in np.argwhere(gaps <= furthest):
        first = a if i == 1 else a.reversed()
        second = b if j == 0 else b.reversed()
        joint = _joint(first, second, normal, linked, settings)
        if joint is not None:
            joints.append(joint)
    if not joints:
        return None
    return _bridged(min(joints, key=lambda joint: joint.badness), settings)


def _joint(first: Vertices, second: Vertices, normal: Array, linked: bool, settings: MapSettings) -> _Joint | None:
    reach = max(2, round(_END_M / settings.step_m))
    leaving = _unit(first.point_m[-1] - first.point_m[max(len(first) - 1 - reach, 0)])
    entering = _unit(second.point_m[min(reach, len(second) - 1)] - second.point_m[0])
    bend = float(np.arccos(np.clip(leaving @ entering, -1, 1)))
    max_bend = settings.merge_angle_rad * (_LINKED_ANGLE if linked else 1.0)
    if bend > max_bend:
        return None
    direction = _unit(leaving + entering)
    gap = second.point_m[0] - first.point_m[-1]
    covariance = first.covariance_m2[-1] + second.covariance_m2[0]
    along = float(gap @ direction)
    if not -_END_OVERLAP_M <= along <= settings.merge_gap_m + float(np.sqrt(direction @ covariance @ direction)):
        return None
    across = _unit(np.cross(normal, direction))
    deep = np.cross(direction, across)
    offset = abs(float(gap @ across))
    tolerance = float(map_tolerance(across[None], covariance[None], settings)[0]) * (_LINKED_OFFSET if linked else 1.0)
    if offset > tolerance + np.tan(0.5 * max_bend) * max(along, 0.0):
        return None
    if abs(float(gap @ deep)) > 3 * float(np.sqrt(deep @ covariance @ deep)) + settings.max_offset_m * 0.1:
        return None
    return _Joint(first, second, gap, along, bend / max_bend + offset / tolerance + abs(along) / settings.max_offset_m)


def _bridged(joint: _Joint, settings: MapSettings) -> Vertices:
    """Both lines of a joint as one: what they lie aside of each other is shared, what is missing filled in."""
    first, second = joint.first.at(_all(joint.first)), joint.second.at(_all(joint.second))
    aside = joint.gap_m - joint.along_m * _unit(joint.second.point_m[-1] - joint.first.point_m[0])
    if np.linalg.norm(aside) > np.linalg.norm(joint.gap_m):
        aside = joint.gap_m
    traces = [float(np.trace(first.covariance_m2[-1])), float(np.trace(second.covariance_m2[0]))]
    share = traces[0] / max(sum(traces), 1e-12)
    shift_line(first, len(first) - 1, len(first), share * aside[None], settings.step_m)
    shift_line(second, 0, 1, -(1 - share) * aside[None], settings.step_m)
    if joint.along_m < settings.step_m and len(second) > 2:
        # Vertices of the second line that lie before the first one's end would make the line turn back.
        direction = _unit(first.point_m[-1] - first.point_m[max(len(first) - 4, 0)])
        ahead = (second.point_m - first.point_m[-1]) @ direction > 0.5 * settings.step_m
        start = min(int(np.argmax(ahead)) if ahead.any() else len(second) - 2, len(second) - 2)
        second = second.at(np.arange(start, len(second)).astype(float))
    missing = np.linalg.norm(second.point_m[0] - first.point_m[-1])
    count = max(0, round(missing / settings.step_m) - 1)
    if count:
        shares = np.arange(1, count + 1) / (count + 1)
        pair = first.at(np.array([len(first) - 1.0])).joined(second.at(np.array([0.0])))
        bridge = pair.at(shares)
        bridge.evidence[:] = 0.0
        bridge.width_mm[:] = bridge.width_sigma_mm[:] = bridge.width_gsd_mm[:] = np.nan
        bridge.width_views[:] = 0.0
        first = first.joined(bridge)
    return first.joined(second)


def _laid_over(long: Track, short: Track, settings: MapSettings) -> Vertices | None:
    """The one line of two of which the shorter lies on the longer one, all of it or all up to an end."""
    a, b = long.vertices, short.vertices
    if not come_near(a.point_m, b.point_m, 2 * _END_M + _COARSE * settings.step_m, _COARSE):
        return None
    match = _match(long, short, settings)
    matched = match.matched
    stretches = runs(matched)
    if not stretches:
        return None
    start, stop = stretches[0][0], stretches[-1][1]
    if stop - start < min(_NEAR_END, len(b)) or matched[start:stop].mean() < _SAME_SHARE:
        return None
    feet = match.nearest
    heads, tails = np.arange(start), np.arange(stop, len(b))
    forward = feet[stop - 1] >= feet[start]
    at_ends = {True: len(a) - 1, False: 0}
    for part, foot, side in ((heads, feet[start], not forward), (tails, feet[stop - 1], forward)):
        # What goes on must do so beyond an end of the longer line; else it is a branch.
        if len(part) > _NEAR_END and abs(int(foot) - at_ends[bool(side)]) >= _NEAR_END:
            return None
    merged = a.at(_all(a))
    at = np.arange(feet[start:stop].min(), feet[start:stop].max() + 1)
    inside = np.flatnonzero(matched)
    _blend(merged, at, b, inside, feet[inside], match, settings)
    for part, foot, side in ((heads, feet[start], not forward), (tails, feet[stop - 1], forward)):
        if len(part) <= _NEAR_END:
            continue
        beyond = b.at((part if part[0] else part[::-1]).astype(float))
        near = merged.point_m[int(foot)] - b.point_m[start if part[0] == 0 else stop - 1]
        shift_line(beyond, 0, 1, near[None], settings.step_m)
        merged = merged.joined(beyond) if side else beyond.reversed().joined(merged)
        if not side:
            # The indices of the longer line have moved on.
            feet = feet + len(part)
    return merged


def _match(long: Track, short: Track, settings: MapSettings) -> Match:
    a, b = long.vertices, short.vertices
    tangent = tangents(a.point_m)
    across = np.cross(long.normal, tangent)
    lines = []
    for track, v in ((short, b), (long, a)):
        count = len(v)
        lines.append(
            Lines(
                v.point_m,
                tangent if track is long else tangents(v.point_m),
                np.repeat(track.normal[None], count, axis=0),
                np.full(count, track.id),
                np.arange(count),
                map_tolerance(across, a.covariance_m2 + b.covariance_m2.mean(axis=0), settings)
                if track is long
                else np.zeros(count),
            )
        )
    sigma = float(np.sqrt(np.linalg.eigvalsh(a.covariance_m2.mean(axis=0) + b.covariance_m2.mean(axis=0))[-1]))
    return Aligner(lines[0], lines[1], min(0.02 + 2 * sigma, settings.max_offset_m), settings).match(b.point_m)


def _blend(
    v: Vertices,
    at: npt.NDArray[np.intp],
    b: Vertices,
    inside: npt.NDArray[np.intp],
    feet: npt.NDArray[np.intp],
    match: Match,
    settings: MapSettings,
) -> None:
    """Take the vertices ``inside`` of ``b`` into those ``at`` which they lie on.

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
    shift_line(v, int(at[0]), int(at[-1]) + 1, shift, settings.step_m)
    v.evidence[at] = np.maximum(v.evidence[at], b.evidence[source])
    v.shape_weight[at] = np.maximum(v.shape_weight[at], b.shape_weight[source])
    sharper = np.isfinite(b.width_mm[source]) & ~(v.width_gsd_mm[at] <= b.width_gsd_mm[source])
    for name in ("width_mm", "width_sigma_mm", "width_gsd_mm", "width_views"):
        getattr(v, name)[at[sharper]] = getattr(b, name)[source[sharper]]


def _all(v: Vertices) -> Array:
    return np.arange(len(v)).astype(float)


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
