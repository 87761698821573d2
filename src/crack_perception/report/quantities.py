# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Quantities of a crack map: lengths by severity, crack density, condition states by element, damage records.

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

Widths alone never give CS4: that is the decision of an inspector. The manual also grades by spacing (CS1 above 3 ft,
CS2 1 to 3 ft, CS3 below 1 ft); the spacing that a density of ``d`` metres per square metre corresponds to, ``1 / d``,
is reported and left to the inspector, because it depends on which cracks form a pattern.

Damage records have the fields that DIN 1076 with RI-EBW-PRUEF asks of a crack: component, kind of damage and direction,
place, extent (length) and crack widths. Damage number and the ratings S, V and D are the inspector's and stay empty.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import shapely

from crack_perception.mapping.evidence.decisions import Review, Verdict
from crack_perception.mapping.export.crack_report import crack_reports
from crack_perception.mapping.export.plan.facets import Facet, find_facets
from crack_perception.mapping.export.plan.layout import facet_name
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.polylines import arc_lengths, interpolated
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale

Array = npt.NDArray[np.float64]

_MM_PER_INCH = 25.4
STRIP_M = 0.3048
"""Width of the strip along a crack, one foot, that counts as area in the crack's condition state."""

# Widths are averaged over this length, so that a single vertex does not decide the state of its surroundings.
_WIDTH_OVER_M = 0.1
_STEP_M = 0.01
# A line within this angle of the horizontal or the vertical is called so.
_ALIGNED_DEG = 20.0


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
class Element:
    """A structural element: what lies in a box of the map.

    Attributes:
        name: For example "B1 pier 2".
        material: Concrete.
        low_m, high_m: (3,) corners of the box, map frame; infinite coordinates leave a side open.
    """

    name: str
    material: Material
    low_m: Array
    high_m: Array


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


@dataclass(frozen=True, eq=False)
class _Stretches:
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


@dataclass(frozen=True, eq=False)
class _Part:
    """What lies on one element."""

    name: str
    material: Material
    inspected: tuple[tuple[Facet, shapely.Geometry], ...]
    members: tuple[tuple[_Stretches, npt.NDArray[np.bool_]], ...]


def quantities(
    cracks: Sequence[MappedCrack],
    reviews: Mapping[int, Review],
    inspected_areas_m: Sequence[Array],
    scale: SeverityScale,
    elements: Sequence[Element] = (),
    structural_review: Collection[int] = (),
    facets: Sequence[Facet] | None = None,
) -> Quantities:
    """Quantities of a map.

    Rejected cracks are left out, and those that are neither confirmed nor accepted by a reviewer.

    Args:
        cracks: Of the map, with the reviewers' merges and splits applied.
        reviews: State of the cracks that were reviewed, by id.
        inspected_areas_m: Polygons (M, 3) of the surface that images have shown; they overlap.
        scale: Severity classes.
        elements: Structural elements; without any, every facet of the map is one, of reinforced concrete. What lies in
            several boxes belongs to the first of them, what lies in none to "other".
        structural_review: Ids of cracks that an inspector has assigned to CS4.
        facets: Where they are known already, of more cracks than are kept here; the names of facets follow from them.
    """
    verdicts = {crack.id: reviews.get(crack.id, Review()).verdict for crack in cracks}
    kept = [
        crack
        for crack in cracks
        if verdicts[crack.id] is Verdict.ACCEPTED
        or (crack.state is CrackState.CONFIRMED and verdicts[crack.id] is Verdict.OPEN)
    ]
    rejected = sum(verdict is Verdict.REJECTED for verdict in verdicts.values())
    facets = find_facets(kept, inspected_areas_m) if facets is None else facets
    facet_of = {crack.id: index for index, facet in enumerate(facets) for crack in facet.cracks}
    severities = (*scale.labels, UNDETERMINED)
    stretches = []
    for crack, report in zip(kept, crack_reports(kept, scale), strict=True):
        chosen = reviews.get(crack.id, Review()).severity
        severity = chosen if chosen in severities else report.severity.verdict
        stretches.append(_stretches(crack, facet_of.get(crack.id), str(severity), crack.id in structural_review))
    parts = list(_parts(facets, stretches, elements))
    measured = tuple(_measured(part, severities) for part in parts)
    return Quantities(
        severities=severities,
        elements=measured,
        total=_total(measured, severities),
        damages=tuple(_damages(parts, facets, reviews, scale)),
        rejected=rejected,
        unconfirmed=len(cracks) - len(kept) - rejected,
    )


