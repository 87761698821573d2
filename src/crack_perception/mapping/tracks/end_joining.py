# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Joining of fragments of one crack that are in line with each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.lines import map_tolerance
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.polylines import cross
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.polyline_warp import warp_line
from crack_perception.mapping.tracks.track import Track
from crack_perception.mapping.tracks.vertices import Vertices
from crack_perception.mapping.tracks.widths import are_alike, end_width_mm

Array = npt.NDArray[np.float64]

# The direction of an end is that of its last stretch of about this length.
_END_M = 0.15
# Ends of fragments may overlap by this much.
_END_OVERLAP_M = 0.06
# Factors on the largest bend and offset of fragments that one line of a frame follows.
_LINKED_ANGLE, _LINKED_OFFSET = 2.0, 2.0


def furthest_m(a: Vertices, b: Vertices, settings: MapSettings) -> float:
    """Largest gap between the ends of two fragments in line with each other."""
    sigma_m = math.sqrt(_end_variance_m2(a) + _end_variance_m2(b))
    return min(settings.merge_gap_m + sigma_m + _END_OVERLAP_M, settings.max_offset_m)


def _end_variance_m2(v: Vertices) -> float:
    first, last = v.covariance_m2[0], v.covariance_m2[-1]
    return max(float(first[0, 0] + first[1, 1] + first[2, 2]), float(last[0, 0] + last[1, 1] + last[2, 2]))


def end_to_end(survivor: Track, other: Track, linked: bool, settings: MapSettings) -> Vertices | None:
    """Joined line of two fragments, with the gap filled; None if they are not in line with each other.

    Args:
        linked: A line of one frame went from one to the other.
    """
    if survivor.is_apart_from(other) or other.is_apart_from(survivor):
        return None
    gsd_mm = float(np.fmax(survivor.gsd_mm, other.gsd_mm))
    long, short = (survivor, other) if len(survivor.vertices) >= len(other.vertices) else (other, survivor)
    return _end_to_end(long.vertices, short.vertices, survivor.normal, linked, gsd_mm, settings)


def unite(survivor: Track, other: Track, vertices: Vertices, settings: MapSettings) -> None:
    """Merge a crack into another one, which gets these vertices."""
    views = survivor.views + other.views
    normal = survivor.views * survivor.normal + other.views * other.normal
    survivor.normal = normal / np.linalg.norm(normal)
    survivor.set_vertices(vertices, settings.step_m)
    survivor.state = _better(survivor.state, other.state)
    survivor.existence = survivor.existence.joined(other.existence)
    survivor.gsd_mm = float(np.fmin(survivor.gsd_mm, other.gsd_mm))
    survivor.coarsest_gsd_mm = float(np.fmax(survivor.coarsest_gsd_mm, other.coarsest_gsd_mm))
    survivor.views = views
    survivor.misses = min(survivor.misses, other.misses)
    survivor.first_seen_ns = min(survivor.first_seen_ns, other.first_seen_ns)
    survivor.last_seen_ns = max(survivor.last_seen_ns, other.last_seen_ns)
    survivor.apart_from = (survivor.apart_from | other.apart_from) - {survivor.id, other.id}
    survivor.snapshot = None


def _better(a: CrackState, b: CrackState) -> CrackState:
    order = (CrackState.CONFIRMED, CrackState.LOST, CrackState.NEW)
    return min(a, b, key=order.index)


@dataclass(frozen=True)
class _Joint:
    """Meeting of the ends of two lines; ``at_end`` and ``to_end`` are True for the last vertex, False for the first."""

    at_end: bool
    to_end: bool
    gap_m: Array
    along_m: float
    badness: float


