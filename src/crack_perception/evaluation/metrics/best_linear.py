# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Position errors of the crack map beside those of the best linear estimate from the same frames.

The best linear estimate of a place on a crack is the generalised least squares mean of all frames that show it, with
the true association and the error process that the map assumes: a Gauss-Markov drift and white noise for each source.
No fusion that is linear in the measured positions has a smaller error under that model.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crack_perception.evaluation.metrics.detections import FloatArray
from crack_perception.evaluation.metrics.line_match import match_line
from crack_perception.evaluation.metrics.line_pieces import sample_crack
from crack_perception.evaluation.metrics.true_lines import TrueLines
from crack_perception.mapping.association.matching import Association, ShiftPrior, associate
from crack_perception.mapping.association.view_lines import view_lines
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.observation import FrameObservation
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.fusion import leverage
from crack_perception.mapping.tracks.track import Track, track_of
from crack_perception.simulation.flight.truth import Truth

SECTION_M = 0.25
"""Length of the parts of a crack whose position is estimated."""
# Vertices of a line in a section from which on it counts.
_LEAST_VERTICES = 4
# Standard deviation of the true lines in the association, and of the error of a frame against its prediction.
_TRUE_SIGMA_M, _FRAME_SIGMA_M = 0.001, 0.01
# A view is aligned with the true lines from the error of the one before it, unless that is older.
_DECAYED = 5.0

Section = tuple[int, int]
"""Number of a true crack, and of a section along it."""


@dataclass(frozen=True, eq=False)
class SectionView:
    """Measured position error of a section in one frame.

    Attributes:
        offset_m: (3,) from the true line, mean over the vertices.
        covariance_m2: (3, 3) that the frame states for it.
        stamp_s: Time of the frame.
        source: Its camera.
    """

    offset_m: FloatArray
    covariance_m2: FloatArray
    stamp_s: float
    source: str


@dataclass(frozen=True)
class FusionErrors:
    """Root mean squares of position errors across the cracks, in space [m], over all sections that both have.

    Attributes:
        fused_m: Of the map.
        linear_m: Of the best linear estimate.
        sections: Their number.
    """

    fused_m: float
    linear_m: float
    sections: int


def best_linear_estimate(
    views: Sequence[SectionView], axes: FloatArray, error_correlation_s: float, white_share: float, shape_sigma_m: float
) -> FloatArray:
    """Generalised least squares mean (A,) of the offsets of K views in the directions ``axes`` (A, 3).

    Args:
        shape_sigma_m: Standard deviation of the mean of a line's shape in a section, independent in each view.
    """
    count, width = len(views), len(axes)
    times = np.array([view.stamp_s for view in views])
    sources = np.array([view.source for view in views])
    drift = np.exp(-np.abs(times[:, None] - times) / error_correlation_s) * (sources[:, None] == sources)
    correlation = (1 - white_share) * drift + white_share * np.eye(count)
    roots = np.linalg.cholesky(axes @ np.stack([view.covariance_m2 for view in views]) @ axes.T)
    blocks = np.einsum("kl,kab,lcb->kalc", correlation, roots, roots).reshape(count * width, count * width)
    blocks += shape_sigma_m**2 * np.eye(count * width)
    design = np.tile(np.eye(width), (count, 1))
    values = np.concatenate([axes @ view.offset_m for view in views])
    weighted = np.linalg.solve(blocks, np.column_stack([design, values]))
    return np.asarray(np.linalg.solve(design.T @ weighted[:, :width], design.T @ weighted[:, width]))


def measure_fusion(
    cracks: Sequence[MappedCrack],
    truth: Truth,
    frames: Sequence[FrameObservation],
    settings: MapSettings,
    white_share: float,
) -> FusionErrors | None:
    """Compare the confirmed cracks of a map with the best linear estimates; None without a common section.

    Args:
        white_share: Share of the variance of a position error that is independent from frame to frame.
    """
    tracks = _true_tracks(truth, settings)
    views = _section_views(tracks, frames, settings, white_share)
    fused = _fused_offsets(cracks, truth)
    squares = []
    for section in sorted(views.keys() & fused.keys()):
        axes = _axes(tracks[section[0]], section[1], settings)
        linear = best_linear_estimate(
            views[section], axes, settings.error_correlation_s, white_share, settings.shape_sigma_m
        )
        squares.append((float(np.sum((axes @ fused[section]) ** 2)), float(linear @ linear)))
    if not squares:
        return None
    fused_m, linear_m = np.sqrt(np.mean(squares, axis=0)).tolist()
    return FusionErrors(fused_m, linear_m, len(squares))


