# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Growth of the map by a frame: extensions of cracks, branches and new cracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.matching import Assignment
from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.drift_filter import Drift, first_drift
from crack_perception.mapping.tracks.existence import ExistenceProbability
from crack_perception.mapping.tracks.fusion import (
    RELATIVE_SIGMA_M,
    FrameError,
    FrameTime,
    TrackUpdate,
    leverage,
    shape_weight,
)
from crack_perception.mapping.tracks.track import Track
from crack_perception.mapping.tracks.vertices import Vertices

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

_NEAR_END = 3
# A view that reaches beyond the end of a crack may only be shifted along it: the next view has to confirm it.
_EXTENSION_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class Extension:
    """Extension of a crack by ``part`` of line number ``line``, in order away from the crack."""

    crack: int
    at_end: bool
    line: int
    part: Index


@dataclass(frozen=True, eq=False)
class Addition:
    """New crack from ``part`` of line number ``line``."""

    line: int
    part: Index


@dataclass(frozen=True, eq=False)
class Growth:
    """Additions of a frame to the map.

    Attributes:
        extensions: At most one for each end of a crack.
        additions: New cracks.
        linked: Pairs of cracks that are connected by a line of the frame.
    """

    extensions: list[Extension]
    additions: list[Addition]
    linked: set[tuple[int, int]]


def find_growth(assignments: Sequence[Assignment], updates: Mapping[int, TrackUpdate], settings: MapSettings) -> Growth:
    """Find the extensions, branches and new cracks that the lines of a frame add to the map.

    Args:
        updates: New states of the observed cracks by id.
    """
    extensions: dict[tuple[int, bool], Extension] = {}
    additions: list[Addition] = []
    linked: set[tuple[int, int]] = set()
    for number, assignment in enumerate(assignments):
        owners = assignment.owner
        count = len(owners)
        bounds = [0, *((owners[1:] != owners[:-1]).nonzero()[0] + 1).tolist(), count]
        if len(bounds) == 2 and owners[0]:
            continue
        owner = owners.tolist()
        for start, stop in pairwise(bounds):
            before = _end_beside(assignment, updates, start - 1, start)
            if owner[start]:
                if (
                    before is not None
                    and owner[start - 1]
                    and _end_beside(assignment, updates, start, start - 1) is not None
                ):
                    linked.add((owner[start - 1], owner[start]))
                continue
            after = _end_beside(assignment, updates, stop, stop - 1)
            part = np.arange(start, stop)
            if before is not None and after is not None and owner[start - 1] != owner[stop]:
                linked.add((owner[start - 1], owner[stop]))
            if before is not None:
                _keep_longest(extensions, Extension(owner[start - 1], before, number, part))
            elif after is not None:
                _keep_longest(extensions, Extension(owner[stop], after, number, part[::-1]))
            elif (stop - start) * settings.step_m >= _least_length(start, stop, count, settings):
                # A branch begins on the crack that it leaves.
                additions.append(Addition(number, np.arange(max(start - 1, 0), min(stop + 1, count))))
    return Growth(list(extensions.values()), additions, linked)


def _least_length(start: int, stop: int, count: int, settings: MapSettings) -> float:
    return settings.min_length_m if stop - start == count else settings.branch_length_m


def _keep_longest(extensions: dict[tuple[int, bool], Extension], extension: Extension) -> None:
    key = (extension.crack, extension.at_end)
    if key not in extensions or len(extensions[key].part) < len(extension.part):
        extensions[key] = extension


