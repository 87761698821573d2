# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Update of the cracks that a frame shows: position, shape, width and evidence.

The vertices of all these cracks are updated together: the arrays are short and the steps are many. Tracks are not
changed here; the result is a value for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.alignment import ShiftInformation
from crack_perception.mapping.association.matching import Assignment, Association
from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.polylines import joined_tangents
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.drift_filter import Drift, FusedViews, NoiseProcess, fuse
from crack_perception.mapping.tracks.polyline_warp import WarpedPart, traces, warp
from crack_perception.mapping.tracks.track import Track
from crack_perception.mapping.tracks.vertices import (
    COVARIANCE,
    EVIDENCE,
    JUDGED,
    POINT,
    SHAPE_WEIGHT,
    SHOWN,
    WIDTHS,
    Vertices,
    bounds_of,
)
from crack_perception.mapping.tracks.widths import fuse_widths

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

RELATIVE_SIGMA_M = 0.01
"""Standard deviation of the position errors of cracks of one frame against each other."""
_ALONG_SIGMA_M = 0.5
"""Standard deviation of a view's shift along a straight line."""
_MAX_SHAPE_STEP_M = 0.03


@dataclass(frozen=True)
class FrameTime:
    """Time and source of a frame, and the error process of the source."""

    stamp_ns: int
    source: str
    noise: NoiseProcess

    @property
    def now_s(self) -> float:
        """The stamp in seconds."""
        return self.stamp_ns * 1e-9


@dataclass(frozen=True, eq=False)
class FrameError:
    """Measured position error of a frame against one or all cracks that it shows.

    Attributes:
        before_m: (3,) error against the map before the update.
        offset_m: (3,) error against the map after it; the frame's lines must be moved back by that.
        correction_m: (3,) part of the latter that the alignment of the frame does not contain.
        covariance_m2: (3, 3) of the remaining error at ``centre_m``.
        centre_m: (3,) amid the vertices that were measured.
        drift: Of the source there, for one vertex.
        information: (3, 3) of the measurement.
        count: Vertices that were measured.
    """

    before_m: Array
    offset_m: Array
    correction_m: Array
    covariance_m2: Array
    centre_m: Array
    drift: Drift
    information: Array
    count: int

    def covariance_at(self, points_m: Array, settings: MapSettings) -> Array:
        """(N, 3, 3) of points (N, 3) of the frame, once they have been moved back."""
        return self.covariance_m2 + leverage(points_m - self.centre_m, settings)


@dataclass(frozen=True, eq=False)
class Stretch:
    """Vertices ``start`` to before ``stop`` of a crack.

    Attributes:
        line: The frame's line that shows them.
        seen: For each of them, the nearest vertex among all of the frame.
    """

    start: int
    stop: int
    line: int
    seen: Index


@dataclass(frozen=True, eq=False)
class TrackUpdate:
    """New state of a crack that a frame shows.

    Attributes:
        track: Its id.
        stretches: What the frame shows of it.
        vertices: Its vertices after the update.
        independence: Share of an independent view that the frame counts for, 0 to 1.
        error: Error of the frame against this crack.
    """

    track: int
    stretches: list[Stretch]
    vertices: Vertices
    independence: float
    error: FrameError


def leverage(relative_m: Array, settings: MapSettings) -> Array:
    """Covariances (N, 3, 3) that errors of direction and scale cause at a distance (N, 3)."""
    squares = relative_m[:, :, None] * relative_m[:, None]
    turn, scale = settings.rotation_sigma_rad**2, settings.scale_sigma**2
    total = (scale - turn) * squares
    diagonal = total.reshape(-1, 9)[:, ::4]
    diagonal += turn * np.einsum("ij,ij->i", relative_m, relative_m)[:, None]
    return total


def shape_weight(line: ViewLine) -> float:
    """Weight of a line's shape: a view twice as sharp counts four times."""
    return line.gsd_mm**-2 if np.isfinite(line.gsd_mm) else 1.0


def independent_share(judged_s: Array, now_s: float, settings: MapSettings) -> Array:
    """Share (N,) of an independent view that a frame counts for after others at ``judged_s`` (N,)."""
    return np.minimum(np.abs(now_s - judged_s) / settings.evidence_interval_s, 1.0)


