# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Vertices for matching a frame with the map: those of its lines, and those of the mapped cracks around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.view_lines import ViewLines
from crack_perception.mapping.polylines import cross, joined_tangents, nearest_squares
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.track import Track
from crack_perception.mapping.tracks.vertices import COVARIANCE, POINT, bounds_of

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

MAX_TOLERANCE_M = 0.08
"""Matched lines may differ by their shapes' errors and by part of the map's own error, but by no more than this."""
MAX_LOG_WIDTH_RATIO = math.log(2.0)
"""Logarithms of comparable widths (``comparable_log_width``) that differ more belong to different cracks."""
_MIN_TOLERANCE_M = 0.025
_COARSE = 4
# The width at a vertex is a mean over this many vertices to either side.
_WIDTH_REACH = 5


@dataclass(frozen=True, eq=False)
class Lines:
    """Vertices of several lines.

    Attributes:
        point_m, tangent, normal: (N, 3) each; the normal is the same for all vertices of a line.
        owner: (N,) line that a vertex belongs to.
        vertex: (N,) its index there.
        tolerance_m: (N,) largest distance across to a matching line once the frame is aligned.
        log_width: (N,) logarithm of a width that is comparable with others (``comparable_log_width``), ``nan`` where
            unknown.
    """

    point_m: Array
    tangent: Array
    normal: Array
    owner: Index
    vertex: Index
    tolerance_m: Array
    log_width: Array

    def __len__(self) -> int:
        return len(self.point_m)

    def where(self, mask: Mask) -> Lines:
        """Return the vertices selected by a mask or by indices."""
        return Lines(
            self.point_m[mask],
            self.tangent[mask],
            self.normal[mask],
            self.owner[mask],
            self.vertex[mask],
            self.tolerance_m[mask],
            self.log_width[mask],
        )


def view_vertices(lines: ViewLines) -> Lines:
    """Return the vertices of a frame's lines; the owner of a vertex is the number of its line."""
    count = len(lines.point_m)
    return Lines(
        lines.point_m,
        lines.tangent,
        lines.normal[lines.line_of],
        lines.line_of,
        np.arange(count) - lines.first_of,
        np.full(count, np.inf),
        comparable_log_width(lines.width_mm, lines.gsd_mm[lines.line_of], lines.first_of, lines.last_of),
    )


def map_vertices(tracks: Sequence[Track], query: Lines, settings: MapSettings) -> tuple[Lines, Array]:
    """Vertices (M), owned by id, of the cracks around the frame's lines, and their covariances (M, 3, 3)."""
    if not tracks:
        return _NO_LINES, np.zeros((0, 3, 3))
    parts = [track.vertices for track in tracks]
    bounds = bounds_of(parts)
    geometry = np.concatenate([part.geometry for part in parts])
    points = geometry[:, POINT]
    low = query.point_m.min(axis=0) - settings.max_offset_m
    high = query.point_m.max(axis=0) + settings.max_offset_m
    at = ((points >= low) & (points <= high)).all(axis=1).nonzero()[0]
    sizes = np.array([len(part) for part in parts])
    slots = np.arange(len(tracks)).repeat(sizes)
    if len(at):
        near = nearest_squares(query.point_m[::_COARSE], points[at], axis=0) <= settings.max_offset_m**2
        at = at[near]
        at = at[np.bincount(slots[at], minlength=len(tracks))[slots[at]] >= 2]
    if not len(at):
        return _NO_LINES, np.zeros((0, 3, 3))
    first_of = np.array(bounds)[slots]
    last_of = first_of + (sizes - 1)[slots]
    tangent = joined_tangents(points, first_of, last_of)[at]
    gsd_mm = np.array([track.gsd_mm for track in tracks])[slots]
    log_width = comparable_log_width(np.concatenate([part.width_mm for part in parts]), gsd_mm, first_of, last_of)[at]
    slots = slots[at]
    normal = np.stack([track.normal for track in tracks])[slots]
    covariance = geometry[at, COVARIANCE].reshape(-1, 3, 3)
    lines = Lines(
        points[at],
        tangent,
        normal,
        np.array([track.id for track in tracks])[slots],
        at - first_of[at],
        map_tolerance(cross(normal, tangent), covariance, settings),
        log_width,
    )
    return lines, covariance


_NO_POINTS, _NO_INDEX = np.zeros((0, 3)), np.zeros(0, np.intp)
_NO_LINES = Lines(_NO_POINTS, _NO_POINTS, _NO_POINTS, _NO_INDEX, _NO_INDEX, np.zeros(0), np.zeros(0))


def map_tolerance(across: Array, covariance_m2: Array, settings: MapSettings) -> Array:
    """Largest distance (N,) in the directions ``across`` (N, 3) of a line from a mapped one with that covariance.

    Most of the map's error is shared by lines near each other; the rest separates them.
    """
    variance = np.einsum("ni,nij,nj->n", across, covariance_m2, across)
    tolerance = 2 * np.sqrt(settings.shape_sigma_m**2 + 0.25 * variance)
    return np.minimum(np.maximum(tolerance, _MIN_TOLERANCE_M), MAX_TOLERANCE_M)


def comparable_log_width(
    width_mm: Array, gsd_mm: Array | float, first: Index | int = 0, last: Index | int | None = None
) -> Array:
    """Logarithm (N,) of the mean width around every vertex, in mm, plus one pixel; ``nan`` where unknown.

    With the pixel, widths that are too small to be measured are all about the same.

    Args:
        width_mm: (N,) widths along the lines.
        gsd_mm: (N,) ground sampling distances, or one for all.
        first, last: (N,) first and last vertex of the line that a vertex belongs to; default: one line.
    """
    count = len(width_mm)
    known = np.isfinite(width_mm)
    sums = np.zeros((count + 1, 2))
    sums[1:, 0][known] = width_mm[known]
    sums[1:, 1] = known
    sums.cumsum(axis=0, out=sums)
    index = np.arange(count)
    beyond = np.minimum(index + _WIDTH_REACH, count - 1 if last is None else last) + 1
    mean = sums[beyond] - sums[np.maximum(index - _WIDTH_REACH, first)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(mean[:, 0] / mean[:, 1] + gsd_mm))
