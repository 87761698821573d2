# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice of the few photographs of a crack that are kept: the best, spread over time and along the crack.

``crack_node`` and ``crack_mapper`` apply the same rule, so that the node does not send what the map would not keep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 3
"""Photographs of a crack."""

# Two photographs within this time show the same, so one replaces the other only if it is much better.
_APART_NS = 1_000_000_000
_MUCH_BETTER = 1.5
# A small gain is not worth the traffic.
_BETTER = 1.15
# Photographs further apart than this belong to different flights over the crack.
_VISIT_NS = 3_600_000_000_000
# Value of a second photograph of the same part of the crack in the same flight.
_REPEATED = 0.5
_LEAST_REACH_M = 0.1


@dataclass(frozen=True)
class PhotographView:
    """What the choice depends on.

    Attributes:
        quality: ``Photograph.quality``.
        stamp_ns: Time of the image.
        centre_m: Middle of the photographed line, map frame.
        reach_m: Half of its length.
    """

    quality: float
    stamp_ns: int
    centre_m: tuple[float, float, float]
    reach_m: float

    def shows_part_of(self, other: PhotographView) -> bool:
        """Whether two photographs show, by half or more, the same part of a crack."""
        reach_m = max(0.5 * (self.reach_m + other.reach_m), _LEAST_REACH_M)
        return math.dist(self.centre_m, other.centre_m) < reach_m


@dataclass(frozen=True)
class Choice:
    """Whether a new photograph is kept, and the indices of those that it replaces."""

    is_kept: bool
    replaced: tuple[int, ...] = ()


_REFUSED = Choice(False)


def choose(kept: Sequence[PhotographView], new: PhotographView) -> Choice:
    """Decide on a new photograph beside those of its crack that are kept."""
    close = tuple(index for index, view in enumerate(kept) if abs(view.stamp_ns - new.stamp_ns) < _APART_NS)
    if close:
        best = max(kept[index].quality for index in close)
        return Choice(True, close) if new.quality > _MUCH_BETTER * best else _REFUSED
    if len(kept) < MOST:
        return Choice(True)
    values = ranked_values([*kept, new])
    least = min(range(len(kept)), key=values.__getitem__)
    return Choice(True, (least,)) if values[-1] > _BETTER * values[least] else _REFUSED


def ranked_values(views: Sequence[PhotographView]) -> list[float]:
    """Value of each photograph of a crack beside the others: its quality, less where a better one shows the same."""
    return [
        view.quality * (_REPEATED if any(_outshines(other, view) for other in views if other is not view) else 1.0)
        for view in views
    ]


def surplus(views: Sequence[PhotographView]) -> list[int]:
    """Indices of the photographs of a crack that are not kept, for example after two cracks were merged."""
    left = list(range(len(views)))
    while len(left) > MOST:
        values = ranked_values([views[index] for index in left])
        left.pop(min(range(len(left)), key=values.__getitem__))
    return sorted(set(range(len(views))) - set(left))


def _outshines(other: PhotographView, view: PhotographView) -> bool:
    is_same_visit = abs(other.stamp_ns - view.stamp_ns) < _VISIT_NS
    return is_same_visit and other.quality >= view.quality and other.shows_part_of(view)