def shown_stretches(assignments: Sequence[Assignment]) -> dict[int, list[Stretch]]:
    """Stretches of cracks that the lines of a frame show, by id; in order along the crack and without overlap."""
    found: dict[int, list[Stretch]] = {}
    for number, assignment in enumerate(assignments):
        if not assignment.information:
            continue
        owner = assignment.owner
        edges = [0, *((owner[1:] != owner[:-1]).nonzero()[0] + 1).tolist(), len(owner)]
        for first, last in pairwise(edges):
            crack = int(owner[first])
            if not crack:
                continue
            feet = assignment.foot[first:last]
            order = feet.argsort(kind="stable")
            sorted_feet = feet[order]
            at = np.arange(sorted_feet[0], sorted_feet[-1] + 1)
            nearest = order[np.minimum(sorted_feet.searchsorted(at), last - first - 1)]
            stretch = Stretch(int(at[0]), int(at[-1]) + 1, number, assignment.first + first + nearest)
            found.setdefault(crack, []).append(stretch)
    return {crack: _without_overlap(found[crack]) for crack in sorted(found)}


def _without_overlap(stretches: list[Stretch]) -> list[Stretch]:
    apart: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda stretch: (stretch.start, -stretch.stop)):
        begun = max(stretch.start, apart[-1].stop if apart else 0)
        if begun < stretch.stop:
            apart.append(Stretch(begun, stretch.stop, stretch.line, stretch.seen[begun - stretch.start :]))
    return apart


@dataclass(frozen=True, eq=False)
class _Shown:
    """The K shown vertices of all cracks, concatenated.

    Attributes:
        bounds: First row of each crack in the concatenation of all its vertices, and their number.
        at: (K,) rows of the shown vertices in that concatenation.
        sizes: Shown vertices of each stretch.
        first, last: (K,) first and last shown vertex of the stretch that a vertex belongs to.
        per_track: Shown vertices of each crack.
        owner: (K,) number of the crack.
        line: (K,) line of the frame that shows the vertex.
        seen: (K,) vertex of the frame that shows it.
    """

    bounds: list[int]
    at: Index
    sizes: list[int]
    first: Index
    last: Index
    per_track: list[int]
    owner: Index
    line: Index
    seen: Index


def _shown(tracks: Sequence[Track], shown: Sequence[list[Stretch]]) -> _Shown:
    bounds = bounds_of([track.vertices for track in tracks])
    stretches = [stretch for each in shown for stretch in each]
    sizes = np.array([stretch.stop - stretch.start for stretch in stretches])
    ends = np.append(0, sizes.cumsum())
    per_track = [sum(stretch.stop - stretch.start for stretch in each) for each in shown]
    at = [
        np.arange(first + stretch.start, first + stretch.stop)
        for first, each in zip(bounds, shown, strict=False)
        for stretch in each
    ]
    return _Shown(
        bounds,
        np.concatenate(at),
        sizes.tolist(),
        ends[:-1].repeat(sizes),
        (ends[1:] - 1).repeat(sizes),
        per_track,
        np.arange(len(tracks)).repeat(per_track),
        np.array([stretch.line for stretch in stretches]).repeat(sizes),
        np.concatenate([stretch.seen for stretch in stretches]),
    )


