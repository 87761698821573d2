# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Quantities of made-up maps with known lengths, areas and states."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from map_cracks import straight_crack

from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import Action, Decision, Review, Verdict
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.recognition.severity import SeverityScale
from crack_perception.report.condition_states import STRIP_M, ConditionState, Material
from crack_perception.report.elements import BoxElement, FacetElement, read_elements
from crack_perception.report.quantities import Quantities, quantities
from crack_perception.report.quantity_tables import damage_table, element_table

AASHTO = SeverityScale.of_preset("aashto")


def crack(crack_id: int, width_mm: float, z_m: float = 1.0, x_m: float = 0.0, length_m: float = 2.0) -> MappedCrack:
    """A horizontal crack on the wall y = 0."""
    x = np.linspace(x_m, x_m + length_m, 101)
    line_m = np.column_stack([x, np.zeros(101), np.full(101, z_m)])
    return straight_crack(crack_id, line_m=line_m, width_mm=np.full(101, width_mm), width_sigma_mm=np.full(101, 0.01))


def wall(x0: float, x1: float, z0: float = 0.0, z1: float = 3.0) -> np.ndarray:
    """Rectangle of the wall, clockwise as the camera sees it from y < 0."""
    return np.array([[x0, 0, z1], [x1, 0, z1], [x1, 0, z0], [x0, 0, z0]], np.float64)


def of(*cracks: MappedCrack, areas: tuple[np.ndarray, ...] = (), **changes: object) -> Quantities:
    return quantities(cracks, changes.pop("reviews", {}), areas, AASHTO, **changes)


def test_inspected_area_overlapping_polygons_counted_once() -> None:
    found = of(crack(1, 0.5), areas=(wall(0, 4), wall(2, 6), wall(2, 6)))
    assert found.total.inspected_area_m2 == pytest.approx(18.0)
    assert found.total.density_m_per_m2 == pytest.approx(2.0 / 18.0)
    assert found.total.mean_spacing_m == pytest.approx(9.0)


def test_inspected_area_two_facets_added() -> None:
    side = np.array([[6, 0, 3], [6, 4, 3], [6, 4, 0], [6, 0, 0]], np.float64)
    found = of(crack(1, 0.5), areas=(wall(0, 6), side))
    assert sorted(part.inspected_area_m2 for part in found.elements) == [pytest.approx(12.0), pytest.approx(18.0)]
    assert found.total.inspected_area_m2 == pytest.approx(30.0)


def test_density_without_areas_unknown() -> None:
    total = of(crack(1, 0.5)).total
    assert total.length_m == pytest.approx(2.0)
    assert total.inspected_area_m2 is total.density_m_per_m2 is total.area_by_state_m2 is None


def test_lengths_by_severity_reviewers_class_preferred() -> None:
    found = of(crack(1, 0.1), crack(2, 0.6, z_m=2.0), reviews={2: Review(severity=AASHTO.labels[2])})
    assert found.total.length_by_severity_m == pytest.approx(dict(zip(found.severities, (2.0, 0, 2.0, 0), strict=True)))


@pytest.mark.parametrize(
    ("width_mm", "reinforced", "prestressed"),
    [
        (0.08, ConditionState.CS1, ConditionState.CS1),
        (0.15, ConditionState.CS1, ConditionState.CS2),
        (0.29, ConditionState.CS1, ConditionState.CS3),
        (0.40, ConditionState.CS2, ConditionState.CS3),
        (1.20, ConditionState.CS2, ConditionState.CS3),
        (1.30, ConditionState.CS3, ConditionState.CS3),
        (np.nan, ConditionState.UNKNOWN, ConditionState.UNKNOWN),
    ],
)
def test_condition_state_width_graded_by_concrete(
    width_mm: float, reinforced: ConditionState, prestressed: ConditionState
) -> None:
    everywhere = np.full(3, np.inf)
    for material, expected in ((Material.REINFORCED, reinforced), (Material.PRESTRESSED, prestressed)):
        found = of(crack(1, width_mm), elements=[BoxElement("girder", material, -everywhere, everywhere)])
        assert found.damages[0].state is expected
        assert found.total.length_by_state_m[expected] == pytest.approx(2.0)
        assert found.total.material is material