def _stretches(crack: MappedCrack, facet: int | None, severity: str, needs_review: bool) -> _Stretches:
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
    return _Stretches(crack, points_m, np.full(count, along_m[-1] / count), width_mm, facet, severity, needs_review)


def _running_mean(values: Array, over_m: float) -> Array:
    reach = int(over_m / _STEP_M / 2)
    sums = np.concatenate([[0.0], values.cumsum()])
    index = np.arange(len(values))
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _parts(facets: Sequence[Facet], stretches: Sequence[_Stretches], elements: Sequence[Element]) -> Iterator[_Part]:
    shown = [_union(facet.seen_m) for facet in facets]
    if not elements:
        for index, (facet, area) in enumerate(zip(facets, shown, strict=True)):
            members = tuple((each, np.ones(len(each.points_m), np.bool_)) for each in stretches if each.facet == index)
            yield _Part(facet_name(index), Material.REINFORCED, ((facet, area),), members)
        loose = tuple((each, np.ones(len(each.points_m), np.bool_)) for each in stretches if each.facet is None)
        if loose:
            yield _Part("other", Material.REINFORCED, (), loose)
        return
    left = {id(each): np.ones(len(each.points_m), np.bool_) for each in stretches}
    remaining = list(shown)
    for element in elements:
        on_element: list[tuple[_Stretches, npt.NDArray[np.bool_]]] = []
        for each in stretches:
            inside = ((each.points_m >= element.low_m) & (each.points_m <= element.high_m)).all(axis=1)
            inside &= left[id(each)]
            left[id(each)] &= ~inside
            if inside.any():
                on_element.append((each, inside))
        inspected = []
        for index, facet in enumerate(facets):
            outline = _outline_in_box(facet, element)
            if outline is not None:
                inspected.append((facet, shapely.intersection(remaining[index], outline)))
                remaining[index] = shapely.difference(remaining[index], outline)
        yield _Part(element.name, element.material, tuple(inspected), tuple(on_element))
    others = tuple((each, left[id(each)]) for each in stretches if left[id(each)].any())
    rest = tuple(zip(facets, remaining, strict=True))
    if others or any(area.area > 1e-6 for _, area in rest):
        yield _Part("other", Material.REINFORCED, rest, others)


def _union(polygons_m: Sequence[Array]) -> shapely.Geometry:
    """Union of polygons (M, 2), which may cross themselves."""
    return shapely.union_all([shapely.make_valid(shapely.Polygon(polygon)) for polygon in polygons_m])


def _outline_in_box(facet: Facet, element: Element) -> shapely.Geometry | None:
    """The part of a facet's plane inside an element's box, in the facet's frame; None where there is none."""
    low, high = facet.bounds_m()
    middle_m = np.mean([patch.centre_m for patch in facet.patches], axis=0)
    axes = np.stack([facet.u_axis, facet.v_axis])
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    polygon_m = middle_m + (corners - facet.flat(middle_m[None])) @ axes
    for axis in range(3):
        for sign, limit in ((1.0, element.high_m[axis]), (-1.0, -element.low_m[axis])):
            if math.isfinite(limit):
                polygon_m = _clipped(polygon_m, sign * polygon_m[:, axis] - limit)
            if len(polygon_m) < 3:
                return None
    return shapely.make_valid(shapely.Polygon(facet.flat(polygon_m)))


def _clipped(polygon_m: Array, outside: Array) -> Array:
    """The part of a convex polygon (M, 3) whose corners are not outside (M,), a signed distance."""
    kept = []
    for index in range(len(polygon_m)):
        after = (index + 1) % len(polygon_m)
        here, there = float(outside[index]), float(outside[after])
        if here <= 0:
            kept.append(polygon_m[index])
        if (here <= 0) != (there <= 0):
            kept.append(polygon_m[index] + here / (here - there) * (polygon_m[after] - polygon_m[index]))
    return np.array(kept).reshape(-1, 3)


def _measured(part: _Part, severities: Sequence[str]) -> ElementQuantities:
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
        area_by_state_m2=None if area_m2 is None else _area_by_state(part),
    )


