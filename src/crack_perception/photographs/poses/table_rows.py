# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rows of a text table by the names of their columns, whatever separates them and whichever program wrote them.

Own tables and those of Pix4D (``calibrated_external_camera_parameters.txt``, separated by spaces) have the names of the
columns in their first line. Metashape puts remarks before it and often a ``#``; its list of omega, phi and kappa has
commas in the line of names and tabs in the others. In Metashape, yaw, pitch and roll are zero for a camera that looks
straight down with the top of the picture to the north, and a table may hold imported and adjusted values.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.photographs.documents import read_text

BEYOND = ""
"""Key of the first field of a row beyond the columns."""
DISABLED = "disabled"
"""Key of rows that the program has disabled."""

_MOST_ROWS = 1_000_000
_MOST_LINES_BEFORE = 50
_SEPARATORS = ",;\t"
_OTHER_NAMES = {
    "filename": "file",
    "file_name": "file",
    "image": "file",
    "imagename": "file",
    "image_name": "file",
    "name": "file",
    "photo": "file",
    "photoid": "file",
    "label": "file",
    "path": "file",
    "lat": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "long": "longitude",
    "alt": "altitude",
    "height_m": "altitude",
    "x_m": "x",
    "y_m": "y",
    "z_m": "z",
    "easting": "x",
    "northing": "y",
    "yaw_deg": "yaw",
    "heading": "yaw",
    "pitch_deg": "pitch",
    "roll_deg": "roll",
    "sigma_m": "position_sigma",
    "position_sigma_m": "position_sigma",
    "attitude_sigma_deg": "attitude_sigma",
    "timestamp": "time",
    "stamp": "time",
}
_LOCAL, _ON_EARTH = ("x", "y", "z"), ("longitude", "latitude", "altitude")
_ANGLES = (("yaw", "pitch", "roll"), ("omega", "phi", "kappa"))
_ADJUSTED = "_est"
_AXIS = re.compile(r"[xyz]/(\w+)")
# The outermost keyword of the coordinate system, that of the horizontal one in a compound system.
_SYSTEM = re.compile(r"CoordinateSystem:\s*(?:COMPD_CS\[\"[^\"]*\",|COMPOUNDCRS\[\"[^\"]*\",)?\s*(\w+)")
_GEOGRAPHIC = ("GEOGCS", "GEOGCRS")
_METASHAPE = re.compile(r"#\s*(Label\b|CoordinateSystem|Cameras \(\d+\))")


@dataclass(frozen=True)
class TableRows:
    """Rows of a table.

    Attributes:
        rows: Column -> text; numbers as they are written.
        is_nadir: Yaw, pitch and roll are zero for a camera that looks straight down.
        notes: Remarks for the user.
    """

    rows: list[dict[str, str]]
    is_nadir: bool = False
    notes: tuple[str, ...] = ()


def read_rows(path: Path) -> TableRows:
    """Read a table.

    Raises:
        UserError: The file holds no table, or one in earth-centred coordinates.
    """
    lines = read_text(path).splitlines()
    header = _header(lines)
    if header is None:
        raise UserError(f"{path}: holds no table", "Give a table with the names of the columns in its first line")
    if len(lines) - header > _MOST_ROWS:
        raise UserError(f"{path}: has more than {_MOST_ROWS} rows", "Split it, with the photographs of each")
    names, separator = _names(lines[header])
    data = [line for line in lines[header + 1 :] if line.strip() and not line.startswith("#")]
    if data and separator not in data[0]:
        separator = _separator(data[0])
    try:
        records = csv.reader(data, delimiter=separator, skipinitialspace=separator == " ")
        rows = [_row(names, record) for record in records]
    except csv.Error as error:
        raise UserError(f"{path}: is no table ({error})", "Save it as CSV again") from error
    remarks = "\n".join(lines[:header])
    if not _METASHAPE.search("\n".join(lines[: header + 1])):
        return TableRows(rows)
    system = _SYSTEM.search(remarks)
    kind = system[1].upper() if system is not None else ""
    if kind == "GEOCCS":
        raise UserError(f"{path}: has earth-centred coordinates", "Export it in WGS 84 or in a projected system")
    return _of_metashape(rows, set(names), kind in _GEOGRAPHIC)


def _of_metashape(rows: list[dict[str, str]], columns: set[str], is_geographic: bool) -> TableRows:
    """Return rows with the adjusted values where the table has them, by the names of own tables."""
    if set(_LOCAL[:2]) <= columns and "altitude" in columns:
        renamed = {"altitude": "z"}
    else:
        renamed = dict(zip(_LOCAL, _ON_EARTH, strict=True)) if is_geographic else {}
    rows = [{renamed.get(name, name): value for name, value in row.items()} for row in rows]
    columns = {renamed.get(name, name) for name in columns}
    position = _LOCAL if set(_LOCAL) <= columns else _ON_EARTH
    adjusted = dict(zip(position, (f"{axis}{_ADJUSTED}" for axis in _LOCAL), strict=True))
    for angles in _ANGLES:
        if set(angles) <= columns:
            adjusted |= {angle: f"{angle}{_ADJUSTED}" for angle in angles}
    is_adjusted = set(adjusted.values()) <= columns
    if is_adjusted:
        rows = [row | {name: row.get(other, "") for name, other in adjusted.items()} for row in rows]
    rows = [row | {DISABLED: ""} if row.get("enable", "").strip() in ("0", "false") else row for row in rows]
    has_imported = bool({"yaw", "accuracy_x/y/z_(m)", "error_(m)"} & columns) and not is_adjusted
    imported = "the table of Metashape holds no adjusted poses: those that were imported are used"
    return replace(TableRows(rows, is_nadir=True), notes=(imported,) if has_imported else ())


def _header(lines: Sequence[str]) -> int | None:
    """Return the index of the line with the names of the columns, else of the first line that is no remark."""
    for index, line in enumerate(lines[:_MOST_LINES_BEFORE]):
        if "file" in _names(line)[0][:1] or len({"file", *_LOCAL, *_ON_EARTH} & set(_names(line)[0])) >= 4:
            return index
    return next((index for index, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)


def _separator(line: str) -> str:
    best = max(_SEPARATORS, key=line.count)
    return best if best in line else " "


def _names(line: str) -> tuple[list[str], str]:
    """Return the names of the columns in a line, and what separates them."""
    text = line.lstrip("#").strip()
    separator = _separator(text)
    fields = next(csv.reader([text], delimiter=separator, skipinitialspace=separator == " "), [])
    return [_column(name) for name in fields], separator


def _column(name: str) -> str:
    plain = name.strip().strip('"').lower().replace(" ", "_")
    axis = _AXIS.fullmatch(plain)
    if axis is not None:
        plain = {"east": "easting", "north": "northing"}.get(axis[1], axis[1])
    elif not plain.startswith(("accuracy", "error")):
        plain = plain.split("(")[0].split("[")[0].strip("_")
    return _OTHER_NAMES.get(plain, plain)


def _row(names: Sequence[str], record: Sequence[str]) -> dict[str, str]:
    row = dict.fromkeys(names, "") | dict(zip(names, record, strict=False))
    beyond = [field for field in record[len(names) :] if field.strip()]
    return row | {BEYOND: beyond[0]} if beyond else row
