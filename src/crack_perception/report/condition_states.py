# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Condition states along cracks.

Condition states CS1 to CS4 follow the AASHTO Manual for Bridge Element Inspection (2nd edition, 2019), defects 1130
"Cracking (RC and other)" and 1110 "Cracking (PSC)":

=====  =================================  =================================
state  reinforced concrete                prestressed concrete
=====  =================================  =================================
CS1    narrower than 0.012 in (0.30 mm)   narrower than 0.004 in (0.10 mm)
CS2    0.012 to 0.05 in (1.27 mm)         0.004 to 0.009 in (0.23 mm)
CS3    wider than 0.05 in                 wider than 0.009 in
CS4    the condition warrants a structural review, or a review has found
       that strength or serviceability suffers
=====  =================================  =================================

Widths alone never give CS4: that is the decision of an inspector (``Review.structural_review``). The manual also grades
by spacing (CS1 above 3 ft, CS2 1 to 3 ft, CS3 below 1 ft); the spacing that a density of ``d`` metres per square metre
corresponds to, ``1 / d``, is reported and left to the inspector, because it depends on which cracks form a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.polylines import arc_lengths, interpolated

Array = npt.NDArray[np.float64]

_MM_PER_INCH = 25.4
STRIP_M = 0.3048
"""Width of the strip along a crack, one foot, that counts as area in the crack's condition state."""

# Widths are averaged over this length, so that a single vertex does not decide the state of its surroundings.
_WIDTH_OVER_M = 0.1
_STEP_M = 0.01


class Material(Enum):
    """Concrete of an element; the width limits of the condition states depend on it."""

    REINFORCED = "reinforced"
    PRESTRESSED = "prestressed"


LIMITS_MM: Mapping[Material, tuple[float, float]] = {
    Material.REINFORCED: (0.012 * _MM_PER_INCH, 0.05 * _MM_PER_INCH),
    Material.PRESTRESSED: (0.004 * _MM_PER_INCH, 0.009 * _MM_PER_INCH),
}
"""Crack widths from which on CS2 and CS3 apply."""


class ConditionState(Enum):
    """Condition state of a part of an element; UNKNOWN where the crack has no measured width."""

    CS1 = "CS1"
    CS2 = "CS2"
    CS3 = "CS3"
    CS4 = "CS4"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Stretches:
    """A crack in short steps: middle (K, 3), length (K,), width (K,) of each, its facet and its severity."""

    crack: MappedCrack
    points_m: Array
    lengths_m: Array
    width_mm: Array
    facet: int | None
    severity: str
    needs_review: bool

    def states(self, material: Material) -> list[ConditionState]:
        """Condition state of every step."""
        if self.needs_review:
            return [ConditionState.CS4] * len(self.points_m)
        order = (ConditionState.CS1, ConditionState.CS2, ConditionState.CS3)
        edges = np.array(LIMITS_MM[material])
        # The upper limit of a state belongs to it, the lower one of CS2 as well.
        graded = (self.width_mm >= edges[0]).astype(int) + (self.width_mm > edges[1])
        return [
            order[grade] if math.isfinite(width) else ConditionState.UNKNOWN
            for grade, width in zip(graded.tolist(), self.width_mm.tolist(), strict=True)
        ]


def stretches_of(crack: MappedCrack, facet: int | None, severity: str, needs_review: bool) -> Stretches:
    """A crack in short steps; ``needs_review`` assigns it to CS4."""
    along_m = arc_lengths(crack.line_m)
    count = max(1, round(float(along_m[-1]) / _STEP_M))
    middles_m = (np.arange(count) + 0.5) * (along_m[-1] / count)
    points_m = interpolated(crack.line_m, np.interp(middles_m, along_m, np.arange(len(along_m))))
    known = np.isfinite(crack.width_mm)
    width_mm = np.full(count, np.nan)
    if known.any():
        nearest = np.abs(middles_m[:, None] - along_m[known]).min(axis=1)
        fine_mm = np.interp(middles_m, along_m[known], crack.width_mm[known])
        width_mm = np.where(nearest <= _WIDTH_OVER_M, _running_mean(fine_mm, _WIDTH_OVER_M), np.nan)
    return Stretches(crack, points_m, np.full(count, along_m[-1] / count), width_mm, facet, severity, needs_review)


def _running_mean(values: Array, over_m: float) -> Array:
    reach = int(over_m / _STEP_M / 2)
    sums = np.concatenate([[0.0], values.cumsum()])
    index = np.arange(len(values))
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low))


def runs_of_state(
    wanted: ConditionState, states: Sequence[ConditionState], inside: npt.NDArray[np.bool_]
) -> Iterator[slice]:
    """Runs of steps inside an element that have a condition state."""
    start = None
    for index, state in enumerate([*states, None]):
        is_wanted = state is wanted and bool(inside[index])
        if is_wanted and start is None:
            start = index
        elif not is_wanted and start is not None:
            yield slice(start, index)
            start = None


def line_through(each: Stretches, steps: slice) -> Array:
    """Line (N, 3) through some of a crack's steps, from the beginning of the first to the end of the last."""
    points_m = each.points_m[steps]
    if len(points_m) == 1:
        chord_m = each.crack.line_m[-1] - each.crack.line_m[0]
        half_m = 0.5 * each.lengths_m[0] * chord_m / max(float(np.linalg.norm(chord_m)), 1e-9)
        return np.vstack([points_m - half_m, points_m + half_m])
    first, last = points_m[0] - points_m[1], points_m[-1] - points_m[-2]
    return np.vstack([points_m[0] + first / 2, points_m, points_m[-1] + last / 2])