def update_tracks(
    tracks: Sequence[Track], association: Association, frame: FrameTime, settings: MapSettings
) -> list[TrackUpdate]:
    """Fuse a frame into the cracks that it shows.

    Args:
        tracks: All cracks that the association names.
    """
    by_crack = shown_stretches(association.assignments)
    if not by_crack:
        return []
    by_id = {track.id: track for track in tracks}
    tracks = [by_id[identifier] for identifier in by_crack]
    shown = [by_crack[track.id] for track in tracks]
    rows = _shown(tracks, shown)
    at, owner = rows.at, rows.owner
    geometry = np.concatenate([track.vertices.geometry for track in tracks])
    states = np.concatenate([track.vertices.states for track in tracks])
    unknown = [track.vertices.drift.get(frame.source) for track in tracks]
    drift = Drift.joined([d or Drift.unknown(len(t.vertices)) for d, t in zip(unknown, tracks, strict=True)])
    points = geometry[at, POINT]

    remaining, alignment_m2, information = _remaining_shifts(tracks, association.assignments)
    lines = association.lines
    view_m2 = lines.covariance_m2[rows.line] + leverage(points - lines.centre_m[rows.line], settings)
    of_track = remaining[owner]
    offset = of_track + _alignment_offsets(association.assignments, rows.line, points)
    covariance = geometry[at, COVARIANCE].reshape(-1, 3, 3)
    fused = fuse(covariance, offset, view_m2, alignment_m2[owner], Drift(drift.table[at]), frame.now_s, frame.noise)

    variance = traces(geometry)
    geometry[at, COVARIANCE] = fused.covariance_m2.reshape(-1, 9)
    fused_variance = np.einsum("nii->n", fused.covariance_m2)
    shift = warp(variance, _warped_parts(rows.bounds, shown), fused.shift_m, fused_variance, settings.step_m)
    geometry[:, POINT] += shift
    drift.offset_m[:] -= drift.gain[:, None] * shift
    drift.table[at] = fused.drift.table
    _fuse_shape(geometry, rows, association, of_track)
    widths = states[at, WIDTHS]
    fuse_widths(widths, lines.width_mm[rows.seen], lines.width_sigma_mm[rows.seen], lines.gsd_mm[rows.line])
    states[at, WIDTHS] = widths
    independence = _add_hits(states, rows, frame.now_s, settings)
    errors = _frame_errors(rows, offset, fused, remaining, points, information)

    updates, piece = [], 0
    for number, (track, stretches) in enumerate(zip(tracks, shown, strict=True)):
        part = slice(rows.bounds[number], rows.bounds[number + 1])
        others = _other_drifts(track.vertices, shift[part], frame)
        vertices = Vertices(
            geometry[part].copy(),
            states[part].copy(),
            {**others, frame.source: Drift(drift.table[part].copy())},
            track.vertices.parallel_views,
        )
        weights = independence[piece : piece + len(stretches)]
        piece += len(stretches)
        updates.append(TrackUpdate(track.id, stretches, vertices, max(weights), errors[number]))
    return updates


def combined(errors: Sequence[FrameError]) -> FrameError | None:
    """Common error of a frame against all cracks that it shows; None when it shows none."""
    if not errors:
        return None
    # In directions that are not measured, the mean of the assumptions.
    weights = np.stack([error.information for error in errors]) + np.eye(3) / _ALONG_SIGMA_M**2
    values = np.array([[error.before_m, error.offset_m, error.correction_m] for error in errors]).transpose(0, 2, 1)
    total = weights.sum(axis=0)
    means = np.linalg.solve(total, (weights @ values).sum(axis=0))
    best = max(errors, key=lambda error: error.count)
    return FrameError(
        means[:, 0], means[:, 1], means[:, 2], best.covariance_m2, best.centre_m, best.drift, total, best.count
    )


