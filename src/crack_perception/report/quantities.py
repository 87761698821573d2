# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Quantities of a crack map: lengths by severity, crack density, condition states by element, damage records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from crack_perception.mapping.evidence.decisions import Review, Verdict
from crack_perception.mapping.export.crack_report import crack_reports
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.mapping.export.plan.surfaces import Surfaces
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale
from crack_perception.report.condition_states import (
    STRIP_M,
    ConditionState,
    Material,
    line_through,
    runs_of_state,
    stretches_of,
)
from crack_perception.report.damage_records import DamageRecord, damage_records
from crack_perception.report.elements import BoxElement, FacetElement, Part, parts_of

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ElementQuantities:
    """Quantities of one element.

    Attributes:
        element: Name.
        material: Concrete; None for the sum of elements of different concrete.
        inspected_area_m2: Area that images have shown, each square metre once; None where it is not known.
        cracks: Number of cracks with most of their length on the element.
        length_m: Crack length.
        length_by_severity_m: Crack length by severity class and ``undetermined``.
        length_by_state_m: Crack length by condition state.
        area_by_state_m2: Inspected area by condition state: a strip of ``STRIP_M`` along the cracks, the worse state
            where strips overlap, and CS1 elsewhere; None where the inspected area is not known.
    """

    element: str
    material: Material | None
    inspected_area_m2: float | None
    cracks: int
    length_m: float
    length_by_severity_m: Mapping[str, float]
    length_by_state_m: Mapping[ConditionState, float]
    area_by_state_m2: Mapping[ConditionState, float] | None

    @property
    def density_m_per_m2(self) -> float | None:
        """Crack length per inspected area; None where no area is known."""
        return self.length_m / self.inspected_area_m2 if self.inspected_area_m2 else None

    @property
    def mean_spacing_m(self) -> float | None:
        """Spacing of parallel cracks of that density; None where no area is known or there is no crack."""
        density = self.density_m_per_m2
        return 1.0 / density if density else None


@dataclass(frozen=True)
class Quantities:
    """Quantities of a map.

    Attributes:
        severities: Severity classes, slightest first, then ``undetermined``.
        elements: By their order in the table of elements, or by facet.
        total: Sum of the elements.
        damages: One record a crack, by id.
        rejected: Cracks left out because a reviewer has rejected them.
        unconfirmed: Cracks left out because they are new or lost, and no reviewer has accepted them.
    """

    severities: tuple[str, ...]
    elements: tuple[ElementQuantities, ...]
    total: ElementQuantities
    damages: tuple[DamageRecord, ...]
    rejected: int
    unconfirmed: int


def quantities(
    cracks: Sequence[MappedCrack],
    reviews: Mapping[int, Review],
    inspected_areas_m: Sequence[Array],
    scale: SeverityScale,
    elements: Sequence[BoxElement | FacetElement] = (),
    surfaces: Surfaces | None = None,
) -> Quantities:
    """Quantities of a map.

    Rejected cracks are left out, and those that are neither confirmed nor accepted by a reviewer.

    Args:
        cracks: Of the map, with the reviewers' merges and splits applied.
        reviews: State of the cracks that were reviewed, by id.
        inspected_areas_m: Polygons (M, 3) of the surface that images have shown; they overlap.
        scale: Severity classes.
        elements: Structural elements; without any, every facet of the map is one, of reinforced concrete. What lies on
            several belongs to the first of them, what lies in none to "other".
        surfaces: Facets of the whole map, with the ids of ``cracks``; without them those of ``cracks`` and areas.
    """
    verdicts = {crack.id: reviews.get(crack.id, Review()).verdict for crack in cracks}
    kept = [
        crack
        for crack in cracks
        if verdicts[crack.id] is Verdict.ACCEPTED
        or (crack.state is CrackState.CONFIRMED and verdicts[crack.id] is Verdict.OPEN)
    ]
    rejected = sum(verdict is Verdict.REJECTED for verdict in verdicts.values())
    surfaces = surfaces or Surfaces.of(cracks, inspected_areas_m)
    facets = surfaces.facets
    severities = (*scale.labels, UNDETERMINED)
    stretches = []
    for crack, report in zip(kept, crack_reports(kept, scale), strict=True):
        review = reviews.get(crack.id, Review())
        severity = review.severity if review.severity in severities else report.severity.verdict
        facet = surfaces.facet_of.get(crack.id)
        stretches.append(stretches_of(crack, facet, str(severity), review.structural_review))
    parts = list(parts_of(facets, stretches, elements))
    measured = tuple(_measured(part, facets, severities) for part in parts)
    return Quantities(
        severities=severities,
        elements=measured,
        total=_total(measured, severities),
        damages=tuple(damage_records(parts, facets, reviews, scale)),
        rejected=rejected,
        unconfirmed=len(cracks) - len(kept) - rejected,
    )


def _measured(part: Part, facets: Sequence[Facet], severities: Sequence[str]) -> ElementQuantities:
    by_severity = dict.fromkeys(severities, 0.0)
    by_state = dict.fromkeys(ConditionState, 0.0)
    count = 0
    for each, inside in part.members:
        count += 2 * inside.sum() > len(inside)
        by_severity[each.severity] += float(each.lengths_m[inside].sum())
        for state, length_m, is_inside in zip(
            each.states(part.material), each.lengths_m.tolist(), inside.tolist(), strict=True
        ):
            by_state[state] += length_m if is_inside else 0.0
    area_m2 = sum(area.area for _, area in part.inspected) or None
    return ElementQuantities(
        element=part.name,
        material=part.material,
        inspected_area_m2=area_m2,
        cracks=int(count),
        length_m=sum(by_severity.values()),
        length_by_severity_m=by_severity,
        length_by_state_m=by_state,
        area_by_state_m2=None if area_m2 is None else _area_by_state(part, facets),
    )


def _area_by_state(part: Part, facets: Sequence[Facet]) -> dict[ConditionState, float]:
    areas = dict.fromkeys(ConditionState, 0.0)
    worst_first = (ConditionState.CS4, ConditionState.CS3, ConditionState.CS2, ConditionState.UNKNOWN)
    for facet, inspected in part.inspected:
        left = inspected
        for wanted in worst_first:
            strips = [
                shapely.LineString(facet.flat(line_through(each, steps))).buffer(STRIP_M / 2, cap_style="flat")
                for each, inside in part.members
                if each.facet is not None and facets[each.facet] is facet
                for steps in runs_of_state(wanted, each.states(part.material), inside)
            ]
            if strips:
                covered = shapely.intersection(left, shapely.union_all(strips))
                areas[wanted] += covered.area
                left = shapely.difference(left, covered)
        areas[ConditionState.CS1] += left.area
    return areas


def _total(parts: Sequence[ElementQuantities], severities: Sequence[str]) -> ElementQuantities:
    areas = [part.inspected_area_m2 for part in parts if part.inspected_area_m2 is not None]
    by_state = [part.area_by_state_m2 for part in parts if part.area_by_state_m2 is not None]
    materials = {part.material for part in parts}
    return ElementQuantities(
        element="total",
        material=materials.pop() if len(materials) == 1 else None,
        inspected_area_m2=sum(areas) if areas else None,
        cracks=sum(part.cracks for part in parts),
        length_m=sum(part.length_m for part in parts),
        length_by_severity_m={name: sum(part.length_by_severity_m[name] for part in parts) for name in severities},
        length_by_state_m={state: sum(part.length_by_state_m[state] for part in parts) for state in ConditionState},
        area_by_state_m2={state: sum(each[state] for each in by_state) for state in ConditionState}
        if by_state
        else None,
    )
