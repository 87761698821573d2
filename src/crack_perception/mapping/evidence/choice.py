# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice of the few photographs of a crack that are kept: the best, spread over time and along the crack.

``crack_node`` and ``crack_mapper`` apply the same rule, so that the node does not send what the map would not keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MOST = 3
"""Photographs of a crack."""

# Two photographs within this time show the same, so one replaces the other only if it is much better.
_APART_NS = 1_000_000_000
_MUCH_BETTER = 2.0
# A small gain is not worth the traffic.
_BETTER = 1.25
# Photographs further apart than this belong to different flights over the crack.
_VISIT_NS = 3_600_000_000_000
# Value of a second photograph of the same part of the crack in the same flight.
_REPEATED = 0.5
# Length of a line that halves the value of its photograph.
_SHORT_M = 0.15
# Distance at which two lines are not of the same crack, beside half the distance of their samples.
_APART_M = 0.05
SAMPLES = 9
"""Points of a line that are compared."""
_SHARES = np.arange(SAMPLES) / (SAMPLES - 1)


@dataclass(frozen=True, eq=False)
class PhotographView:
    """Criteria for the choice.

    Attributes:
        value: ``Photograph.quality``, less for a short line: a fragment says less than the whole crack.
        stamp_ns: Time of the image.
        samples_m: (9, 3) points at even distances along the photographed line, map frame.
    """

    value: float
    stamp_ns: int
    samples_m: Array

    @classmethod
    def of(cls, quality: float, stamp_ns: int, line_m: Array) -> PhotographView:
        """The view of a line (N, 3) with evenly spaced vertices, N >= 2, from the photograph's quality."""
        at = (len(line_m) - 1) * _SHARES
        low = np.minimum(at.astype(int), len(line_m) - 2)
        samples_m = line_m[low] + (at - low)[:, None] * (line_m[low + 1] - line_m[low])
        length_m = float(_chord(samples_m))
        return cls(quality * length_m / (length_m + _SHORT_M), stamp_ns, samples_m)


def shows_the_same(view: PhotographView, samples_m: Array) -> npt.NDArray[np.bool_]:
    """Return whether photographs show, by half or more of the shorter line, the same part of a crack.

    Args:
        view: One of them.
        samples_m: (K, 9, 3) of the others.

    Returns:
        (K,) mask.
    """
    mine = view.samples_m
    lengths_m = np.maximum(_chord(mine), _chord(samples_m))
    reach_m = _APART_M + 0.5 * lengths_m / (SAMPLES - 1)
    offsets = samples_m[:, :, None] - mine
    squares = np.einsum("kijc,kijc->kij", offsets, offsets)
    # Nearest of the other's samples to each of either.
    nearest = np.concatenate([squares.min(axis=2), squares.min(axis=1)], axis=1)
    is_near = nearest.reshape(len(samples_m), 2, SAMPLES) < (reach_m * reach_m)[:, None, None]
    return np.asarray((2 * is_near.sum(axis=2) >= SAMPLES).any(axis=1))


def _chord(samples_m: Array) -> Array:
    """Length (...,) of lines (..., 9, 3) from end to end."""
    ends = samples_m[..., -1, :] - samples_m[..., 0, :]
    return np.asarray(np.sqrt((ends * ends).sum(axis=-1)))


@dataclass(frozen=True)
class Choice:
    """Return whether a new photograph is kept, and the indices of those that it replaces."""

    is_kept: bool
    replaced: tuple[int, ...] = ()


_REFUSED = Choice(False)


def choose(kept: Sequence[PhotographView], new: PhotographView) -> Choice:
    """Decide on a new photograph beside those of its crack that are kept."""
    close = tuple(index for index, view in enumerate(kept) if abs(view.stamp_ns - new.stamp_ns) < _APART_NS)
    if close:
        best = max(kept[index].value for index in close)
        return Choice(True, close) if new.value > _MUCH_BETTER * best else _REFUSED
    if len(kept) < MOST:
        return Choice(True)
    values = ranked_values([*kept, new])
    least = min(range(len(kept)), key=values.__getitem__)
    return Choice(True, (least,)) if values[-1] > _BETTER * values[least] else _REFUSED


def ranked_values(views: Sequence[PhotographView]) -> list[float]:
    """Value of each photograph of a crack beside the others: less where a better one shows the same."""
    samples_m = np.array([view.samples_m for view in views])
    values = []
    for view in views:
        is_same = shows_the_same(view, samples_m).tolist()
        is_outshone = any(same and _outshines(other, view) for same, other in zip(is_same, views, strict=True))
        values.append(view.value * (_REPEATED if is_outshone else 1.0))
    return values


def surplus(views: Sequence[PhotographView]) -> list[int]:
    """Indices of the photographs of a crack that are not kept, for example after two cracks were merged."""
    samples_m = np.array([view.samples_m for view in views])
    left: list[int] = []
    for index in sorted(range(len(views)), key=lambda index: -views[index].value):
        is_same = shows_the_same(views[index], samples_m)
        is_repeated = any(
            is_same[other] and abs(views[other].stamp_ns - views[index].stamp_ns) < _APART_NS for other in left
        )
        if not is_repeated:
            left.append(index)
    while len(left) > MOST:
        values = ranked_values([views[index] for index in left])
        left.pop(min(range(len(left)), key=values.__getitem__))
    return sorted(set(range(len(views))) - set(left))


def _outshines(other: PhotographView, view: PhotographView) -> bool:
    is_same_visit = abs(other.stamp_ns - view.stamp_ns) < _VISIT_NS
    return other is not view and is_same_visit and other.value >= view.value
