# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Excel workbook (XLSX) of a survey: summary, cracks, facets, widths, photographs and decisions, numbers as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crack_perception.report.attributes import (
    CRACK_COLUMNS,
    PHOTOGRAPH_COLUMNS,
    WIDTH_COLUMNS,
    Column,
    Value,
    crack_values,
    photograph_values,
    place_columns,
    place_values,
    utc,
    width_values,
)
from crack_perception.report.contents import Survey, clean
from crack_perception.report.georeference import Georeference
from crack_perception.report.quantity_tables import damage_table, element_table
from crack_perception.report.summary import (
    COVERAGE_COLUMNS,
    FACET_COLUMNS,
    SEVERITY_COLUMNS,
    coverage_rows,
    facet_rows,
    severity_rows,
    summary_lines,
)
from crack_perception.report.whole_file import whole_file
from crack_perception.vision.annotate import severity_colour

if TYPE_CHECKING:
    import xlsxwriter

_DECISION_COLUMNS = (
    Column("decision", int),
    Column("time", datetime),
    Column("author", str),
    Column("crack_id", int),
    Column("action", str),
    Column("value", str),
)
_LAST_ROW = 1_048_575
_WIDEST = 44


def write_workbook(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Write the file; rows go to the disk as they are made.

    Raises:
        UserError: The file cannot be written.
    """
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "remove_timezone": True,
    }
    with whole_file(path) as partial:
        book = xlsxwriter.Workbook(str(partial), options)
        book.set_properties({"title": survey.notes.title, "company": survey.notes.owner})
        sheets = _Sheets(book, survey)
        sheets.summary(georeference)
        cracks = ((*crack_values(crack, survey), *place_values(crack, georeference)) for crack in survey.cracks)
        sheets.table("Cracks", (*CRACK_COLUMNS, *place_columns(georeference)), cracks)
        sheets.table("Facets", FACET_COLUMNS, facet_rows(survey))
        sheets.table("Coverage", COVERAGE_COLUMNS, coverage_rows(survey))
        sheets.cells("Condition states", *element_table(survey.quantities))
        sheets.cells("Damage records", *damage_table(survey.quantities))
        sheets.table("Widths", WIDTH_COLUMNS, (row for crack in survey.cracks for row in width_values(crack)))
        photographs = (photograph_values(crack, photograph) for crack, photograph in survey.photographs())
        sheets.table("Photographs", PHOTOGRAPH_COLUMNS, photographs)
        sheets.table("Decisions", _DECISION_COLUMNS, _decision_rows(survey))
        try:
            book.close()
        except FileCreateError as error:
            raise error.args[0] if isinstance(error.args[0], OSError) else OSError(str(error)) from error


def _decision_rows(survey: Survey) -> Iterable[tuple[Value, ...]]:
    for decision in survey.decisions:
        value = ", ".join(f"{name}: {part}" for name, part in decision.value.items())
        yield (
            decision.id,
            utc(decision.time_ns),
            clean(decision.author),
            decision.crack_id,
            decision.action.value,
            clean(value),
        )


class _Sheets:
    """The workbook with its cell formats."""

    def __init__(self, book: xlsxwriter.Workbook, survey: Survey) -> None:
        self._book = book
        self._survey = survey
        self._title = book.add_format({"bold": True, "font_size": 16})
        self._strong = book.add_format({"bold": True})
        self._wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        self._heading = book.add_format({"bold": True, "bg_color": "#E9ECEF", "bottom": 1, "text_wrap": True})
        self._time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._number = {digits: book.add_format({"num_format": f"0.{'0' * digits}"}) for digits in range(1, 10)}
        self._classes = {}
        for verdict in survey.classes:
            blue, green, red = severity_colour(survey.scale.relative_severity(verdict))
            self._classes[verdict] = book.add_format({"bg_color": f"#{red:02X}{green:02X}{blue:02X}"})

    def summary(self, georeference: Georeference) -> None:
        """First sheet: names and figures, then the severity classes."""
        sheet = self._book.add_worksheet("Summary")
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 4, 22)
        sheet.write_string(0, 0, self._survey.notes.title, self._title)
        row = 2
        for name, value in summary_lines(self._survey, georeference):
            sheet.write_string(row, 0, name, self._strong)
            sheet.write_string(row, 1, value)
            row += 1
        row += 1
        for column, heading in enumerate(SEVERITY_COLUMNS):
            sheet.write_string(row, column, heading.name, self._heading)
        for values in severity_rows(self._survey):
            row += 1
            self._write_row(sheet, row, SEVERITY_COLUMNS, values)

    def table(self, name: str, columns: Sequence[Column], rows: Iterable[Sequence[Value]]) -> None:
        """A sheet with a heading that stays in view and can be filtered by."""
        sheet = self._book.add_worksheet(name)
        for index, column in enumerate(columns):
            sheet.set_column(index, index, _column_width(column))
            sheet.write_string(0, index, column.name, self._heading)
        sheet.freeze_panes(1, 2 if columns is not WIDTH_COLUMNS else 1)
        row = 0
        for values in rows:
            if row == _LAST_ROW:
                break
            row += 1
            self._write_row(sheet, row, columns, values)
        sheet.autofilter(0, 0, row, len(columns) - 1)

    def cells(self, name: str, heading: Sequence[str], rows: Sequence[Sequence[str | float | None]]) -> None:
        """A sheet of a table that is known already."""
        sheet = self._book.add_worksheet(name)
        for index, title in enumerate(heading):
            sheet.set_column(index, index, max(9.0, min(24.0, len(title) + 3.0)))
            sheet.write_string(0, index, title, self._heading)
        sheet.freeze_panes(1, 2)
        for row, values in enumerate(rows, start=1):
            for index, value in enumerate(values):
                if isinstance(value, str):
                    sheet.write_string(row, index, value)
                elif value is not None:
                    sheet.write_number(row, index, value)
        sheet.autofilter(0, 0, len(rows), len(heading) - 1)

    def _write_row(self, sheet: Any, row: int, columns: Sequence[Column], values: Sequence[Value]) -> None:
        for index, (column, value) in enumerate(zip(columns, values, strict=True)):
            if value is None:
                continue
            if isinstance(value, datetime):
                sheet.write_datetime(row, index, value, self._time)
            elif isinstance(value, str):
                colour = self._classes.get(value) if column.name in ("severity", "measured_severity") else None
                sheet.write_string(row, index, value, colour)
            elif isinstance(value, float):
                sheet.write_number(row, index, value, self._number.get(column.digits))
            else:
                sheet.write_number(row, index, value)


def _column_width(column: Column) -> float:
    if column.kind is datetime:
        return 19.0
    if column.name in ("comments", "model_sha256", "value"):
        return _WIDEST
    return max(9.0, min(24.0, len(column.name) + 3.0))
