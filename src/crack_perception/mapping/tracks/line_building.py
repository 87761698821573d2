"""Lines that grow, and new ones, from what a frame shows beyond the map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.drift_filter import first_drift
from crack_perception.mapping.tracks.existence import ExistenceProbability
from crack_perception.mapping.tracks.fusion import RELATIVE_SIGMA_M, FrameError, FrameTime, leverage, shape_weight
from crack_perception.mapping.tracks.track import Track, Vertices

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# A view that reaches beyond the end of a crack may just lie a little further along it: the next one has to agree.
_EXTENSION_SHARE = 0.3


def extend(
    track: Track,
    at_end: bool,
    line: ViewLine,
    part: Index,
    offset_m: Array,
    error: FrameError,
    frame: FrameTime,
    settings: MapSettings,
) -> None:
    """Append vertices of a line beyond one of the crack's ends.

    Args:
        part: (N,) the vertices, in the order that leads away from the crack.
        offset_m: (N, 3) by which they are off.
        error: What the frame is off by against this crack.
    """
    added = len(part)
    count = len(track.vertices)
    positions = np.arange(count + added) if at_end else np.arange(-added, count)
    v = track.vertices.at(positions.astype(float))
    new = np.arange(count, count + added) if at_end else np.arange(added)
    if not at_end:
        part, offset_m = part[::-1], offset_m[::-1]
    v.point_m[new] = line.point_m[part] - offset_m
    v.covariance_m2[new] = error.covariance_at(v.point_m[new], settings)
    v.shape_weight[new] = shape_weight(line)
    v.evidence[new] = _EXTENSION_SHARE * settings.hit_log_odds
    v.judged_s[new] = frame.now_s
    v.width_mm[new], v.width_sigma_mm[new] = line.width_mm[part], line.width_sigma_mm[part]
    v.width_gsd_mm[new] = np.where(np.isfinite(v.width_mm[new]), line.gsd_mm, np.nan)
    v.width_views[new] = np.isfinite(v.width_mm[new])
    v.shown[new] = 1.0
    for count_beside in v.parallel_views.values():
        count_beside[new] = 0.0
    track.vertices = v
    track.even_out(settings.step_m)
    track.snapshot = None


def new_track(
    identifier: int,
    line: ViewLine,
    part: Index,
    offset_m: Array,
    error: FrameError | None,
    frame: FrameTime,
    settings: MapSettings,
) -> Track:
    """A crack that no frame has shown before.

    Args:
        part: (N,) the vertices of the line that it is made of.
        offset_m: (N, 3) by which they are off.
        error: What the frame is off by against the cracks that it shows, where it shows any.
    """
    points = line.point_m[part] - offset_m
    count = len(points)
    if error is None:
        covariance = line.covariance_m2 + leverage(points - line.point_m.mean(axis=0), settings)
        drift = first_drift(count, frame.now_s, frame.noise)
    else:
        covariance = error.covariance_at(points, settings) + RELATIVE_SIGMA_M**2 * np.eye(3)
        drift = error.drift.map(lambda values: np.repeat(values, count, axis=0))
    width = line.width_mm[part]
    vertices = Vertices(
        point_m=points,
        covariance_m2=covariance,
        shape_weight=np.full(count, shape_weight(line)),
        evidence=np.full(count, settings.hit_log_odds),
        judged_s=np.full(count, frame.now_s),
        width_mm=width,
        width_sigma_mm=line.width_sigma_mm[part],
        width_gsd_mm=np.where(np.isfinite(width), line.gsd_mm, np.nan),
        width_views=np.isfinite(width).astype(float),
        drift={frame.source: drift},
        shown=np.ones(count),
    )
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
