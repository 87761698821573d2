# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""CSV table of a survey's cracks (RFC 4180, UTF-8 with a byte order mark, by which spreadsheets know the encoding)."""

from __future__ import annotations

import csv
from pathlib import Path

from crack_perception.report.attributes import (
    CRACK_COLUMNS,
    Column,
    Value,
    crack_values,
    place_columns,
    place_values,
    plain,
)
from crack_perception.report.contents import Survey
from crack_perception.report.georeference import Georeference
from crack_perception.report.whole_file import whole_file

# Spreadsheets take a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Write the file: one row for each crack, the most urgent first.

    Raises:
        UserError: The file cannot be written.
    """
    columns = (*CRACK_COLUMNS, *place_columns(georeference))
    with whole_file(path) as partial, partial.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in columns])
        for crack in survey.cracks:
            values = (*crack_values(crack, survey), *place_values(crack, georeference))
            writer.writerow([_cell(column, value) for column, value in zip(columns, values, strict=True)])


def _cell(column: Column, value: Value) -> str:
    shown = plain(column, value)
    if isinstance(shown, float):
        return f"{shown:.{column.digits}f}"
    text = "" if shown is None else str(shown)
    return f"'{text}" if column.kind is str and text.startswith(_FORMULA) else text
