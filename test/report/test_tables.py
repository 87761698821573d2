# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""CSV by Python's reader and the workbook by openpyxl, which had no part in writing it."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import pytest

from crack_perception.report.attributes import CRACK_COLUMNS
from crack_perception.report.contents import Survey
from crack_perception.report.formats.csv_table import write_csv
from crack_perception.report.formats.workbook import write_workbook
from crack_perception.report.georeference import Georeference

openpyxl = pytest.importorskip("openpyxl", reason="the workbook's reader is not installed: run scripts/setup")


def test_csv_holds_the_cracks_in_order_with_their_places(tmp_path: Path, survey: Survey, utm: Georeference) -> None:
    path = tmp_path / "cracks.csv"
    write_csv(path, survey, utm)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == [crack.id for crack in survey.cracks]
    for row, crack in zip(rows, survey.cracks, strict=True):
        assert row["severity"] == crack.severity
        assert float(row["length_m"]) == pytest.approx(crack.summary.length_m, abs=6e-4)
        middle = [float(row[name]) for name in ("map_x_m", "map_y_m", "map_z_m")]
        place = [float(row[name]) for name in ("easting_m", "northing_m", "height_m")]
        assert place[2] == pytest.approx(512.3 + middle[2], abs=2e-4)
        assert 690_980 < place[0] < 691_020 and 5_334_980 < place[1] < 5_335_020


def test_csv_text_that_spreadsheets_take_for_a_formula_is_quoted(
    tmp_path: Path, survey: Survey, local: Georeference
) -> None:
    path = tmp_path / "cracks.csv"
    write_csv(path, survey, local)
    with path.open(encoding="utf-8-sig", newline="") as file:
        (comment,) = [row["comments"] for row in csv.DictReader(file) if row["comments"]]
    assert comment.startswith("'=Feucht")


def test_workbook_sheets_hold_numbers_as_numbers(tmp_path: Path, survey: Survey, utm: Georeference) -> None:
    path = tmp_path / "cracks.xlsx"
    write_workbook(path, survey, utm)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == [
        "Summary",
        "Cracks",
        "Facets",
        "Coverage",
        "Condition states",
        "Damage records",
        "Widths",
        "Photographs",
        "Decisions",
    ]
    heading, *rows = book["Cracks"].iter_rows(values_only=True)
    assert heading[: len(CRACK_COLUMNS)] == tuple(column.name for column in CRACK_COLUMNS)
    assert len(rows) == len(survey.cracks)
    for row, crack in zip(rows, survey.cracks, strict=True):
        cells = dict(zip(heading, row, strict=True))
        assert (cells["id"], cells["severity"], cells["name"]) == (crack.id, crack.severity, crack.name or None)
        assert isinstance(cells["mean_width_mm"], float)
        assert cells["mean_width_mm"] == pytest.approx(crack.summary.mean_width_mm, rel=1e-12)
        assert isinstance(cells["first_seen"], datetime)
        assert isinstance(cells["easting_m"], float)
    assert sum(1 for _ in book["Widths"].iter_rows()) - 1 == sum(len(crack.crack.line_m) for crack in survey.cracks)
    assert book["Facets"]["F2"].value == pytest.approx(60.0)
    assert book["Condition states"]["C2"].value == pytest.approx(60.0)
    assert book["Damage records"].max_row - 1 == len(survey.quantities.damages)


def test_workbook_formula_in_a_comment_stays_text(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    path = tmp_path / "cracks.xlsx"
    write_workbook(path, survey, local)
    sheet = openpyxl.load_workbook(path)["Cracks"]
    column = [cell.value for cell in sheet[1]].index("comments")
    (cell,) = [row[column] for row in sheet.iter_rows(min_row=2) if row[column].value]
    assert cell.data_type == "s"
    assert cell.value.startswith("=Feucht, Жидкий; <script>")


def test_workbook_lists_every_decision(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    path = tmp_path / "cracks.xlsx"
    write_workbook(path, survey, local)
    _, *rows = openpyxl.load_workbook(path)["Decisions"].iter_rows(values_only=True)
    assert [(row[3], row[4]) for row in rows] == [
        (decision.crack_id, decision.action.value) for decision in survey.decisions
    ]
    assert {row[2] for row in rows} == {"Jörg Müller"}