def _true_tracks(truth: Truth, settings: MapSettings) -> list[Track]:
    """Tracks along the true cracks; their ids are their numbers plus one."""
    tracks = []
    for number, crack in enumerate(truth.cracks):
        unknown = np.full(len(crack.polyline_m), np.nan)
        track = track_of(
            MappedCrack(
                number + 1,
                CrackState.CONFIRMED,
                crack.polyline_m,
                unknown,
                unknown,
                truth.surfaces[crack.surface].normal,
                _TRUE_SIGMA_M**2 * np.eye(3),
                1.0,
                math.nan,
                1,
                0,
                0,
                0,
            ),
            settings.max_log_odds,
        )
        track.even_out(settings.step_m)
        tracks.append(track)
    return tracks


def _section_of(vertex: int, settings: MapSettings) -> int:
    return int(vertex * settings.step_m / SECTION_M)


def _axes(track: Track, section: int, settings: MapSettings) -> FloatArray:
    """Directions (2, 3) across a section in its surface and along the surface normal."""
    points = track.vertices.point_m
    first = min(round(section * SECTION_M / settings.step_m), len(points) - 2)
    last = min(round((section + 1) * SECTION_M / settings.step_m), len(points) - 1)
    across = np.cross(track.normal, points[max(last, first + 1)] - points[first])
    return np.stack([across / np.linalg.norm(across), track.normal])


def _section_views(
    tracks: Sequence[Track], frames: Sequence[FrameObservation], settings: MapSettings, white_share: float
) -> dict[Section, list[SectionView]]:
    """All views of each section; frames are associated with the true lines."""
    views: dict[Section, list[SectionView]] = defaultdict(list)
    before: dict[str, tuple[float, FloatArray]] = {}
    for frame in frames:
        lines = view_lines(frame.observations, settings, Counter())
        if not len(lines):
            continue
        now_s = frame.stamp_ns * 1e-9
        view_m2 = lines.covariance_m2.mean(axis=0)
        seen_s, shift_m = before.get(frame.source, (-math.inf, np.zeros(3)))
        age = abs(now_s - seen_s) / settings.error_correlation_s
        memory = math.exp(-age) if age < _DECAYED else 0.0
        share = white_share + (1 - white_share) * (1 - memory**2)
        prior = ShiftPrior(memory * shift_m, share * view_m2 + _FRAME_SIGMA_M**2 * np.eye(3), view_m2)
        found = associate(lines, tracks, prior, settings)
        shown = [assignment for assignment in found.assignments if assignment.information]
        if shown:
            before[frame.source] = now_s, shown[0].similarity.shift_m
        for section, offset_m, covariance_m2 in _offsets(found, tracks, settings):
            views[section].append(SectionView(offset_m, covariance_m2, now_s, frame.source))
    return views


def _offsets(
    found: Association, tracks: Sequence[Track], settings: MapSettings
) -> list[tuple[Section, FloatArray, FloatArray]]:
    """Sections that a frame shows, with the offsets of its vertices (3,) and their covariances (3, 3)."""
    rows: dict[Section, list[tuple[int, FloatArray]]] = defaultdict(list)
    for number, assignment in enumerate(found.assignments):
        for vertex in assignment.owner.nonzero()[0].tolist():
            crack, foot = int(assignment.owner[vertex]) - 1, int(assignment.foot[vertex])
            offset_m = assignment.line.point_m[vertex] - tracks[crack].vertices.point_m[foot]
            rows[crack, _section_of(foot, settings)].append((number, offset_m))
    offsets = []
    for (crack, section), seen in rows.items():
        if len(seen) < _LEAST_VERTICES:
            continue
        points = tracks[crack].vertices.point_m
        middle = min(round((section + 0.5) * SECTION_M / settings.step_m), len(points) - 1)
        line = found.assignments[seen[0][0]].line
        away = leverage((points[middle] - line.point_m.mean(axis=0))[None], settings)[0]
        offsets.append(((crack, section), np.mean([each for _, each in seen], axis=0), line.covariance_m2 + away))
    return offsets


def _fused_offsets(cracks: Sequence[MappedCrack], truth: Truth) -> dict[Section, FloatArray]:
    """Mean offset (3,) of the mapped lines from each section; the shape of an object decides what it belongs to."""
    samples = [sample_crack(crack) for crack in truth.cracks]
    lines = TrueLines(samples)
    true_m = np.concatenate([each.points_m for each in samples])
    offsets: dict[Section, list[FloatArray]] = defaultdict(list)
    for crack in cracks:
        if crack.state is not CrackState.CONFIRMED:
            continue
        match = match_line(lines, crack.line_m, crack.covariance_m2)
        along = match.fitted(lines)
        for row in (along.distance_m <= match.tolerance_m).nonzero()[0].tolist():
            piece = int(along.piece[row])
            section = int(lines.crack[piece]), int(lines.along_m[piece] / SECTION_M)
            offsets[section].append(match.pieces.points_m[row] - true_m[piece])
    return {section: np.mean(each, axis=0) for section, each in offsets.items()}
