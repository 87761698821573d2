# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tables of the map database: one row per crack with one column per field; one row per inspected area, photograph and
reviewer's decision.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.documents import parse_json
from crack_perception.mapping.evidence.decisions import Decision, decision_of
from crack_perception.mapping.evidence.photograph import Photograph, photograph_of, plain_photograph
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.coverage_rows import COVERAGE_TABLES, create_coverage_tables
from crack_perception.mapping.storage.crack_fields import (
    CRACK_FIELDS,
    CrackField,
    Plain,
    crack_of,
    default_of,
    plain_crack,
)

APPLICATION_ID = 0x43724D70
"""Marks a SQLite file as a crack map (``PRAGMA application_id``): the letters CrMp."""

SCHEMA_VERSION = 5
"""Raised when a table joins or a column changes its meaning; columns that only join need no new number (``PRAGMA
user_version``). 1: cracks; 2: inspected areas (table ``seen_area``); 3: photographs and
decisions; 4: coverage (``coverage_rows``); 5: decisions on structural reviews, which older programs cannot read."""

Array = npt.NDArray[np.float64]

_LEAST_CORNERS = 3
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_NAMES = [field.name for field in CRACK_FIELDS]
_UPSERT = (
    f"INSERT INTO crack ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))}) "
    f"ON CONFLICT(id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _NAMES if name != 'id')}"
)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Run statements as one transaction; readers do not block it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # SQLite itself has ended the transaction after a full disk or an input/output error.
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise


def create_tables(database: sqlite3.Connection, next_id: int) -> None:
    """Create an empty map whose first crack gets ``next_id``."""
    columns = ", ".join(f"{field.name} {_sql_type(field)}" for field in CRACK_FIELDS)
    database.execute(f"CREATE TABLE crack ({columns})")
    database.execute("CREATE TABLE map (next_id INTEGER NOT NULL)")
    database.execute("INSERT INTO map VALUES (?)", (next_id,))
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    _bring_up_to_version(database)


def upgrade(database: sqlite3.Connection) -> None:
    """Add the tables and fields that a file of an older version lacks, the fields with their defaults.

    Raises:
        KeyError: A field without a default is missing.
    """
    _bring_up_to_version(database)
    present = {row[1] for row in database.execute("PRAGMA table_info(crack)")}
    for field in CRACK_FIELDS:
        if field.name not in present:
            default = _literal(_cell(default_of(field.name)))
            database.execute(f"ALTER TABLE crack ADD COLUMN {field.name} {_sql_type(field)} DEFAULT {default}")