def test_condition_state_widening_crack_length_split() -> None:
    widening = replace(crack(1, 0.0), width_mm=np.linspace(0.1048, 0.5048, 101))
    by_state = of(widening).total.length_by_state_m
    assert by_state[ConditionState.CS1] == pytest.approx(1.0, abs=0.03)
    assert by_state[ConditionState.CS2] == pytest.approx(1.0, abs=0.03)


def test_condition_state_structural_review_gives_cs4() -> None:
    found = of(crack(1, 0.1), crack(2, 0.1, z_m=2.0), reviews={2: Review(structural_review=True)})
    assert [each.state for each in found.damages] == [ConditionState.CS1, ConditionState.CS4]


def test_facets_of_quantities_do_not_depend_on_verdicts() -> None:
    facing_x = replace(crack(1, 0.5), line_m=np.linspace([9.0, 1, 1], [9.0, 3, 1], 101), normal=np.array([1.0, 0, 0]))
    cracks = [facing_x, crack(2, 0.5)]
    before = {each.crack_id: each.facet for each in of(*cracks).damages}
    after = {each.crack_id: each.facet for each in of(*cracks, reviews={1: Review(Verdict.REJECTED)}).damages}
    assert len(set(before.values())) == 2
    assert after == {2: before[2]}


def test_area_by_state_sums_to_inspected_area_and_worse_state_wins() -> None:
    found = of(crack(1, 0.5), crack(2, 2.0, z_m=1.0 + STRIP_M / 2, x_m=1.0), areas=(wall(0, 6),))
    areas = found.total.area_by_state_m2
    assert areas is not None
    assert sum(areas.values()) == pytest.approx(18.0)
    assert areas[ConditionState.CS3] == pytest.approx(2.0 * STRIP_M, rel=0.01)
    # Half of the strip of the narrower crack lies in that of the wider one over one metre.
    assert areas[ConditionState.CS2] == pytest.approx(1.5 * STRIP_M, rel=0.01)


def test_elements_crack_across_two_boxes_split_between_them() -> None:
    boxes = [
        BoxElement("left", Material.REINFORCED, np.array([-1.0, -1, -1]), np.array([0.5, 1, 9])),
        BoxElement("right", Material.PRESTRESSED, np.array([0.0, -1, -1]), np.array([3.0, 1, 9])),
    ]
    found = of(crack(1, 0.2), crack(2, 0.2, x_m=4.0), areas=(wall(0, 6),), elements=boxes)
    left, right, other = found.elements
    assert (left.element, right.element, other.element) == ("left", "right", "other")
    assert (left.length_m, right.length_m, other.length_m) == pytest.approx((0.5, 1.5, 2.0), abs=0.02)
    assert (left.cracks, right.cracks, other.cracks) == (0, 1, 1)
    assert left.length_by_state_m[ConditionState.CS1] == pytest.approx(0.5, abs=0.02)
    assert right.length_by_state_m[ConditionState.CS2] == pytest.approx(1.5, abs=0.02)
    assert [part.inspected_area_m2 for part in found.elements] == pytest.approx([1.5, 7.5, 9.0])
    assert found.damages[0].element == "right" and found.damages[0].state is ConditionState.CS2


def test_cracks_rejected_and_unconfirmed_left_out() -> None:
    cracks = [
        crack(1, 0.5),
        crack(2, 0.5, z_m=2.0),
        replace(crack(3, 0.5, z_m=2.5), state=CrackState.NEW),
        replace(crack(4, 0.5, z_m=0.5), state=CrackState.LOST),
        replace(crack(5, 0.5, z_m=0.2), state=CrackState.NEW),
    ]
    reviews = {2: Review(verdict=Verdict.REJECTED), 3: Review(verdict=Verdict.ACCEPTED)}
    found = quantities(cracks, reviews, (), AASHTO)
    assert [each.crack_id for each in found.damages] == [1, 3]
    assert (found.rejected, found.unconfirmed) == (1, 2)
    assert found.total.length_m == pytest.approx(4.0)


