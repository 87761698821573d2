"""What is compared when a frame is matched with the map: the vertices of its lines and of the cracks around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.alignment import Index, Lines
from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.polylines import cross, nearest_squares, tangents
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.track import Track

Array = npt.NDArray[np.float64]

MAX_TOLERANCE_M = 0.08
"""Matched lines may differ by their shapes' errors and by part of the map's own error, but by no more than this."""
_MIN_TOLERANCE_M = 0.025
_COARSE = 4
# The width at a vertex is a mean over so many of them.
_WIDTH_VERTICES = 11


def view_vertices(lines: Sequence[ViewLine]) -> Lines:
    """The vertices of a frame's lines, owned by their number."""
    counts = [len(line) for line in lines]
    total = sum(counts)
    return Lines(
        np.concatenate([line.point_m for line in lines]),
        np.concatenate([line.tangent for line in lines]),
        np.repeat([line.normal for line in lines], counts, axis=0),
        np.repeat(np.arange(len(lines)), counts),
        np.concatenate([np.arange(count) for count in counts]),
        np.full(total, np.inf),
        np.concatenate([comparable_log_width(line.width_mm, line.gsd_mm) for line in lines]),
    )


def map_vertices(tracks: Sequence[Track], query: Lines, settings: MapSettings) -> tuple[Lines, Array]:
    """The vertices (M), owned by id, of the cracks around the frame's lines, and their covariances (M, 3, 3)."""
    low = query.point_m.min(axis=0) - settings.max_offset_m
    high = query.point_m.max(axis=0) + settings.max_offset_m
    chosen: list[tuple[Track, Index]] = []
    for track in tracks:
        points = track.vertices.point_m
        at = np.all((points >= low) & (points <= high), axis=1).nonzero()[0]
        if len(at):
            at = at[nearest_squares(points[at], query.point_m[::_COARSE]) <= settings.max_offset_m**2]
        if len(at) >= 2:
            chosen.append((track, at))
    if not chosen:
        empty = np.zeros((0, 3))
        none, nothing = np.zeros(0, int), np.zeros(0)
        return Lines(empty, empty, empty, none, none, nothing, nothing), np.zeros((0, 3, 3))
    tangent = np.concatenate([tangents(track.vertices.point_m)[at] for track, at in chosen])
    normal = np.repeat([track.normal for track, _ in chosen], [len(at) for _, at in chosen], axis=0)
    covariance = np.concatenate([track.vertices.covariance_m2[at] for track, at in chosen])
    across = cross(normal, tangent)
    tolerance = map_tolerance(across, covariance, settings)
    lines = Lines(
        np.concatenate([track.vertices.point_m[at] for track, at in chosen]),
        tangent,
        normal,
        np.repeat([track.id for track, _ in chosen], [len(at) for _, at in chosen]),
        np.concatenate([at for _, at in chosen]),
        tolerance,
        np.concatenate([comparable_log_width(track.vertices.width_mm, track.gsd_mm)[at] for track, at in chosen]),
    )
    return lines, covariance


def map_tolerance(across: Array, covariance_m2: Array, settings: MapSettings) -> Array:
    """How far (N,) a line may be off in the directions ``across`` (N, 3) from a mapped one with that covariance.

    Most of the map's error is shared by what lies near each other; the rest tells apart.
    """
    variance = np.einsum("ni,nij,nj->n", across, covariance_m2, across)
    tolerance = 2 * np.sqrt(settings.shape_sigma_m**2 + 0.25 * variance)
    return np.minimum(np.maximum(tolerance, _MIN_TOLERANCE_M), MAX_TOLERANCE_M)


def comparable_log_width(width_mm: Array, gsd_mm: float) -> Array:
    """Logarithm (N,) of the mean width around every vertex of a line, in mm, plus one pixel; ``nan`` where unknown.

    With the pixel, widths that are too small to be measured are all about the same.
    """
    known = np.isfinite(width_mm)
    around = np.ones(min(_WIDTH_VERTICES, len(width_mm)))
    sums = np.convolve(np.where(known, width_mm, 0.0), around, "same")
    counts = np.convolve(known, around, "same")
    return np.asarray(np.log(np.where(counts > 0.5, sums / np.maximum(counts, 1.0), np.nan) + gsd_mm))
