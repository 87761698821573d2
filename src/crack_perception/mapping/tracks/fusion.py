"""What a frame that shows mapped cracks changes in them: position, shape, width and how sure they are.

The vertices of all cracks that a frame shows are taken in together: there are few numbers and many steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.alignment import ShiftInformation
from crack_perception.mapping.association.matching import Assignment
from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.polylines import runs, tangents
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.drift_filter import Drift, FusedViews, NoiseProcess, fuse
from crack_perception.mapping.tracks.polyline_warp import warp_line
from crack_perception.mapping.tracks.track import Track
from crack_perception.mapping.tracks.widths import fuse_widths

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

RELATIVE_SIGMA_M = 0.01
"""Cracks of one frame are off alike but for this."""
_ALONG_SIGMA_M = 0.5
"""What a view says of a shift along a straight line."""
_MAX_SHAPE_STEP_M = 0.03


@dataclass(frozen=True)
class FrameTime:
    """The frame that is being taken in: when, by whom, and how that source's errors go on."""

    stamp_ns: int
    source: str
    noise: NoiseProcess

    @property
    def now_s(self) -> float:
        """The stamp in seconds."""
        return self.stamp_ns * 1e-9


@dataclass(frozen=True, eq=False)
class FrameError:
    """What a frame turned out to be off by against a crack, or all cracks, that it shows.

    Attributes:
        before_m: (3,) what it was off by before the map had taken it in.
        offset_m: (3,) what it is off by since; its lines must be moved back by that.
        correction_m: (3,) what of it the alignment of the frame does not say.
        covariance_m2: (3, 3) of what is then left at ``centre_m``.
        centre_m: (3,) amid the vertices that show it.
        drift: Of the source there, for one vertex.
        information: (3, 3) in which directions and how well it was seen.
        count: Vertices that show it.
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
        """(N, 3, 3) of points that the frame shows, once they have been moved back."""
        return self.covariance_m2 + leverage(points_m - self.centre_m, settings)


@dataclass(frozen=True, eq=False)
class Stretch:
    """Vertices ``start`` to before ``stop`` of a crack that vertices ``seen`` of a frame's line lie on."""

    start: int
    stop: int
    line: int
    seen: Index


def leverage(relative_m: Array, settings: MapSettings) -> Array:
    """(N, 3, 3) covariance that errors of direction and scale cause at a distance (N, 3)."""
    squares = relative_m[:, :, None] * relative_m[:, None]
    turned = np.einsum("nii->n", squares)[:, None, None] * np.eye(3) - squares
    return np.asarray(settings.rotation_sigma_rad**2 * turned + settings.scale_sigma**2 * squares)


def shape_weight(line: ViewLine) -> float:
    """Weight of a line's shape: a view twice as sharp counts four times."""
    return line.gsd_mm**-2 if np.isfinite(line.gsd_mm) else 1.0


def stretches_of(identifier: int, assignments: Sequence[Assignment]) -> list[Stretch]:
    """What the lines of a frame show of one crack, in order along it and without overlap."""
    found = []
    for number, assignment in enumerate(assignments):
        if identifier not in assignment.information:
            continue
        for first, last in runs(assignment.owner == identifier):
            feet = assignment.foot[first:last]
            order = np.argsort(feet, kind="stable")
            at = np.arange(feet[order[0]], feet[order[-1]] + 1)
            nearest = np.minimum(np.searchsorted(feet[order], at), len(feet) - 1)
            found.append(Stretch(int(at[0]), int(at[-1]) + 1, number, first + order[nearest]))
    found.sort(key=lambda stretch: (stretch.start, -stretch.stop))
    apart: list[Stretch] = []
    for stretch in found:
        begun = max(stretch.start, apart[-1].stop if apart else 0)
        if begun < stretch.stop:
            apart.append(Stretch(begun, stretch.stop, stretch.line, stretch.seen[begun - stretch.start :]))
    return apart