def test_damage_record_place_and_direction_as_camera_sees_them() -> None:
    comment = Decision(7, Action.COMMENT, {"text": "wet"}, "Ada")
    line_m = np.linspace([3.0, 0.0, 2.0], [3.2, 0.0, 0.5], 101)
    found = of(
        replace(crack(7, 0.5), line_m=line_m),
        areas=(wall(0, 6),),
        reviews={7: Review(name="R7", comments=(comment,))},
    )
    (record,) = found.damages
    assert (record.direction, record.name, record.remarks, record.facet) == ("vertical", "R7", "wet", "A")
    assert record.from_m == pytest.approx((3.0, 2.0)) and record.to_m == pytest.approx((3.2, 0.5))


def test_tables_rows_fit_headers_and_inspectors_columns_are_empty() -> None:
    found = of(crack(1, 0.5), areas=(wall(0, 6),))
    for header, rows in (element_table(found), damage_table(found)):
        assert len(set(header)) == len(header)
        assert {len(row) for row in rows} == {len(header)}
    header, rows = damage_table(found)
    row = dict(zip(header, rows[0], strict=True))
    assert [row[name] for name in ("damage_number", "S", "V", "D")] == [None] * 4
    header, rows = element_table(found)
    assert dict(zip(header, rows[-1], strict=True))["area_CS1_m2"] == pytest.approx(18.0 - 2.0 * STRIP_M, abs=0.01)


def test_empty_map_all_zero() -> None:
    total = of().total
    assert total.length_m == 0.0 and total.cracks == 0 and total.inspected_area_m2 is None


def test_quantities_facet_elements_share_the_facet() -> None:
    cracks = [crack(1, 0.2, 1.0, 0.0), crack(2, 0.2, 1.0, 4.0)]
    wall_m = np.array([[0.0, 0, 0], [0, 0, 3], [8, 0, 3], [8, 0, 0]])
    left = FacetElement("left", Material.REINFORCED, "A", high_m=np.array([3.0, np.inf]))
    right = FacetElement("right", Material.PRESTRESSED, "A", low_m=np.array([3.0, -np.inf]))
    result = quantities(cracks, {}, [wall_m], AASHTO, [left, right])
    by_name = {part.element: part for part in result.elements}
    assert by_name["left"].inspected_area_m2 == pytest.approx(9.0)
    assert by_name["right"].inspected_area_m2 == pytest.approx(15.0)
    # 0.2 mm is CS1 in reinforced and CS2 in prestressed concrete.
    assert by_name["left"].length_by_state_m[ConditionState.CS1] == pytest.approx(2.0)
    assert by_name["right"].length_by_state_m[ConditionState.CS2] == pytest.approx(2.0)
    assert set(by_name) == {"left", "right"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "element,type,facet,left_m,bottom_m,right_m,top_m\nG1,109,a,,,3.5,\nP2,,B,,,,\n"),
        ("a.csv", "element;type;facet;left_m;bottom_m;right_m;top_m\nG1;109;A;;;3.5;\nP2;reinforced;B;;;;\n"),
        ("a.yaml", "- {element: G1, type: 109, facet: A, right_m: 3.5}\n- {element: P2, facet: B}\n"),
    ],
)
def test_read_elements_csv_and_yaml_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    girder, pier = read_elements(tmp_path / name, ["A", "B"])
    assert (girder.name, girder.material, girder.facet) == ("G1", Material.PRESTRESSED, "A")
    assert girder.high_m.tolist() == [3.5, np.inf] and np.isneginf(girder.low_m).all()
    assert (pier.name, pier.material, pier.facet) == ("P2", Material.REINFORCED, "B")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("G1,109,Z,,,,", "element 1 is on the facet 'Z'. The map has the facets A, B"),
        (",109,A,,,,", "element 1 has no name"),
        ("G1,steel,A,,,,", "the type 'steel'"),
        ("G1,,A,x,,,", "left_m 'x'"),
        ("G1,,A,3,,1,", "an empty rectangle"),
    ],
)
def test_read_elements_wrong_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    path = tmp_path / "elements.csv"
    path.write_text(f"element,type,facet,left_m,bottom_m,right_m,top_m\n{row}\n")
    with pytest.raises(UserError, match=re.escape(words)):
        read_elements(path, ["A", "B"])