def _bring_up_to_version(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE IF NOT EXISTS seen_area (id INTEGER PRIMARY KEY, corners_m TEXT NOT NULL)")
    database.execute(
        "CREATE TABLE IF NOT EXISTS photograph (file TEXT PRIMARY KEY, crack_id INTEGER NOT NULL, record TEXT NOT NULL)"
    )
    # AUTOINCREMENT: the number of a decision is never used again.
    database.execute(
        "CREATE TABLE IF NOT EXISTS decision (id INTEGER PRIMARY KEY AUTOINCREMENT, crack_id INTEGER NOT NULL, "
        "action TEXT NOT NULL, value TEXT NOT NULL, author TEXT NOT NULL, time_ns INTEGER NOT NULL)"
    )
    create_coverage_tables(database)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def write_cracks(database: sqlite3.Connection, cracks: Iterable[MappedCrack]) -> None:
    """Insert or update rows."""
    database.executemany(_UPSERT, ([_cell(value) for value in plain_crack(crack).values()] for crack in cracks))


def remove_cracks(database: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Delete rows; ids that are not there are no error."""
    database.executemany("DELETE FROM crack WHERE id = ?", ((int(crack_id),) for crack_id in ids))


def add_inspected_areas(database: sqlite3.Connection, areas_m: Iterable[Array]) -> None:
    """Append polygons (M, 3)."""
    corners = ((_cell(np.asarray(area_m, np.float64).tolist()),) for area_m in areas_m)
    database.executemany("INSERT INTO seen_area (corners_m) VALUES (?)", corners)


def write_photographs(database: sqlite3.Connection, photographs: Iterable[Photograph]) -> None:
    """Insert or replace the records of photographs, by file."""
    database.executemany(
        "INSERT OR REPLACE INTO photograph (file, crack_id, record) VALUES (?, ?, ?)",
        ((each.file, each.crack_id, _ENCODE(plain_photograph(each))) for each in photographs),
    )


def write_decisions(database: sqlite3.Connection, decisions: Iterable[Decision]) -> None:
    """Insert or replace decisions by their ids."""
    database.executemany(
        "INSERT OR REPLACE INTO decision (id, crack_id, action, value, author, time_ns) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (each.id, each.crack_id, each.action.value, _ENCODE(dict(each.value)), each.author, each.time_ns)
            for each in decisions
        ),
    )


def remove_photographs(database: sqlite3.Connection, files: Iterable[str]) -> None:
    """Delete the records of photographs; files that have none are no error."""
    database.executemany("DELETE FROM photograph WHERE file = ?", ((file,) for file in files))


def add_decision(database: sqlite3.Connection, decision: Decision) -> int:
    """Append a decision, or put one back that has an id; return its id."""
    cursor = database.execute(
        "INSERT INTO decision (id, crack_id, action, value, author, time_ns) VALUES (?, ?, ?, ?, ?, ?)",
        (
            decision.id or None,
            decision.crack_id,
            decision.action.value,
            _ENCODE(dict(decision.value)),
            decision.author,
            decision.time_ns,
        ),
    )
    return int(cursor.lastrowid or 0)


def remove_all(database: sqlite3.Connection) -> None:
    """Delete everything; the next ids stay."""
    for table in ("crack", "seen_area", "photograph", "decision", *COVERAGE_TABLES):
        database.execute(f"DELETE FROM {table}")


def raise_next_id(database: sqlite3.Connection, next_id: int) -> None:
    """Raise the next id to at least this value."""
    database.execute("UPDATE map SET next_id = max(next_id, ?)", (next_id,))


def read_next_id(database: sqlite3.Connection) -> int:
    """The id of the next new crack.

    Raises:
        ValueError: It is not there.
    """
    row = database.execute("SELECT next_id FROM map").fetchone()
    if row is None or not isinstance(row[0], int):
        raise ValueError("next_id is missing")
    return row[0]


def read_cracks(database: sqlite3.Connection) -> Iterator[MappedCrack]:
    """All rows by ascending id.

    Raises:
        ValueError: A row is not a crack; its id is named.
    """
    for row in rows(database, "ASC"):
        try:
            yield crack_of_row(row)
        except ValueError as error:
            raise ValueError(f"crack {row.get('id')}: {error}") from error


def read_inspected_areas(database: sqlite3.Connection) -> Iterator[Array]:
    """All polygons (M, 3) in the order in which they were added.

    Raises:
        ValueError: A row is not a polygon; its id is named.
    """
    for area_id, corners in database.execute("SELECT id, corners_m FROM seen_area ORDER BY id"):
        try:
            yield inspected_area_of(corners)
        except ValueError as error:
            raise ValueError(f"inspected area {area_id}: {error}") from error


def read_photographs(database: sqlite3.Connection, order: str = "ASC") -> Iterator[Photograph]:
    """The records of all photographs by crack and file, ``order`` ASC or DESC.

    Raises:
        ValueError: A row is not a photograph; its file is named.
    """
    for file, crack_id, record in database.execute(
        f"SELECT file, crack_id, record FROM photograph ORDER BY crack_id {order}, file {order}"
    ):
        try:
            yield photograph_of(parse_json(record) | {"file": file, "crack_id": crack_id})
        except (TypeError, ValueError) as error:
            raise ValueError(f"photograph {file}: {error}") from error


def read_decisions(database: sqlite3.Connection, order: str = "ASC") -> Iterator[Decision]:
    """All decisions by id, ``order`` ASC or DESC.

    Raises:
        ValueError: A row is not a decision; its id is named.
    """
    cursor = database.execute(f"SELECT id, crack_id, action, value, author, time_ns FROM decision ORDER BY id {order}")
    names = [column[0] for column in cursor.description]
    for row in cursor:
        plain = dict(zip(names, row, strict=True))
        try:
            yield decision_of(plain | {"value": parse_json(plain["value"])})
        except (TypeError, ValueError) as error:
            raise ValueError(f"decision {plain['id']}: {error}") from error


def inspected_area_of(corners: Any) -> Array:
    """The polygon (M, 3) of a raw cell.

    Raises:
        ValueError: The cell does not hold a polygon.
    """
    try:
        corners_m = np.array(parse_json(corners), np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"corners_m: {error}") from error
    if corners_m.ndim != 2 or corners_m.shape[1] != 3 or len(corners_m) < _LEAST_CORNERS:
        raise ValueError(f"corners_m: has the shape {corners_m.shape}")
    if not np.all(np.isfinite(corners_m)):
        raise ValueError("corners_m: is not finite")
    return corners_m


def rows(database: sqlite3.Connection, order: str) -> Iterator[dict[str, Any]]:
    """The raw rows by id, ``order`` ASC or DESC."""
    cursor = database.execute(f"SELECT * FROM crack ORDER BY id {order}")
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


def crack_of_row(row: dict[str, Any]) -> MappedCrack:
    """The crack of a raw row.

    Raises:
        ValueError: The row does not hold a crack.
    """
    arrays = {field.name for field in CRACK_FIELDS if isinstance(field.kind, np.dtype)}
    plain = {
        name: parse_json(value) if name in arrays and isinstance(value, str) else value for name, value in row.items()
    }
    return crack_of(plain)


def _cell(plain: Plain) -> Plain:
    return _ENCODE(plain) if isinstance(plain, list | dict) else plain


def _literal(cell: Plain) -> str:
    if cell is None:
        return "NULL"
    return repr(cell) if isinstance(cell, int | float) else "'" + cell.replace("'", "''") + "'"


def _sql_type(field: CrackField) -> str:
    if field.name == "id":
        return "INTEGER PRIMARY KEY"
    return {int: "INTEGER", float: "REAL"}.get(field.kind, "TEXT") if isinstance(field.kind, type) else "TEXT"