def _end_to_end(
    a: Vertices, b: Vertices, normal: Array, linked: bool, gsd_mm: float, settings: MapSettings
) -> Vertices | None:
    """Joined line of two fragments, with the gap filled; None if they are not in line with each other."""
    ends = np.stack([a.point_m[[0, -1]], b.point_m[[0, -1]]])
    gaps = ends[0][:, None] - ends[1][None]
    near = np.einsum("ijk,ijk->ij", gaps, gaps) <= furthest_m(a, b, settings) ** 2
    found = [_joint(a, b, bool(i), bool(j), normal, linked, settings) for i, j in np.argwhere(near).tolist()]
    joints = [
        joint
        for joint in found
        if joint is not None
        and are_alike(end_width_mm(a.width_mm, joint.at_end), end_width_mm(b.width_mm, joint.to_end), gsd_mm)
    ]
    if not joints:
        return None
    return _bridged(a, b, min(joints, key=lambda joint: joint.badness), settings)


def _joint(
    a: Vertices, b: Vertices, at_end: bool, to_end: bool, normal: Array, linked: bool, settings: MapSettings
) -> _Joint | None:
    # Turned so that the first line's last vertex meets the second one's first.
    first = a.point_m if at_end else a.point_m[::-1]
    second = b.point_m[::-1] if to_end else b.point_m
    reach = max(2, round(_END_M / settings.step_m))
    leaving = _unit(first[-1] - first[max(len(first) - 1 - reach, 0)])
    entering = _unit(second[min(reach, len(second) - 1)] - second[0])
    bend = math.acos(min(max(float(leaving @ entering), -1.0), 1.0))
    max_bend = settings.merge_angle_rad * (_LINKED_ANGLE if linked else 1.0)
    if bend > max_bend:
        return None
    direction = _unit(leaving + entering)
    gap = second[0] - first[-1]
    covariance = a.covariance_m2[-1 if at_end else 0] + b.covariance_m2[-1 if to_end else 0]
    along = float(gap @ direction)
    if not -_END_OVERLAP_M <= along <= settings.merge_gap_m + float(np.sqrt(direction @ covariance @ direction)):
        return None
    across = _unit(cross(normal[None], direction)[0])
    deep = cross(direction[None], across)[0]
    offset = abs(float(gap @ across))
    tolerance = float(map_tolerance(across[None], covariance[None], settings)[0]) * (_LINKED_OFFSET if linked else 1.0)
    if offset > tolerance + np.tan(0.5 * max_bend) * max(along, 0.0):
        return None
    if abs(float(gap @ deep)) > 3 * float(np.sqrt(deep @ covariance @ deep)) + settings.max_offset_m * 0.1:
        return None
    return _Joint(at_end, to_end, gap, along, bend / max_bend + offset / tolerance + abs(along) / settings.max_offset_m)


def _bridged(a: Vertices, b: Vertices, joint: _Joint, settings: MapSettings) -> Vertices:
    """Joined line of two fragments: both share their lateral offset, and the gap is filled."""
    first = a.copy() if joint.at_end else a.reversed()
    second = b.reversed() if joint.to_end else b.copy()
    aside = joint.gap_m - joint.along_m * _unit(second.point_m[-1] - first.point_m[0])
    if np.linalg.norm(aside) > np.linalg.norm(joint.gap_m):
        aside = joint.gap_m
    traces = [float(np.trace(first.covariance_m2[-1])), float(np.trace(second.covariance_m2[0]))]
    share = traces[0] / max(sum(traces), 1e-12)
    warp_line(first, len(first) - 1, len(first), share * aside[None], settings.step_m)
    warp_line(second, 0, 1, -(1 - share) * aside[None], settings.step_m)
    if joint.along_m < settings.step_m and len(second) > 2:
        # Vertices of the second line that lie before the first one's end would make the line turn back.
        direction = _unit(first.point_m[-1] - first.point_m[max(len(first) - 4, 0)])
        ahead = (second.point_m - first.point_m[-1]) @ direction > 0.5 * settings.step_m
        start = min(int(np.argmax(ahead)) if ahead.any() else len(second) - 2, len(second) - 2)
        second = second.part(start, len(second))
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


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(math.sqrt(float(vector @ vector)), 1e-12))
