# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Queries of the archive of a survey with DuckDB on its Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from crack_perception.errors import UsageError, UserError
from crack_perception.survey.registry import SUMMARY
from crack_perception.survey.storage import Storage
from crack_perception.survey.structure_map import CRACKS_FILE
from crack_perception.survey.tables import DETECTIONS, FRAMES
from crack_perception.survey.tasks import RECORDINGS

CRACKS = "cracks"
TABLES = (CRACKS, DETECTIONS, FRAMES)
_GEOMETRIES = ("geometry", "geometry_map")
_ROWS_AT_ONCE = 1000
# Lost and rejected cracks are not the worst ones.
_NOT_WORST = (("state", "lost"), ("verdict", "rejected"))
_WORST_FIRST = "severity DESC NULLS LAST, max_width_mm DESC NULLS LAST, structure, id"
_TIMES = ("first_seen", "last_seen")
_NAMED = (
    "(SELECT named.structure, named.name AS recording_name, part.* FROM {} AS part "
    "JOIN named ON part.recording = named.key)"
)
_USUAL_COLUMNS = {
    CRACKS: (
        "structure",
        "severity",
        "severity_class",
        "max_width_mm",
        "length_m",
        "grown",
        "state",
        "verdict",
        "last_seen",
    ),
    DETECTIONS: ("structure", "recording_name", "score", "severity", "width_mm", "length_m"),
    FRAMES: ("structure", "recording_name", "has_pose", "detections"),
}


class Archive:
    """Tables of the archive of a survey.

    Args:
        url: Output folder or URL of the survey.

    Raises:
        UserError: There is no survey.
    """

    def __init__(self, url: str) -> None:
        import duckdb

        self._storage = Storage(url)
        summary = self._storage.read_json(SUMMARY)
        if summary is None:
            raise UserError(f"{url}: holds no finished survey", "Give the folder of --out of crack_perception survey")
        self._summary: dict[str, Any] = summary
        self._database = duckdb.connect()
        self._database.execute("SET TimeZone = 'UTC'")  # of times in conditions, whatever that of the machine is
        if self._storage.folder is None:
            self._database.register_filesystem(self._storage.filesystem)
        # A condition may come from others: it reads nothing but the archive, and cannot change that again.
        self._database.execute(
            "SET allowed_directories = $folders", {"folders": [self._prefix + self._storage.path("")]}
        )
        self._database.execute("SET enable_external_access = false")
        self._database.execute("SET lock_configuration = true")

    def rows(
        self, condition: str, table: str = CRACKS, limit: int | None = None
    ) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        """Return the names of the columns and the rows that fulfil a condition; cracks are sorted worst first.

        Args:
            condition: SQL expression on the columns, for example ``severity >= 0.3 and grown``; empty for all rows.
            table: One of ``TABLES``.
            limit: Greatest number of rows; None for all.

        Raises:
            UsageError: The condition is not valid SQL for the table, now or while the rows are read.
            UserError: A file cannot be read.
        """
        import duckdb

        files = self._files(table)
        if not files:
            return [], iter(())
        # Maps of an earlier version may lack a column.
        source = "read_parquet($files, union_by_name = true)"
        if table != CRACKS:
            self._register_names()
            source = _NAMED.format(source)
        try:
            columns = self._database.execute(f"SELECT * FROM {source} LIMIT 0", {"files": files}).description
            shown = [name for name, *_ in columns or () if name not in _GEOMETRIES]
            chosen = ", ".join(_iso(name) if name in _TIMES else name for name in shown)
            if condition.strip():
                self._check(condition)
            # On lines of its own, so that a comment at its end takes nothing with it.
            statement = f"SELECT {chosen} FROM (SELECT * FROM {source} WHERE (\n{condition.strip() or 'true'}\n))"
            if table == CRACKS:
                last = [f"coalesce({name} = '{value}', false)" for name, value in _NOT_WORST if name in shown]
                statement += f" ORDER BY {' OR '.join(last)}, {_WORST_FIRST}"
            if limit is not None:
                statement += f" LIMIT {int(limit)}"
            found = self._database.execute(statement, {"files": files})
        except duckdb.Error as error:
            raise _explained(error, condition, table) from error
        return shown, _fetched(found, condition, table)

    def _files(self, table: str) -> list[str]:
        structures = self._summary["structures"]
        if table == CRACKS:
            names = [f"{each['folder']}/{CRACKS_FILE}" for each in structures if each["folder"]]
        else:
            keys = {r["key"] for each in structures for r in each["recordings"] if not r["problem"]}
            names = [f"{RECORDINGS}/{key}/{table}.parquet" for key in sorted(keys)]
        return [self._prefix + self._storage.path(name) for name in names]

    @property
    def _prefix(self) -> str:
        return "" if self._storage.folder is not None else f"{self._storage.url.partition('://')[0]}://"

    def _check(self, condition: str) -> None:
        """Check that a condition is one expression: it must not close the parenthesis around it and go on.

        Raises:
            duckdb.ParserException: It is none, or more.
        """
        import duckdb

        with suppress(duckdb.BinderException, duckdb.CatalogException):  # its columns are those of another table
            self._database.sql("SELECT 1").filter(condition)

    def _register_names(self) -> None:
        self._database.execute("CREATE OR REPLACE TABLE named (key VARCHAR, name VARCHAR, structure VARCHAR)")
        rows = [
            (recording["key"], recording["name"], each["structure"])
            for each in self._summary["structures"]
            for recording in each["recordings"]
            if not recording["problem"]
        ]
        if rows:
            self._database.executemany("INSERT INTO named VALUES (?, ?, ?)", rows)


def _iso(name: str) -> str:
    """Return the expression of a time as ISO 8601 in UTC, which needs no package for time zones in Python."""
    return f"strftime({name} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS {name}"


def _fetched(found: Any, condition: str, table: str) -> Iterator[tuple[Any, ...]]:
    import duckdb

    try:
        while rows := found.fetchmany(_ROWS_AT_ONCE):
            yield from rows
    except duckdb.Error as error:
        raise _explained(error, condition, table) from error


def _explained(error: Exception, condition: str, table: str) -> UserError:
    """Return the error for a person: of the condition, or of a file."""
    import duckdb

    text = str(error).partition("\n")[0]
    if isinstance(error, duckdb.OperationalError):
        return UserError(f"the archive cannot be read: {text}", "Run crack_perception survey again")
    remedy = f"Columns are {', '.join(_USUAL_COLUMNS[table])} and others (docs/survey.md)"
    return UsageError(f"the condition {condition!r} cannot be used: {text}", remedy)