def _area_by_state(part: _Part) -> dict[ConditionState, float]:
    areas = dict.fromkeys(ConditionState, 0.0)
    worst_first = (ConditionState.CS4, ConditionState.CS3, ConditionState.CS2, ConditionState.UNKNOWN)
    for facet, inspected in part.inspected:
        on_facet = {crack.id for crack in facet.cracks}
        left = inspected
        for wanted in worst_first:
            strips = [
                shapely.LineString(facet.flat(_ends(each, steps))).buffer(STRIP_M / 2, cap_style="flat")
                for each, inside in part.members
                if each.crack.id in on_facet
                for steps in _runs_of(wanted, each.states(part.material), inside)
            ]
            if strips:
                covered = shapely.intersection(left, shapely.union_all(strips))
                areas[wanted] += covered.area
                left = shapely.difference(left, covered)
        areas[ConditionState.CS1] += left.area
    return areas


def _runs_of(
    wanted: ConditionState, states: Sequence[ConditionState], inside: npt.NDArray[np.bool_]
) -> Iterator[slice]:
    start = None
    for index, state in enumerate([*states, None]):
        is_wanted = state is wanted and bool(inside[index])
        if is_wanted and start is None:
            start = index
        elif not is_wanted and start is not None:
            yield slice(start, index)
            start = None


def _ends(each: _Stretches, steps: slice) -> Array:
    """Line (N, 3) through some of a crack's steps, from the beginning of the first to the end of the last."""
    points_m = each.points_m[steps]
    if len(points_m) == 1:
        chord_m = each.crack.line_m[-1] - each.crack.line_m[0]
        half_m = 0.5 * each.lengths_m[0] * chord_m / max(float(np.linalg.norm(chord_m)), 1e-9)
        return np.vstack([points_m - half_m, points_m + half_m])
    first, last = points_m[0] - points_m[1], points_m[-1] - points_m[-2]
    return np.vstack([points_m[0] + first / 2, points_m, points_m[-1] + last / 2])


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


_ORDER = tuple(ConditionState)


def _damages(
    parts: Sequence[_Part], facets: Sequence[Facet], reviews: Mapping[int, Review], scale: SeverityScale
) -> Iterator[DamageRecord]:
    shares: dict[int, tuple[int, _Part, _Stretches]] = {}
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
            facet="" if each.facet is None else facet_name(each.facet),
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


Cell = str | float | int | None
"""A cell of a table: a number stays a number, None is an empty cell."""


def element_table(result: Quantities) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]]:
    """Header and rows, one an element and the total last; units in the header."""
    header = (
        "element",
        "concrete",
        "inspected_area_m2",
        "cracks",
        "length_m",
        "density_m_per_m2",
        "mean_spacing_m",
        *(f"length_{severity}_m" for severity in result.severities),
        *(f"length_{state.value}_m" for state in ConditionState),
        *(f"area_{state.value}_m2" for state in ConditionState),
    )
    rows = tuple(
        (
            part.element,
            None if part.material is None else part.material.value,
            _rounded(part.inspected_area_m2),
            part.cracks,
            _rounded(part.length_m),
            _rounded(part.density_m_per_m2),
            _rounded(part.mean_spacing_m),
            *(_rounded(part.length_by_severity_m[severity]) for severity in result.severities),
            *(_rounded(part.length_by_state_m[state]) for state in ConditionState),
            *(
                None if part.area_by_state_m2 is None else _rounded(part.area_by_state_m2[state])
                for state in ConditionState
            ),
        )
        for part in (*result.elements, result.total)
    )
    return header, rows


def damage_table(result: Quantities) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]]:
    """Header and rows, one a crack; the inspector's columns (damage number, S, V, D) are empty."""
    header = (
        "damage_number",
        "crack_id",
        "name",
        "element",
        "facet",
        "damage",
        "direction",
        "from_horizontal_m",
        "from_height_m",
        "to_horizontal_m",
        "to_height_m",
        "length_m",
        "mean_width_mm",
        "mean_width_sigma_mm",
        "max_width_mm",
        "severity",
        "condition_state",
        "verdict",
        "first_seen",
        "last_seen",
        "S",
        "V",
        "D",
        "remarks",
    )
    rows = tuple(
        (
            None,
            each.crack_id,
            each.name or None,
            each.element,
            each.facet or None,
            "crack",
            each.direction,
            *(_rounded(value) for value in each.from_m or (None, None)),
            *(_rounded(value) for value in each.to_m or (None, None)),
            _rounded(each.length_m),
            _rounded(each.mean_width_mm),
            _rounded(each.mean_width_sigma_mm),
            _rounded(each.max_width_mm),
            each.severity,
            each.state.value,
            each.verdict.value,
            each.first_seen,
            each.last_seen,
            None,
            None,
            None,
            each.remarks or None,
        )
        for each in result.damages
    )
    return header, rows


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