def _remaining_shifts(tracks: Sequence[Track], assignments: Sequence[Assignment]) -> tuple[Array, Array, Array]:
    """Shift of each crack against the aligned frame (C, 3), its covariance and its information (C, 3, 3)."""
    information = [
        sum((a.information[t.id] for a in assignments if t.id in a.information), ShiftInformation.none())
        for t in tracks
    ]
    matrices = np.array([each.matrix for each in information])
    vectors = np.array([each.vector for each in information])
    middle = np.array([t.vertices.geometry[len(t.vertices) // 2, COVARIANCE] for t in tracks]).reshape(-1, 3, 3)
    inverses = np.linalg.inv(
        np.concatenate([0.5 * middle + RELATIVE_SIGMA_M**2 * np.eye(3), matrices + np.eye(3) / _ALONG_SIGMA_M**2])
    )
    prior, alignment_m2 = inverses[: len(tracks)], inverses[len(tracks) :]
    remaining = np.linalg.solve(matrices + prior, vectors[:, :, None])[:, :, 0]
    return remaining, alignment_m2, matrices


def _alignment_offsets(assignments: Sequence[Assignment], line: Index, points: Array) -> Array:
    """Offsets (K, 3) of points (K, 3) that belong to these lines (K,), by the alignments of the lines."""
    similarities = {id(a.similarity): a.similarity for a in assignments}
    if len(similarities) == 1:
        return assignments[0].similarity.offset_at(points)
    offset = np.zeros(points.shape)
    for key, similarity in similarities.items():
        those = np.array([id(a.similarity) == key for a in assignments])[line]
        offset[those] = similarity.offset_at(points[those])
    return offset


def _warped_parts(bounds: list[int], shown: Sequence[list[Stretch]]) -> list[WarpedPart]:
    """Stretches in the concatenation of all cracks; vertices between two of them follow the nearer one."""
    parts = []
    for (first, last), stretches in zip(pairwise(bounds), shown, strict=True):
        low = first
        for number, stretch in enumerate(stretches):
            is_last = number + 1 == len(stretches)
            high = last if is_last else first + (stretch.stop + stretches[number + 1].start) // 2
            parts.append(WarpedPart(first + stretch.start, first + stretch.stop, low, high))
            low = high
    return parts


def _fuse_shape(geometry: Array, rows: _Shown, association: Association, remaining: Array) -> None:
    """Update the shapes of the lines with what is left after all shifts, across the lines only."""
    at = rows.at
    points = geometry[at, POINT]
    tangent = joined_tangents(points, rows.first, rows.last)
    left = association.across_m[rows.seen] - remaining
    left -= np.einsum("ni,ni->n", left, tangent)[:, None] * tangent
    weight = np.array([shape_weight(a.line) for a in association.assignments])[rows.line]
    total = geometry[at, SHAPE_WEIGHT] + weight
    step = np.minimum(np.maximum((weight / total)[:, None] * left, -_MAX_SHAPE_STEP_M), _MAX_SHAPE_STEP_M)
    geometry[at, POINT] = points + step
    geometry[at, SHAPE_WEIGHT] = total


def _add_hits(states: Array, rows: _Shown, now_s: float, settings: MapSettings) -> list[float]:
    """Raise the evidence of the shown vertices; the frame's independent share in the middle of each stretch."""
    hit = states[rows.at]
    weight = independent_share(hit[:, JUDGED], now_s, settings)
    hit[:, EVIDENCE] = np.minimum(hit[:, EVIDENCE] + weight * settings.hit_log_odds, settings.max_log_odds)
    hit[weight > 0, JUDGED] = now_s
    hit[:, SHOWN] += 1
    states[rows.at] = hit
    middles, first = [], 0
    for size in rows.sizes:
        middles.append(first + size // 2)
        first += size
    return [float(value) for value in weight[middles]]


def _frame_errors(
    rows: _Shown,
    offset: Array,
    fused: FusedViews,
    remaining: Array,
    points: Array,
    information: Array,
) -> list[FrameError]:
    """The error of the frame against each crack."""
    counts = np.array(rows.per_track)
    firsts = np.cumsum([0, *rows.per_track[:-1]])
    before = np.add.reduceat(offset, firsts) / counts[:, None]
    shifts = np.add.reduceat(fused.shift_m, firsts) / counts[:, None]
    middles = (firsts + counts // 2).tolist()
    return [
        FrameError(
            before[number],
            before[number] - shifts[number],
            remaining[number] - shifts[number],
            fused.covariance_m2[middle],
            points[middle],
            Drift(fused.drift.table[middle : middle + 1]),
            information[number],
            rows.per_track[number],
        )
        for number, middle in enumerate(middles)
    ]


def _other_drifts(vertices: Vertices, shift: Array, frame: FrameTime) -> dict[str, Drift]:
    """Drifts of the other sources after a shift (N, 3) of the vertices, without those that have decayed."""
    drifts = {}
    for source, drift in vertices.drift.items():
        if source != frame.source and not drift.is_over(frame.now_s, frame.noise):
            table = drift.table.copy()
            table[:, 3:] -= table[:, 1:2] * shift
            drifts[source] = Drift(table)
    return drifts
