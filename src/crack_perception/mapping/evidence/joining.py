# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One line of two, and two lines of one, as a reviewer's merges and splits need them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.polylines import arc_lengths, largest_eigenvalue, length_of

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

MAX_GAP_M = 1.0
"""Ends that are farther apart are not joined: the gap counts as a part of the crack."""

# Lines beside each other are one crack up to this distance; more where their positions are less certain.
_BESIDE_M = 0.1
_MOST_BESIDE_M = 0.5
_SIGMAS = 3.0
_ZERO_M = 1e-9


def joined_order(kept: Array, other: Array, beside_m: float = _BESIDE_M) -> Index | None:
    """The vertices of one line that consists of two, which follow each other or lie beside each other.

    Where the lines lie beside each other, the vertices of ``kept`` are used.

    Args:
        kept: (N, 3) vertices.
        other: (M, 3) vertices.
        beside_m: Largest distance of lines that lie beside each other.

    Returns:
        (K,) vertices in order, counted through ``kept`` and on through ``other``; None where the two are not one line:
        a branch, or a gap of more than ``MAX_GAP_M``.
    """
    along_m, distance_m = _projected(other, kept)
    length_m = length_of(kept)
    before, after = along_m <= _ZERO_M, along_m >= length_m - _ZERO_M
    if np.any(distance_m[~(before | after)] > beside_m):
        return None
    order = np.arange(len(other))
    if _runs_backwards(kept, other, along_m):
        order, before, after = order[::-1], before[::-1], after[::-1]
    head, tail = order[before], order[after]
    # What lies beyond an end is one piece of the other line, and begins near that end.
    if np.any(np.diff(before.astype(int)) > 0) or np.any(np.diff(after.astype(int)) < 0):
        return None
    gaps_m = [0.0]
    if head.size:
        gaps_m.append(float(np.linalg.norm(other[head[-1]] - kept[0])))
    if tail.size:
        gaps_m.append(float(np.linalg.norm(other[tail[0]] - kept[-1])))
    if max(gaps_m) > MAX_GAP_M:
        return None
    return np.concatenate([len(kept) + head, np.arange(len(kept)), len(kept) + tail])


def beside_m(one: MappedCrack, other: MappedCrack) -> float:
    """Largest distance at which two cracks lie beside each other, by the uncertainty of their positions."""
    variances = [largest_eigenvalue(each.covariance_m2) for each in (one, other) if _is_known(each)]
    sigma_m = math.sqrt(max(0.0, sum(variances)))
    return min(max(_BESIDE_M, _SIGMAS * sigma_m), _MOST_BESIDE_M)


def united(kept: MappedCrack, other: MappedCrack, order: Index) -> MappedCrack:
    """One crack of two, by the vertices of ``joined_order``; it is for showing, not for the fusion to continue with."""
    together = (kept, other)
    lengths_m = [each.length_m + _ZERO_M for each in together]
    return MappedCrack(
        id=kept.id,
        state=CrackState.CONFIRMED if any(each.state is CrackState.CONFIRMED for each in together) else kept.state,
        line_m=np.concatenate([each.line_m for each in together])[order],
        width_mm=np.concatenate([each.width_mm for each in together])[order],
        width_sigma_mm=np.concatenate([each.width_sigma_mm for each in together])[order],
        normal=_mean_direction(kept.normal, lengths_m[0] * kept.normal + lengths_m[1] * other.normal),
        covariance_m2=_wider(kept, other),
        score=max(each.score for each in together),
        gsd_mm_per_px=float(np.fmin(kept.gsd_mm_per_px, other.gsd_mm_per_px)),
        views=max(each.views for each in together),
        misses=min(each.misses for each in together),
        first_seen_ns=min(each.first_seen_ns for each in together),
        last_seen_ns=max(each.last_seen_ns for each in together),
        coarsest_gsd_mm_per_px=float(np.fmax(kept.coarsest_gsd_mm_per_px, other.coarsest_gsd_mm_per_px)),
    )


def cut_vertex(line: Array, at_m: Array) -> int | None:
    """The vertex of a line (N, 3) next to a point (3,), at which it can be cut; None where that is one of its ends."""
    nearest = int(np.square(line - at_m).sum(axis=1).argmin())
    return nearest if 0 < nearest < len(line) - 1 else None


def part_of(crack: MappedCrack, first: int, last: int, crack_id: int) -> MappedCrack:
    """The crack from one vertex to another, both included; it is for showing, not for the fusion to continue with."""
    chosen = slice(first, last + 1)
    return replace(
        crack,
        id=crack_id,
        line_m=crack.line_m[chosen],
        width_mm=crack.width_mm[chosen],
        width_sigma_mm=crack.width_sigma_mm[chosen],
        covariance_knots_m2=np.zeros((0, 3, 3)),
        evidence=np.zeros(0),
        shape_weight=np.zeros(0),
        width_gsd_mm_per_px=np.zeros(0),
        width_views=np.zeros(0),
        apart_from=np.zeros(0, np.int64),
    )


def _projected(points: Array, line: Array) -> tuple[Array, Array]:
    """Position along a line of the place next to each point, and the distance of the point from it, both (M,)."""
    start, step = line[:-1], np.diff(line, axis=0)
    squares = np.maximum(np.einsum("ij,ij->i", step, step), _ZERO_M**2)
    along = arc_lengths(line)
    along_m, distance_m = np.empty(len(points)), np.empty(len(points))
    for index, point in enumerate(points):
        share = np.clip(np.einsum("ij,ij->i", point - start, step) / squares, 0.0, 1.0)
        away = point - start - share[:, None] * step
        away_squares = np.einsum("ij,ij->i", away, away)
        nearest = int(away_squares.argmin())
        along_m[index] = along[nearest] + share[nearest] * (along[nearest + 1] - along[nearest])
        distance_m[index] = math.sqrt(away_squares[nearest])
    return along_m, distance_m


def _runs_backwards(kept: Array, other: Array, along_m: Array) -> bool:
    """Return whether the other line runs against the kept one."""
    if abs(along_m[-1] - along_m[0]) > _ZERO_M:
        return bool(along_m[-1] < along_m[0])
    at_the_end = along_m[0] > _ZERO_M  # all of it lies beyond one end
    end = kept[-1] if at_the_end else kept[0]
    first_is_nearer = np.linalg.norm(other[0] - end) < np.linalg.norm(other[-1] - end)
    return bool(first_is_nearer != at_the_end)


def _mean_direction(fallback: Array, total: Array) -> Array:
    size = float(np.linalg.norm(total))
    return total / size if size > _ZERO_M else fallback


def _is_known(crack: MappedCrack) -> bool:
    return bool(np.isfinite(crack.covariance_m2).all())


def _wider(one: MappedCrack, other: MappedCrack) -> Array:
    """The covariance of the less certain one."""
    if not _is_known(one):
        return one.covariance_m2
    is_wider = not _is_known(other) or np.trace(other.covariance_m2) > np.trace(one.covariance_m2)
    return other.covariance_m2 if is_wider else one.covariance_m2
