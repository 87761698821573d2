"""Whether a crack is there: what frames say for it and against it, and the state that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from crack_perception.mapping.camera_error import CameraErrorModel
from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.polylines import length_of
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.fusion import Stretch, judged_weight
from crack_perception.mapping.tracks.track import Track

# A frame's outline is off by as much as its lines; what lies within so many standard deviations may not be in it.
_MARGIN_SIGMAS, _DEPTH_SIGMAS = 2.0, 4.0
_RELIEF_M = 0.05
# A lost crack comes back with the first frame that shows it.
_LEAST_SHARE = 0.75
# A confirmed crack is doubted again when its probability is this much below what confirms one.
_DOUBT = 0.1


def depth_m(source: CameraErrorModel) -> float:
    """How far off the plane of a footprint cracks may be that lie in it."""
    return _DEPTH_SIGMAS * source.sigma_m + _RELIEF_M


def add_misses(
    tracks: Sequence[Track],
    shown: Mapping[int, Sequence[Stretch]],
    footprint: Footprint,
    source: CameraErrorModel,
    now_s: float,
    settings: MapSettings,
) -> set[int]:
    """Lower the evidence of what a frame should have shown and did not; the ids of the cracks that it concerns.

    Args:
        tracks: Cracks around the footprint.
        shown: What the frame does show, by id.
    """
    gsd_mm = source.gsd_mm(footprint)
    facing = np.cos(settings.max_normal_angle_rad)
    expected = [
        track
        for track in tracks
        if gsd_mm <= settings.gsd_tolerance * track.coarsest_gsd_mm and abs(track.normal @ footprint.normal) >= facing
    ]
    if not expected:
        return set()
    points = np.concatenate([track.vertices.point_m for track in expected])
    visible = footprint.shows(points, _MARGIN_SIGMAS * source.sigma_m, depth_m(source))
    floor = -_LEAST_SHARE * settings.hit_log_odds
    concerned, first = set(), 0
    for track in expected:
        v = track.vertices
        in_view = visible[first : first + len(v)]
        first += len(v)
        missed = in_view.copy()
        for stretch in shown.get(track.id, ()):
            missed[stretch.start : stretch.stop] = False
        _count_expected(track, int(in_view.sum()), int(missed.sum()), now_s, settings)
        if not missed.any():
            continue
        concerned.add(track.id)
        weight = judged_weight(v.judged_s[missed], now_s, settings)
        v.evidence[missed] = np.maximum(v.evidence[missed] + weight * settings.miss_log_odds, floor)
        v.judged_s[missed] = np.where(weight > 0, now_s, v.judged_s[missed])
        track.misses += track.id not in shown and 2 * int(missed.sum()) >= len(v)
        track.snapshot = None
    return concerned


def _count_expected(track: Track, in_view: int, missed: int, now_s: float, settings: MapSettings) -> None:
    """Update the existence probability with a frame that covers ``in_view`` vertices and misses ``missed`` of them."""
    if not in_view:
        return
    existence = track.existence
    independent = min(abs(now_s - existence.expected_s) / settings.evidence_interval_s, 1.0)
    existence.expected_s = now_s
    existence.expect(1.0 - missed / in_view, independent * in_view / len(track.vertices))


def judge(track: Track, settings: MapSettings) -> bool:
    """Set the state of a crack by its evidence, and cut off ends that are not there.

    What looks like a crack too little, or shows itself too rarely, stays new however many frames have shown it.

    Returns:
        False when it is a new one that is not there: it is to be removed.
    """
    likely = (track.vertices.evidence >= 0).nonzero()[0]
    before = track.state
    if len(likely) == 0:
        if track.state is CrackState.NEW:
            return False
        track.state = CrackState.LOST
    elif track.state is CrackState.LOST or _seen_enough(track, settings):
        track.state = _believed(track, settings)
    if track.state is not before:
        track.snapshot = None
    if len(likely):
        first, last = int(likely[0]), int(likely[-1])
        shorter = last - first + 1 < len(track.vertices)
        if shorter and last > first and length_of(track.vertices.point_m[first : last + 1]) >= settings.min_length_m:
            track.vertices = track.vertices.at(np.arange(first, last + 1).astype(float))
            track.snapshot = None
    return True


def _believed(track: Track, settings: MapSettings) -> CrackState:
    least = settings.confirm_score - (_DOUBT if track.state is CrackState.CONFIRMED else 0.0)
    return CrackState.CONFIRMED if track.existence.score >= least else CrackState.NEW


def _seen_enough(track: Track, settings: MapSettings) -> bool:
    span_s = (track.last_seen_ns - track.first_seen_ns) * 1e-9
    return track.views >= settings.confirm_views and span_s > settings.confirm_span_s
