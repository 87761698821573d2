"""What a frame that shows a crack changes in the map: its position, shape, extent, width and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.alignment import ShiftInformation
from crack_perception.mapping.association import Assignment
from crack_perception.mapping.drift_filter import Drift, NoiseProcess, first_drift, fuse
from crack_perception.mapping.map_settings import MapSettings
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.polylines import arc_lengths, runs, tangents
from crack_perception.mapping.track import Track, Vertices, log_odds
from crack_perception.mapping.view_lines import ViewLine
from crack_perception.mapping.width_fusion import fuse_widths

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# Cracks of one frame are off alike but for this.
_RELATIVE_SIGMA_M = 0.01
# What a view says of a shift along a straight line.
_ALONG_SIGMA_M = 0.5
# Over this length a shift of one part of a line takes its neighbourhood along.
_TAPER_M = 0.5
_MAX_SHAPE_STEP_M = 0.03
# After so many correlation times nothing is left of a drift.
_DECAYED = 10.0


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
    """What a frame turned out to be off by against the cracks it shows, once they had taken it in.

    Attributes:
        before_m: (3,) what it was off by before they had.
        offset_m: (3,) by which its lines must be moved back.
        correction_m: (3,) what of it the alignment of the frame does not say.
        covariance_m2: (3, 3) of what is then left.
        drift: Of the source there, for one vertex.
        information: (3, 3) in which directions and how well it was seen.
        vertices: (M,) of the crack that the frame shows.
    """

    before_m: Array
    offset_m: Array
    correction_m: Array
    covariance_m2: Array
    drift: Drift
    information: Array
    vertices: Index


def view_covariances(line: ViewLine, points_m: Array, settings: MapSettings) -> Array:
    """(N, 3, 3) covariance of a view at points of a line: the further from its centre, the less is known."""
    return line.covariance_m2 + leverage(points_m - line.point_m.mean(axis=0), settings)


def leverage(relative_m: Array, settings: MapSettings) -> Array:
    """(N, 3, 3) covariance that errors of direction and scale cause at a distance (N, 3)."""
    squares = np.einsum("ni,nj->nij", relative_m, relative_m)
    turned = np.einsum("nii->n", squares)[:, None, None] * np.eye(3) - squares
    return np.asarray(settings.rotation_sigma_rad**2 * turned + settings.scale_sigma**2 * squares)


def take_in(track: Track, assignments: list[Assignment], frame: FrameTime, settings: MapSettings) -> FrameError:
    """Fuse the parts of a frame that show a crack into it."""
    v = track.vertices
    pieces = [a for a in assignments if track.id in a.information]
    information = sum((a.information[track.id] for a in pieces), ShiftInformation(np.zeros((3, 3)), np.zeros(3)))
    own = np.linalg.inv(0.5 * v.covariance_m2.mean(axis=0) + _RELATIVE_SIGMA_M**2 * np.eye(3))
    remaining = np.linalg.solve(information.matrix + own, information.vector)
    alignment_m2 = np.asarray(np.linalg.inv(information.matrix + np.eye(3) / _ALONG_SIGMA_M**2))

    count = len(v)
    offset, view_m2, shape = np.zeros((count, 3)), np.zeros((count, 3, 3)), np.zeros((count, 3))
    gsd_weight, hit = np.zeros(count), np.zeros(count, dtype=bool)
    for piece in pieces:
        for start, stop in runs(piece.owner == track.id):
            feet = piece.foot[start:stop]
            at = np.arange(feet.min(), feet.max() + 1)
            order = np.argsort(feet, kind="stable")
            offset[at] = piece.similarity.offset_at(v.point_m[at]) + remaining
            view_m2[at] = view_covariances(piece.line, v.point_m[at], settings)
            left = piece.across_m[start:stop][order] - remaining
            shape[at] = np.stack([np.interp(at, feet[order], left[:, axis]) for axis in range(3)], axis=1)
            gsd_weight[at] = _gsd_weight(piece.line.gsd_mm)
            hit[at] = True
            source = start + order[np.minimum(np.searchsorted(feet[order], at), len(feet) - 1)]
            fuse_widths(v, at, piece.line.width_mm[source], piece.line.width_sigma_mm[source], piece.line.gsd_mm)

    at = np.flatnonzero(hit)
    _forget_old_drifts(v, frame)
    drift = v.drift.setdefault(frame.source, Drift.unknown(count))
    fused = fuse(
        v.covariance_m2[at],
        offset[at],
        view_m2[at],
        alignment_m2,
        drift.map(lambda values: np.asarray(values[at])),
        frame.now_s,
        frame.noise,
    )
    v.covariance_m2[at] = fused.covariance_m2
    drift.put(at, fused.drift)
    move(v, at, fused.shift_m, frame.source)
    _reshape(v, at, shape[at], gsd_weight[at])
    weight = _add_hits(v, at, frame.now_s, settings)
    for piece in pieces:
        _count_view(track, piece.line, weight)
    track.views += 1
    track.misses = 0
    track.first_seen_ns = min(track.first_seen_ns, frame.stamp_ns)
    track.last_seen_ns = max(track.last_seen_ns, frame.stamp_ns)
    track.snapshot = None
    middle = Drift(
        np.array([frame.now_s]),
        fused.drift.offset_m.mean(axis=0)[None],
        fused.drift.gain.mean(keepdims=True),
        fused.drift.variance.mean(keepdims=True),
    )
    shift = fused.shift_m.mean(axis=0)
    covariance = fused.covariance_m2.mean(axis=0)
    before = offset[at].mean(axis=0)
    return FrameError(before, before - shift, remaining - shift, covariance, middle, information.matrix, at)


def combined(errors: list[FrameError]) -> FrameError | None:
    """What all cracks of a frame say together of its error; None when it shows none."""
    if not errors:
        return None
    # Where nothing is seen of the error, the mean of what they assume.
    weights = [error.information + np.eye(3) / _ALONG_SIGMA_M**2 for error in errors]
    total = np.sum(weights, axis=0)

    def mean(values: list[Array]) -> Array:
        return np.asarray(np.linalg.solve(total, sum(w @ value for w, value in zip(weights, values, strict=True))))

    best = max(errors, key=lambda error: len(error.vertices))
    return FrameError(
        mean([error.before_m for error in errors]),
        mean([error.offset_m for error in errors]),
        mean([error.correction_m for error in errors]),
        np.average([error.covariance_m2 for error in errors], axis=0, weights=[len(e.vertices) for e in errors]),
        best.drift,
        total,
        best.vertices,
    )


def extend(
    track: Track, at_end: bool, line: ViewLine, part: Index, offset_m: Array, frame: FrameTime, settings: MapSettings
) -> None:
    """Append vertices of a line beyond one of the crack's ends.

    Args:
        part: (N,) the vertices, in the order that leads away from the crack.
        offset_m: (N, 3) by which they are off.
    """
    added = len(part)
    count = len(track.vertices)
    positions = np.arange(count + added) if at_end else np.arange(-added, count)
    end = track.vertices.point_m[-1 if at_end else 0]
    v = track.vertices.at(positions.astype(float))
    new = np.arange(count, count + added) if at_end else np.arange(added)
    if not at_end:
        part, offset_m = part[::-1], offset_m[::-1]
    v.point_m[new] = line.point_m[part] - offset_m
    v.covariance_m2[new] += leverage(v.point_m[new] - end, settings)
    v.shape_weight[new] = _gsd_weight(line.gsd_mm)
    v.evidence[new] = settings.hit_log_odds
    v.judged_s[new] = frame.now_s
    v.width_mm[new], v.width_sigma_mm[new] = line.width_mm[part], line.width_sigma_mm[part]
    v.width_gsd_mm[new] = np.where(np.isfinite(v.width_mm[new]), line.gsd_mm, np.nan)
    v.width_views[new] = np.isfinite(v.width_mm[new])
    track.vertices = v
    track.even_out(settings.step_m)
    track.snapshot = None


def new_track(
    identifier: int,
    line: ViewLine,
    part: Index,
    error: FrameError | None,
    frame: FrameTime,
    settings: MapSettings,
) -> Track:
    """A crack that no frame has shown before.

    Args:
        error: What the frame is off by where that is known, so that the crack comes to lie right beside the others.
    """
    points = line.point_m[part]
    count = len(points)
    if error is None:
        covariance = view_covariances(line, points, settings)
        drift = first_drift(count, frame.now_s, frame.noise)
    else:
        points -= error.offset_m
        covariance = error.covariance_m2 + leverage(points - points.mean(axis=0), settings)
        covariance = covariance + _RELATIVE_SIGMA_M**2 * np.eye(3)
        drift = error.drift.map(lambda values: np.repeat(values, count, axis=0))
    width = line.width_mm[part]
    vertices = Vertices(
        point_m=points,
        covariance_m2=covariance,
        shape_weight=np.full(count, _gsd_weight(line.gsd_mm)),
        evidence=np.full(count, settings.hit_log_odds),
        judged_s=np.full(count, frame.now_s),
        width_mm=width,
        width_sigma_mm=line.width_sigma_mm[part],
        width_gsd_mm=np.where(np.isfinite(width), line.gsd_mm, np.nan),
        width_views=np.isfinite(width).astype(float),
        drift={frame.source: drift},
    )
    track = Track(
        id=identifier,
        state=CrackState.NEW,
        vertices=vertices,
        normal=line.normal.copy(),
        score_log_odds=log_odds(line.score),
        gsd_mm=line.gsd_mm,
        coarsest_gsd_mm=line.gsd_mm,
        views=1,
        misses=0,
        first_seen_ns=frame.stamp_ns,
        last_seen_ns=frame.stamp_ns,
    )
    track.even_out(settings.step_m)
    return track


def move(v: Vertices, at: Index, shift_m: Array, known_to: str | None = None) -> None:
    """Shift the vertices ``at``, and what is near them along the line the less, the further and the surer it is.

    Args:
        known_to: The source whose drift at these vertices has been told of the shift already.
    """
    along = arc_lengths(v.point_m)
    after = np.clip(np.searchsorted(along[at], along), 0, len(at) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(along - along[at][before] < along[at][after] - along, before, after)
    traces = np.einsum("nii->n", v.covariance_m2)
    surer = np.minimum(1.0, traces / np.maximum(traces[at][nearest], 1e-12))
    taper = np.exp(-np.abs(along - along[at][nearest]) / _TAPER_M) * surer
    taper[at] = 1.0
    shift = taper[:, None] * shift_m[nearest]
    v.point_m += shift
    for source, drift in v.drift.items():
        told = drift.gain[:, None] * shift
        if source == known_to:
            told[at] = 0.0
        drift.offset_m -= told


def _forget_old_drifts(v: Vertices, frame: FrameTime) -> None:
    """Drop what is known of drifts that have decayed since."""
    limit_s = _DECAYED * frame.noise.error_correlation_s
    old = [source for source, drift in v.drift.items() if np.all(np.abs(frame.now_s - drift.seen_s) > limit_s)]
    for source in old:
        del v.drift[source]


def _reshape(v: Vertices, at: Index, left_m: Array, weight: Array) -> None:
    """Take the shape (N, 3) that is left after all shifts into the vertices ``at``, across the line only."""
    tangent = tangents(v.point_m)[at]
    left = left_m - np.einsum("ni,ni->n", left_m, tangent)[:, None] * tangent
    share = weight / (v.shape_weight[at] + weight)
    v.point_m[at] += np.clip(share[:, None] * left, -_MAX_SHAPE_STEP_M, _MAX_SHAPE_STEP_M)
    v.shape_weight[at] += weight


def _add_hits(v: Vertices, at: Index, now_s: float, settings: MapSettings) -> float:
    """Raise the evidence of the vertices ``at``; the mean weight of this view, 1 when nothing came just before."""
    weight = judged_weight(v.judged_s[at], now_s, settings)
    v.evidence[at] = np.minimum(v.evidence[at] + weight * settings.hit_log_odds, settings.max_log_odds)
    v.judged_s[at] = np.where(weight > 0, now_s, v.judged_s[at])
    return float(weight.mean())


def judged_weight(judged_s: Array, now_s: float, settings: MapSettings) -> Array:
    """How much (N,) of an independent view a frame is that follows others by so much."""
    return np.minimum(np.abs(now_s - judged_s) / settings.evidence_interval_s, 1.0)


def _count_view(track: Track, line: ViewLine, weight: float) -> None:
    track.add_score(line.score, weight)
    track.gsd_mm = float(np.fmin(track.gsd_mm, line.gsd_mm))
    track.coarsest_gsd_mm = float(np.fmax(track.coarsest_gsd_mm, line.gsd_mm))
    normal = track.views * track.normal + line.normal
    track.normal = normal / np.linalg.norm(normal)


def _gsd_weight(gsd_mm: float) -> float:
    return gsd_mm**-2 if np.isfinite(gsd_mm) else 1.0
