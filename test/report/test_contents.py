# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Contents of deliverables: reviewers' decisions, facets, figures, and texts that any format can hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from reported_maps import write_bridge

from crack_perception.mapping.evidence.decisions import Verdict
from crack_perception.mapping.evidence.photograph import photograph_folder
from crack_perception.recognition.severity import SeverityScale
from crack_perception.report.contents import Notes, Survey, clean, read_survey, totals
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
