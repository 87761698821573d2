# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Contents of deliverables: reviewers' decisions, facets, figures, and texts that any format can hold."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reported_maps import bridge_cracks, write_bridge

from crack_perception.desk.opened_map import OpenedMap
from crack_perception.mapping.evidence.decisions import Action, Decision, Verdict
from crack_perception.mapping.evidence.photograph import photograph_folder
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.storage.database import MapStore
from crack_perception.recognition.severity import SeverityScale
from crack_perception.report.condition_states import Material
from crack_perception.report.contents import Notes, Survey, clean, read_survey, totals
from crack_perception.report.elements import FacetElement
from crack_perception.report.georeference import MapFrame
from crack_perception.report.summary import facet_rows, severity_rows, summary_lines


def test_survey_leaves_rejected_cracks_out_and_counts_them(survey: Survey) -> None:
    assert survey.rejected == 1
    assert sorted(crack.id for crack in survey.cracks) == [1, *range(3, 13)]


def test_survey_shows_what_reviewers_decided(survey: Survey) -> None:
    cracks = {crack.id: crack for crack in survey.cracks}
    assert (cracks[1].verdict, cracks[1].name) == (Verdict.ACCEPTED, 'Pfeiler <1> "Süd" & 桥')
    (comment,) = cracks[1].review.comments
    assert (comment.author, comment.value["text"]) == ("Jörg Müller", "=Feucht, Жидкий; <script>alert(1)</script>")
    assert (cracks[3].severity, cracks[3].measured_severity, cracks[3].is_overridden) == ("minor", "obvious", True)


def test_survey_orders_cracks_by_greatest_width(survey: Survey) -> None:
    widths_mm = [crack.summary.max_width_mm for crack in survey.cracks if not crack.is_lost]
    assert widths_mm == sorted(widths_mm, reverse=True)


def test_survey_inspected_area_counts_overlaps_once(survey: Survey) -> None:
    areas = {row[1]: row[5] for row in facet_rows(survey)}
    assert areas == {
        "wall facing -y": pytest.approx(60.0),
        "wall facing +x": pytest.approx(30.0),
        "soffit seen from below": pytest.approx(72.0),
    }
    assert survey.inspected_area_m2 == pytest.approx(162.0)


def test_severity_rows_add_up_to_the_existing_cracks(survey: Survey) -> None:
    existing = totals([crack for crack in survey.cracks if not crack.is_lost])
    rows = list(severity_rows(survey))
    assert sum(row[1] for row in rows) == existing.count
    assert sum(row[2] for row in rows) == pytest.approx(existing.length_m)


def test_summary_names_review_area_and_resolution(survey: Survey) -> None:
    lines = dict(summary_lines(survey, MapFrame()))
    assert lines["Review"] == "1 accepted, 10 open, 1 rejected and left out of this report"
    assert lines["Inspected area"] == "162.0 m²"
    gsds = [crack.summary.gsd_mm_per_px for crack in survey.cracks]
    assert lines["Finest resolvable width"].startswith(f"{1.5 * min(gsds):.2f} mm at the closest")


def test_survey_missing_photograph_files_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "map.sqlite"
    write_bridge(path, count=3, photographs_each=2)
    (photograph_folder(path) / "1-0.jpg").unlink()
    survey = read_survey(path, SeverityScale.of_preset("fine"), Notes())
    assert survey.missing_photographs == 1
    assert sorted(photograph.file for _, photograph in survey.photographs()) == ["1-1.jpg", "3-0.jpg", "3-1.jpg"]


def test_facet_letters_stay_when_all_cracks_of_a_facet_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "map.sqlite"
    rng = np.random.default_rng(4)
    cracks = bridge_cracks(rng, 6)
    with closing(MapStore(path)) as store:
        store.save(cracks, [], 7)
    scale = SeverityScale.of_preset("gb50204")
    before = {crack.id: crack.facet for crack in read_survey(path, scale, Notes()).cracks}
    first = [crack_id for crack_id, facet in before.items() if facet == "A"]
    with closing(MapStore(path)) as store:
        store.add_decisions([Decision(crack_id, Action.REJECT, {}, "Ana", 1) for crack_id in first])
    survey = read_survey(path, scale, Notes())
    assert len(set(before.values())) == 3
    assert {crack.id: crack.facet for crack in survey.cracks} == {
        crack_id: facet for crack_id, facet in before.items() if crack_id not in first
    }
    assert list(survey.facets) == ["A", "B", "C"]  # so that a file of elements stays valid
    assert [row[0] for row in facet_rows(survey)] == ["B", "C"]
    assert [part.element for part in survey.quantities.elements] == ["B", "C"]
    opened = OpenedMap(path, scale)
    names = [facet["name"] for facet in opened.state().facet_documents]
    on_desk = {crack_id: names[document["facet"]] for crack_id, document in opened.state().documents.items()}
    assert on_desk == before
    elements = [FacetElement("pier", Material.REINFORCED, "B")]
    (pier, *_) = replace(survey, elements=tuple(elements)).quantities.elements
    assert pier.cracks == sum(
        crack.facet == "B" and crack.crack.state is CrackState.CONFIRMED for crack in survey.cracks
    )
    assert pier.cracks > 0


def test_facet_of_a_part_that_was_split_off_is_that_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "map.sqlite"
    write_bridge(path, count=6, photographs_each=0)
    scale = SeverityScale.of_preset("gb50204")
    opened = OpenedMap(path, scale)
    line_m = opened.state().reviewed[1].crack.line_m
    middle_m = float(np.linalg.norm(np.diff(line_m, axis=0), axis=1).sum()) / 2
    _, (split,) = opened.decide("Ana", [{"crack_id": 1, "action": "split", "along_m": middle_m}])
    survey = read_survey(path, scale, Notes())
    facets = {crack.id: crack.facet for crack in survey.cracks}
    assert facets[split.value["new_id"]] == facets[1] != ""
    assert {each.crack_id: each.facet for each in survey.quantities.damages}.get(1, facets[1]) == facets[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b\r\n c\t", "a b c"),
        ("\ud800x\ufffe", "x"),
        ("Жидкий 桥梁", "Жидкий 桥梁"),
        ("x" * 3000, "x" * 1999 + "…"),
    ],
)
def test_clean_removes_what_a_format_cannot_hold(text: str, expected: str) -> None:
    assert clean(text) == expected