def take_in(
    tracks: Sequence[Track],
    shown: Mapping[int, list[Stretch]],
    assignments: Sequence[Assignment],
    frame: FrameTime,
    settings: MapSettings,
) -> dict[int, FrameError]:
    """Fuse a frame into the cracks that it shows; what it was off by, by crack."""
    pieces = [(track, stretch) for track in tracks for stretch in shown[track.id]]
    sizes = [stretch.stop - stretch.start for _, stretch in pieces]
    bounds = np.cumsum([0, *sizes])
    for track in tracks:
        _forget_old_drifts(track, frame)
        track.vertices.drift.setdefault(frame.source, Drift.unknown(len(track.vertices)))
    vertices = [(track.vertices, slice(stretch.start, stretch.stop)) for track, stretch in pieces]
    points = np.concatenate([v.point_m[at] for v, at in vertices])
    covariance = np.concatenate([v.covariance_m2[at] for v, at in vertices])
    drift = Drift.joined([v.drift[frame.source].part(at) for v, at in vertices])

    # What is left of each crack once the frame is aligned.
    slots = {track.id: slot for slot, track in enumerate(tracks)}
    owner = np.repeat([slots[track.id] for track, _ in pieces], sizes)
    information = [
        sum((a.information[t.id] for a in assignments if t.id in a.information), ShiftInformation.none())
        for t in tracks
    ]
    matrices = np.stack([each.matrix for each in information])
    own = np.stack([0.5 * track.vertices.covariance_m2[len(track.vertices) // 2] for track in tracks])
    own = np.linalg.inv(own + RELATIVE_SIGMA_M**2 * np.eye(3))
    vectors = np.stack([each.vector for each in information])
    remaining = np.linalg.solve(matrices + own, vectors[:, :, None])[:, :, 0]
    alignment_m2 = np.linalg.inv(matrices + np.eye(3) / _ALONG_SIGMA_M**2)

    # What the views say.
    line = np.repeat([stretch.line for _, stretch in pieces], sizes)
    centres = np.stack([a.line.point_m.mean(axis=0) for a in assignments])
    views = np.stack([a.line.covariance_m2 for a in assignments])
    view_m2 = views[line] + leverage(points - centres[line], settings)
    offset = remaining[owner]
    for similarity in {id(a.similarity): a.similarity for a in assignments}.values():
        own_lines = [number for number, a in enumerate(assignments) if a.similarity is similarity]
        those = np.isin(line, own_lines)
        offset[those] += similarity.offset_at(points[those])
    left = np.concatenate([assignments[stretch.line].across_m[stretch.seen] for _, stretch in pieces])
    left -= remaining[owner]
    weight = np.array([shape_weight(a.line) for a in assignments])[line]

    fused = fuse(covariance, offset, view_m2, alignment_m2[owner], drift, frame.now_s, frame.noise)
    for number, (track, stretch) in enumerate(pieces):
        part = slice(int(bounds[number]), int(bounds[number + 1]))
        _put(track, stretch, fused, part, shown[track.id], frame.source, settings)
        _reshape(track, stretch, left[part], weight[part])
        seen = assignments[stretch.line].line
        at = np.arange(stretch.start, stretch.stop)
        fuse_widths(track.vertices, at, seen.width_mm[stretch.seen], seen.width_sigma_mm[stretch.seen], seen.gsd_mm)
    errors = {}
    for slot, track in enumerate(tracks):
        mine = (owner == slot).nonzero()[0]
        _count_view(track, shown[track.id], assignments, frame, settings)
        middle = mine[len(mine) // 2]
        before, shift = offset[mine].sum(axis=0) / len(mine), fused.shift_m[mine].sum(axis=0) / len(mine)
        errors[track.id] = FrameError(
            before,
            before - shift,
            remaining[slot] - shift,
            fused.covariance_m2[middle],
            points[middle],
            fused.drift.part(slice(middle, middle + 1)),
            matrices[slot],
            len(mine),
        )
    return errors


def combined(errors: Sequence[FrameError]) -> FrameError | None:
    """What all cracks of a frame say together of its error; None when it shows none."""
    if not errors:
        return None
    # Where nothing is seen of the error, the mean of what they assume.
    weights = np.stack([error.information for error in errors]) + np.eye(3) / _ALONG_SIGMA_M**2
    values = np.stack([np.stack([error.before_m, error.offset_m, error.correction_m], axis=1) for error in errors])
    total = weights.sum(axis=0)
    means = np.linalg.solve(total, (weights @ values).sum(axis=0))
    best = max(errors, key=lambda error: error.count)
    return FrameError(
        means[:, 0], means[:, 1], means[:, 2], best.covariance_m2, best.centre_m, best.drift, total, best.count
    )


def _put(
    track: Track,
    stretch: Stretch,
    fused: FusedViews,
    part: slice,
    stretches: list[Stretch],
    source: str,
    settings: MapSettings,
) -> None:
    """Give the fused values to a stretch; vertices between two stretches go with the nearer one."""
    v, at = track.vertices, slice(stretch.start, stretch.stop)
    v.covariance_m2[at] = fused.covariance_m2[part]
    v.drift[source].put(at, fused.drift.part(part))
    number = stretches.index(stretch)
    low = (stretches[number - 1].stop + stretch.start) // 2 if number else 0
    high = (stretch.stop + stretches[number + 1].start) // 2 if number + 1 < len(stretches) else len(v)
    warp_line(v, stretch.start, stretch.stop, fused.shift_m[part], settings.step_m, low=low, high=high, known_to=source)


def _reshape(track: Track, stretch: Stretch, left_m: Array, weight: Array) -> None:
    """Take the shape (N, 3) that is left after all shifts into the line, across it only."""
    v, at = track.vertices, slice(stretch.start, stretch.stop)
    tangent = tangents(v.point_m[at])
    left = left_m - np.einsum("ni,ni->n", left_m, tangent)[:, None] * tangent
    before = v.shape_weight[at]
    share = weight / (before + weight)
    v.point_m[at] += np.minimum(np.maximum(share[:, None] * left, -_MAX_SHAPE_STEP_M), _MAX_SHAPE_STEP_M)
    v.shape_weight[at] = before + weight


def judged_weight(judged_s: Array, now_s: float, settings: MapSettings) -> Array:
    """How much (N,) of an independent view a frame is that follows others by so much."""
    return np.minimum(np.abs(now_s - judged_s) / settings.evidence_interval_s, 1.0)


def _count_view(
    track: Track, stretches: list[Stretch], assignments: Sequence[Assignment], frame: FrameTime, settings: MapSettings
) -> None:
    v, weights = track.vertices, []
    for stretch in stretches:
        at = slice(stretch.start, stretch.stop)
        weight = judged_weight(v.judged_s[at], frame.now_s, settings)
        v.evidence[at] = np.minimum(v.evidence[at] + weight * settings.hit_log_odds, settings.max_log_odds)
        v.judged_s[at] = np.where(weight > 0, frame.now_s, v.judged_s[at])
        v.shown[at] += 1
        weights.append(float(weight[len(weight) // 2]))
    for number in sorted({stretch.line for stretch in stretches}):
        track.see(assignments[number].line, max(weights))
    track.views += 1
    track.misses = 0
    track.first_seen_ns = min(track.first_seen_ns, frame.stamp_ns)
    track.last_seen_ns = max(track.last_seen_ns, frame.stamp_ns)
    track.snapshot = None


def _forget_old_drifts(track: Track, frame: FrameTime) -> None:
    """Drop what is known of drifts that have decayed since."""
    drifts = track.vertices.drift
    for source in [source for source, drift in drifts.items() if drift.is_over(frame.now_s, frame.noise)]:
        del drifts[source]
