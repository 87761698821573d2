# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Damage records of cracks.

Damage records have the fields that DIN 1076 with RI-EBW-PRUEF asks of a crack: component, kind of damage and direction,
place, extent (length) and crack widths. Damage number and the ratings S, V and D are the inspector's and stay empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.evidence.decisions import Review, Verdict
from crack_perception.mapping.export.crack_report import crack_reports
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.recognition.severity import SeverityScale
from crack_perception.report.condition_states import ConditionState, Stretches
from crack_perception.report.elements import Part

Array = npt.NDArray[np.float64]

# A line within this angle of the horizontal or the vertical is called so.
_ALIGNED_DEG = 20.0


@dataclass(frozen=True)
class DamageRecord:
    """One crack as a damage record; None where a value is not known.

    Attributes:
        crack_id: In the map.
        name: The reviewer's name of the crack, or "".
        element: The element that holds most of it.
        facet: The surface that it lies on, as named on the plan, or "".
        direction: horizontal, vertical, diagonal, or irregular, as seen from the camera.
        from_m, to_m: (horizontal, height) of its ends on the surface, left end first.
        length_m: Along the line.
        mean_width_mm, mean_width_sigma_mm, max_width_mm: Measured widths.
        severity: The reviewer's class, or else the measured one.
        state: Worst condition state along the crack.
        verdict: The reviewer's verdict.
        first_seen, last_seen: ISO 8601, UTC.
        remarks: The reviewer's comments, the last one last.
    """

    crack_id: int
    name: str
    element: str
    facet: str
    direction: str
    from_m: tuple[float, float] | None
    to_m: tuple[float, float] | None
    length_m: float
    mean_width_mm: float | None
    mean_width_sigma_mm: float | None
    max_width_mm: float | None
    severity: str
    state: ConditionState
    verdict: Verdict
    first_seen: str
    last_seen: str
    remarks: str


_ORDER = tuple(ConditionState)


def damage_records(
    parts: Sequence[Part], facets: Sequence[Facet], reviews: Mapping[int, Review], scale: SeverityScale
) -> Iterator[DamageRecord]:
    """One record a crack, by id."""
    shares: dict[int, tuple[int, Part, Stretches]] = {}
    worst: dict[int, ConditionState] = {}
    for part in parts:
        for each, inside in part.members:
            share, crack_id = int(inside.sum()), each.crack.id
            if share > shares.get(crack_id, (0, part, each))[0]:
                shares[crack_id] = (share, part, each)
            known = [
                state
                for state, here in zip(each.states(part.material), inside.tolist(), strict=True)
                if here and state is not ConditionState.UNKNOWN
            ]
            found = max(known, key=_ORDER.index, default=ConditionState.UNKNOWN)
            before = worst.get(crack_id, ConditionState.UNKNOWN)
            if before is ConditionState.UNKNOWN or (
                found is not ConditionState.UNKNOWN and _ORDER.index(found) > _ORDER.index(before)
            ):
                worst[crack_id] = found
    for crack_id in sorted(shares):
        _, part, each = shares[crack_id]
        (report,) = crack_reports([each.crack], scale)
        review = reviews.get(crack_id, Review())
        facet = None if each.facet is None else facets[each.facet]
        ends = None if facet is None else _left_first(facet.flat(each.crack.line_m[[0, -1]]))
        yield DamageRecord(
            crack_id=crack_id,
            name=review.name,
            element=part.name,
            facet="" if facet is None else facet.name,
            direction="irregular" if ends is None else _direction(ends, report.length_m),
            from_m=None if ends is None else _pair(ends[0]),
            to_m=None if ends is None else _pair(ends[1]),
            length_m=report.length_m,
            mean_width_mm=report.mean_width_mm,
            mean_width_sigma_mm=report.mean_width_sigma_mm,
            max_width_mm=report.max_width_mm,
            severity=each.severity,
            state=worst[crack_id],
            verdict=review.verdict,
            first_seen=report.first_seen,
            last_seen=report.last_seen,
            remarks="; ".join(str(comment.value["text"]) for comment in review.comments),
        )


def _left_first(ends: Array) -> Array:
    return ends if tuple(ends[0]) <= tuple(ends[1]) else ends[::-1]


def _pair(point: Array) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _direction(ends: Array, length_m: float) -> str:
    chord = ends[1] - ends[0]
    if float(np.linalg.norm(chord)) < 0.5 * length_m:
        return "irregular"
    slope_deg = math.degrees(math.atan2(abs(float(chord[1])), abs(float(chord[0]))))
    if slope_deg <= _ALIGNED_DEG:
        return "horizontal"
    return "vertical" if slope_deg >= 90.0 - _ALIGNED_DEG else "diagonal"
