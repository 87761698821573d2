# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evidence of frames that should have shown a crack and did not, and the state that follows from all evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.camera_error import CameraErrorModel
from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.polylines import length_of
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.fusion import TrackUpdate, independent_share
from crack_perception.mapping.tracks.track import Track
from crack_perception.mapping.tracks.vertices import EVIDENCE, JUDGED, POINT, bounds_of

Array = npt.NDArray[np.float64]

# A frame's outline has the position error of its lines: vertices within so many standard deviations may be outside.
_MARGIN_SIGMAS, _DEPTH_SIGMAS = 2.0, 4.0
_RELIEF_M = 0.05
# The evidence of a lost crack stays so high that the next frame that shows the crack restores it.
_LEAST_SHARE = 0.75
# A confirmed crack becomes a new one when its probability is this much below what confirms one.
_DOUBT = 0.1


@dataclass(frozen=True, eq=False)
class ExpectedView:
    """A crack, shown or not, that a frame should have shown.

    Attributes:
        track: Its id.
        in_view: Number of its vertices inside the frame.
        missed: Number of these that the frame does not show.
        evidence, judged_s: (N,) new values of its vertices; None where no vertex was missed.
        is_miss: Whether the frame shows nothing of it and covers at least half of it.
    """

    track: int
    in_view: int
    missed: int
    evidence: Array | None
    judged_s: Array | None
    is_miss: bool


def depth_m(camera: CameraErrorModel) -> float:
    """Largest distance from the plane of a footprint of cracks that lie in it."""
    return _DEPTH_SIGMAS * camera.sigma_m + _RELIEF_M


def expected_views(
    tracks: Sequence[Track],
    updates: Mapping[int, TrackUpdate],
    footprint: Footprint,
    camera: CameraErrorModel,
    now_s: float,
    settings: MapSettings,
) -> list[ExpectedView]:
    """Cracks that a frame should have shown, and their evidence with what it did not show.

    Args:
        tracks: Cracks around the footprint.
        updates: New states of the cracks that the frame does show, by id.
    """
    gsd_mm = camera.gsd_mm(footprint)
    facing = math.cos(settings.max_normal_angle_rad)
    expected = [
        track
        for track in tracks
        if gsd_mm <= settings.gsd_tolerance * track.coarsest_gsd_mm and abs(track.normal @ footprint.normal) >= facing
    ]
    if not expected:
        return []
    parts = [updates[track.id].vertices if track.id in updates else track.vertices for track in expected]
    bounds = bounds_of(parts)
    points = np.concatenate([part.geometry[:, POINT] for part in parts])
    visible = footprint.shows(points, _MARGIN_SIGMAS * camera.sigma_m, depth_m(camera))
    missed = visible.copy()
    for track, first in zip(expected, bounds, strict=False):
        for stretch in updates[track.id].stretches if track.id in updates else ():
            missed[first + stretch.start : first + stretch.stop] = False
    in_view, not_shown = (np.add.reduceat(mask, bounds[:-1], dtype=np.intp).tolist() for mask in (visible, missed))
    views = []
    for number, track in enumerate(expected):
        if not in_view[number]:
            continue
        evidence = judged = None
        if not_shown[number]:
            at = missed[bounds[number] : bounds[number + 1]]
            evidence, judged = _with_misses(parts[number].states, at, now_s, settings)
        is_miss = track.id not in updates and 2 * not_shown[number] >= len(parts[number])
        views.append(ExpectedView(track.id, in_view[number], not_shown[number], evidence, judged, is_miss))
    return views


def _with_misses(
    states: Array, missed: npt.NDArray[np.bool_], now_s: float, settings: MapSettings
) -> tuple[Array, Array]:
    """Evidence (N,) and its time (N,) of the vertices of a crack of which a frame misses some (N,)."""
    weight = independent_share(states[:, JUDGED], now_s, settings) * missed
    floor = -_LEAST_SHARE * settings.hit_log_odds
    evidence = states[:, EVIDENCE]
    lowered = np.where(missed, np.maximum(evidence + weight * settings.miss_log_odds, floor), evidence)
    return lowered, np.where(weight > 0, now_s, states[:, JUDGED])


def add_expected_view(track: Track, view: ExpectedView, now_s: float, settings: MapSettings) -> None:
    """Update a crack with a frame that should have shown it."""
    v, existence = track.vertices, track.existence
    independent = min(abs(now_s - existence.expected_s) / settings.evidence_interval_s, 1.0)
    existence.expected_s = now_s
    existence.add_expected_view(1.0 - view.missed / view.in_view, independent * view.in_view / len(v))
    if view.evidence is None or view.judged_s is None:
        return
    v.evidence[:], v.judged_s[:] = view.evidence, view.judged_s
    track.misses += view.is_miss
    track.snapshot = None


def classify(track: Track, settings: MapSettings) -> bool:
    """Set the state of a crack by its evidence, and cut off ends without evidence.

    A crack with low scores, or one that frames show too rarely, stays new however many frames have shown it.

    Returns:
        False when it is a new one without evidence: it is to be removed.
    """
    evidence = track.vertices.evidence
    before = track.state
    is_likely = float(evidence.max()) >= 0
    if not is_likely:
        if track.state is CrackState.NEW:
            return False
        track.state = CrackState.LOST
    elif track.state is CrackState.LOST or _seen_enough(track, settings):
        track.state = _confirmed_or_new(track, settings)
    if track.state is not before:
        track.snapshot = None
    if is_likely and not (evidence[0] >= 0 and evidence[-1] >= 0):
        likely = (evidence >= 0).nonzero()[0]
        first, last = int(likely[0]), int(likely[-1])
        if last > first and length_of(track.vertices.point_m[first : last + 1]) >= settings.min_length_m:
            track.vertices = track.vertices.part(first, last + 1)
            track.snapshot = None
    return True


def _confirmed_or_new(track: Track, settings: MapSettings) -> CrackState:
    least = settings.confirm_score - (_DOUBT if track.state is CrackState.CONFIRMED else 0.0)
    return CrackState.CONFIRMED if track.existence.score >= least else CrackState.NEW


def _seen_enough(track: Track, settings: MapSettings) -> bool:
    span_s = (track.last_seen_ns - track.first_seen_ns) * 1e-9
    return track.views >= settings.confirm_views and span_s > settings.confirm_span_s