def _end_beside(assignment: Assignment, updates: Mapping[int, TrackUpdate], inner: int, outer: int) -> bool | None:
    """Find the end of a crack at which a line leaves it, from its vertex ``inner`` to the next vertex ``outer``.

    Returns:
        True for the last vertex, False for the first, None when it is at neither or there is no such vertex.
    """
    if not 0 <= inner < len(assignment.owner) or not assignment.owner[inner]:
        return None
    line = updates[int(assignment.owner[inner])].vertices.point_m
    foot = int(assignment.foot[inner])
    near = min(_NEAR_END, len(line) - 1)
    if len(line) - 1 - foot >= near and foot >= near:
        return None
    leaving = assignment.line.point_m[outer] - assignment.line.point_m[inner]
    if len(line) - 1 - foot < near and leaving @ (line[-1] - line[-1 - near]) > 0:
        return True
    if foot < near and leaving @ (line[0] - line[near]) > 0:
        return False
    return None


def extended(
    vertices: Vertices,
    at_end: bool,
    line: ViewLine,
    part: Index,
    offset_m: Array,
    error: FrameError,
    frame: FrameTime,
    settings: MapSettings,
) -> Vertices:
    """Append vertices of a line to those of a crack, beyond one of its ends.

    Args:
        part: (N,) indices of the vertices, in order away from the crack.
        offset_m: (N, 3) position error of the line at these.
        error: Error of the frame against this crack.
    """
    added = len(part)
    count = len(vertices)
    positions = np.arange(count + added) if at_end else np.arange(-added, count)
    v = vertices.at(positions.astype(float))
    new = slice(count, count + added) if at_end else slice(0, added)
    if not at_end:
        part, offset_m = part[::-1], offset_m[::-1]
    _put_view(v, new, line, part, offset_m, frame)
    v.covariance_m2[new] = error.covariance_at(v.point_m[new], settings)
    v.evidence[new] = _EXTENSION_SHARE * settings.hit_log_odds
    for parallel_views in v.parallel_views.values():
        parallel_views[new] = 0.0
    return v


def new_track(
    identifier: int,
    line: ViewLine,
    part: Index,
    offset_m: Array,
    error: FrameError | None,
    frame: FrameTime,
    settings: MapSettings,
) -> Track:
    """Create a track for a new crack.

    Args:
        part: (N,) indices of the vertices of the line that form the crack.
        offset_m: (N, 3) position error of the line at these vertices.
        error: Error of the frame against the mapped cracks that it observes; None without any.
    """
    points = line.point_m[part] - offset_m
    count = len(points)
    if error is None:
        covariance = line.covariance_m2 + leverage(points - line.point_m.mean(axis=0), settings)
        drift = first_drift(count, frame.now_s, frame.noise)
    else:
        covariance = error.covariance_at(points, settings) + RELATIVE_SIGMA_M**2 * np.eye(3)
        drift = Drift(np.repeat(error.drift.table, count, axis=0))
    vertices = Vertices.new(points, covariance, 0.0, {frame.source: drift})
    _put_view(vertices, slice(0, count), line, part, offset_m, frame)
    vertices.evidence[:] = settings.hit_log_odds
    track = Track(
        id=identifier,
        state=CrackState.NEW,
        vertices=vertices,
        normal=line.normal.copy(),
        existence=ExistenceProbability.of(line.score),
        gsd_mm=line.gsd_mm,
        coarsest_gsd_mm=line.gsd_mm,
        views=1,
        misses=0,
        first_seen_ns=frame.stamp_ns,
        last_seen_ns=frame.stamp_ns,
    )
    track.even_out(settings.step_m)
    return track


def _put_view(v: Vertices, at: slice, line: ViewLine, part: Index, offset_m: Array, frame: FrameTime) -> None:
    """Set vertices from a single view, except for their covariance and evidence."""
    v.point_m[at] = line.point_m[part] - offset_m
    v.shape_weight[at] = shape_weight(line)
    v.judged_s[at] = frame.now_s
    v.width_mm[at], v.width_sigma_mm[at] = line.width_mm[part], line.width_sigma_mm[part]
    known = np.isfinite(v.width_mm[at])
    v.width_gsd_mm[at] = np.where(known, line.gsd_mm, np.nan)
    v.width_views[at] = known
    v.shown[at] = 1.0
