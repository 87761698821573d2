# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Safe opening of a map database: check of its owner and integrity, and recovery of damaged files."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.mapping.coverage.coverage import CoverageChanges
from crack_perception.mapping.evidence.decisions import Decision
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.atomic_file import partial_path, remove_leftovers, replace_file
from crack_perception.mapping.storage.coverage_rows import (
    read_camera,
    read_coverage_tiles,
    read_surface_frames,
    write_coverage,
)
from crack_perception.mapping.storage.rows import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    Array,
    add_decision,
    add_inspected_areas,
    crack_of_row,
    create_tables,
    inspected_area_of,
    raise_next_id,
    read_decisions,
    read_next_id,
    read_photographs,
    rows,
    transaction,
    upgrade,
    write_cracks,
    write_photographs,
)

# SQLite database header (https://www.sqlite.org/fileformat2.html): its first bytes, and where two numbers stand.
_MAGIC = b"SQLite format 3\x00"
_USER_VERSION_AT = 60
_APPLICATION_ID_AT = 68
_HEADER_BYTES = 100

# SQLite's primary result codes (https://www.sqlite.org/rescode.html), which Python names from 3.11 on.
_PERMISSION, _BUSY, _LOCKED, _READ_ONLY, _INPUT_OUTPUT = 3, 5, 6, 8, 10
_CORRUPT, _FULL, _CANNOT_OPEN, _NOT_A_DATABASE = 11, 13, 14, 26
_CODES_BY_TEXT = {
    "access permission denied": _PERMISSION,
    "database is locked": _BUSY,
    "database table is locked": _LOCKED,
    "attempt to write a readonly database": _READ_ONLY,
    "disk I/O error": _INPUT_OUTPUT,
    "database disk image is malformed": _CORRUPT,
    "database or disk is full": _FULL,
    "unable to open database file": _CANNOT_OPEN,
    "file is not a database": _NOT_A_DATABASE,
}

_COMPANIONS = ("", "-wal", "-shm", "-journal")
_PATIENCE_S = 1.0
_CHOOSE_WRITABLE = "Choose a file in a folder that can be written"

# Ids that may have been given out and lost: in the last moments before a crash, and in the unreadable part of a file.
_IDS_LOST_BY_CRASH = 100
_IDS_LOST_BY_DAMAGE = 1_000_000


class DamagedFileError(Exception):
    """Raised for a damaged file; the text describes the damage."""


@dataclass(eq=False)
class Contents:
    """Content of a file: cracks, inspected polygons (M, 3), decisions (all by id), photographs, coverage, next id."""

    cracks: dict[int, MappedCrack] = field(default_factory=dict)
    inspected_areas_m: dict[int, Array] = field(default_factory=dict)
    photographs: dict[str, Photograph] = field(default_factory=dict)
    decisions: dict[int, Decision] = field(default_factory=dict)
    coverage: CoverageChanges = field(default_factory=CoverageChanges)
    next_id: int = 1


@dataclass(frozen=True)
class Rescue:
    """Recovery of a damaged file.

    Attributes:
        reason: Kind of damage.
        kept_at: Path of the unchanged damaged file.
        cracks: Number of cracks that could be read and are in the new file.
    """

    reason: str
    kept_at: Path
    cracks: int

    def __str__(self) -> str:
        return (
            f"the crack map's file was damaged ({self.reason}); {self.cracks} cracks were rescued from it, "
            f"it is kept as {self.kept_at}"
        )


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create a crack map's file for this process alone.

    Raises:
        UserError: Not writable, no room, in use, another program's, or written by a newer version.
        DamagedFileError: It is broken.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        header = _header(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({error.strerror})", _CHOOSE_WRITABLE) from error
    if not header:
        if any(os.path.exists(f"{path}{companion}") for companion in _COMPANIONS[1:]):
            set_aside(path, "orphaned")  # a log without its file would be played into the new one
        _begin(path)
    else:
        check_owner(path, header)
        _check_writable(path)
    crashed = path.with_name(path.name + "-wal").exists()
    database = _connect(path)
    try:
        _prepare(database, crashed)
    except sqlite3.Error as error:
        database.close()
        if is_damage(error):
            raise DamagedFileError(str(error)) from error
        raise explained(path, error) from error
    except (ValueError, KeyError, DamagedFileError) as error:
        database.close()
        raise DamagedFileError(str(error)) from error
    return database


def _begin(path: Path) -> None:
    """Create the file: empty, or with the result of a recovery that was interrupted by a crash."""
    try:
        replace_file(_rescued(path), path)
    except FileNotFoundError:
        write_database(path, Contents())
    except OSError as error:
        raise explained(path, error) from error


def _rescued(path: Path) -> Path:
    return path.with_name(path.name + ".rescued")


def rescue(path: Path, reason: str) -> Rescue:
    """Archive a damaged file and create a new one with every crack that can be read.

    Raises:
        UserError: No room or no permission; the damaged file is then still in its place.
    """
    saved = _salvage(path)
    fresh = _rescued(path)
    write_database(fresh, saved)
    try:
        kept_at = set_aside(path, "corrupt")
        replace_file(fresh, path)
    except OSError as error:
        raise explained(path, error) from error
    return Rescue(reason, kept_at, len(saved.cracks))


def set_aside(path: Path, why: str) -> Path:
    """Rename a file and its companions to NAME.WHY-STAMP and return the new name."""
    kept_at = unused_name(path, why)
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            os.rename(f"{path}{companion}", f"{kept_at}{companion}")
    return kept_at


def unused_name(path: Path, why: str) -> Path:
    """NAME.WHY-STAMP beside the file, which does not exist yet."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    name, count = f"{path.name}.{why}-{stamp}", 1
    while any(path.with_name(name + companion).exists() for companion in _COMPANIONS):
        count += 1
        name = f"{path.name}.{why}-{stamp}-{count}"
    return path.with_name(name)


def write_database(path: Path, contents: Contents) -> None:
    """Write a whole new file; it appears under its name only once it is complete.

    Raises:
        UserError: No room or no permission.
    """
    partial = partial_path(path)
    try:
        partial.unlink(missing_ok=True)
        with closing(_connect(partial)) as database, transaction(database):
            create_tables(database, contents.next_id)
            write_cracks(database, contents.cracks.values())
            add_inspected_areas(database, [area_m for _, area_m in sorted(contents.inspected_areas_m.items())])
            write_photographs(database, contents.photographs.values())
            for _, decision in sorted(contents.decisions.items()):
                add_decision(database, decision)
            write_coverage(database, contents.coverage)
        replace_file(partial, path)
    except (sqlite3.Error, OSError) as error:
        for companion in _COMPANIONS:
            with suppress(OSError):
                os.unlink(f"{partial}{companion}")
        raise explained(path, error) from error


def is_damage(error: sqlite3.Error) -> bool:
    """Return True if SQLite reports that the file itself is damaged."""
    return _result_code(error) in (_CORRUPT, _NOT_A_DATABASE)


def is_full(error: sqlite3.Error) -> bool:
    """Return True if SQLite reports a full disk."""
    return _result_code(error) == _FULL


def _result_code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; None for errors of Python's own."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return int(code) & 0xFF  # the extended codes stand in the higher bits
    # Python 3.10 hands over the text alone: SQLite's own, word for word, without paths.
    return _CODES_BY_TEXT.get(str(error))


def explained(path: Path, error: Exception) -> UserError:
    """Convert an error of SQLite or of the file system to an error for the user."""
    code = _result_code(error) if isinstance(error, sqlite3.Error) else None
    number = error.errno if isinstance(error, OSError) else None
    if code in (_BUSY, _LOCKED):
        return UserError(f"{path}: is in use by another crack_mapper or program", "Give every mapper a file of its own")
    if code == _FULL or number in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"{path}: the disk is full", "Make room; what was saved before is unharmed")
    if code in (_PERMISSION, _READ_ONLY, _CANNOT_OPEN) or number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(f"{path}: cannot be written", _CHOOSE_WRITABLE)
    if code in (_CORRUPT, _NOT_A_DATABASE):
        return UserError(f"{path}: is damaged ({error})", "Start the mapper again; it rescues what can be read")
    return UserError(f"{path}: cannot be saved ({error})", "Check the disk; what was saved before is unharmed")


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise explained(path, error) from error


def check_regular(path: Path) -> None:
    """Refuse a pipe or a device, on which reading may never end; a missing file is accepted.

    Raises:
        UserError: It is one.
        OSError: The path cannot be examined.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # a folder has an error of its own
        raise UserError(f"{path}: is not a regular file", "Give the SQLite file of a crack map")


def _header(path: Path) -> bytes:
    check_regular(path)
    try:
        with path.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return b""


def _check_writable(path: Path) -> None:
    # SQLite opens what it may only read without a word, and calls a folder without room for its log an I/O error.
    if not all(os.access(place, os.W_OK, effective_ids=True) for place in (path, path.parent)):
        raise UserError(f"{path}: cannot be written", _CHOOSE_WRITABLE)


def check_owner(path: Path, header: bytes) -> None:
    if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
        raise DamagedFileError("it is not an SQLite database")
    if int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big") != APPLICATION_ID:
        raise UserError(f"{path}: belongs to another program", "Name another file for the crack map")
    version = int.from_bytes(header[_USER_VERSION_AT : _USER_VERSION_AT + 4], "big")
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path}: was written by a newer crack_perception (schema {version}, this one knows {SCHEMA_VERSION})",
            "Update this program, or name another file",
        )


def _prepare(database: sqlite3.Connection, crashed: bool) -> None:
    # One process alone: the lock that keeps a second mapper out, and no shared memory, which network disks lack.
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DamagedFileError(found.splitlines()[-1])
    with transaction(database):
        upgrade(database)
        next_id = read_next_id(database)
        if crashed:
            raise_next_id(database, next_id + _IDS_LOST_BY_CRASH)


def _salvage(path: Path) -> Contents:
    """Everything that can be read from a damaged file, and an id above all that it may have held."""
    saved = Contents()
    next_id = None
    with tempfile.TemporaryDirectory(prefix="crack_map_", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "copy"
        with suppress(OSError):
            for companion in ("", "-wal"):
                if os.path.exists(f"{path}{companion}"):
                    shutil.copyfile(f"{path}{companion}", f"{copy}{companion}")
        with closing(_connect(copy)) as database:
            for order in ("ASC", "DESC"):  # from both ends up to the damage
                _collect(database, order, saved)
            with suppress(sqlite3.Error, ValueError):
                next_id = read_next_id(database)
    above = max(saved.cracks, default=0) + 1
    saved.next_id = above + _IDS_LOST_BY_DAMAGE if next_id is None else max(next_id, above)
    return saved


def _collect(database: sqlite3.Connection, order: str, saved: Contents) -> None:
    with suppress(sqlite3.Error):
        database.execute("PRAGMA writable_schema = ON")  # reads on although pages are missing at the end
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        for row in rows(database, order):
            with suppress(ValueError):
                crack = crack_of_row(row)
                saved.cracks.setdefault(crack.id, crack)
    with suppress(sqlite3.Error):
        for area_id, corners in database.execute(f"SELECT id, corners_m FROM seen_area ORDER BY id {order}"):
            with suppress(ValueError):
                saved.inspected_areas_m[area_id] = inspected_area_of(corners)
    # A damaged row ends its list; the other direction reads up to it from the other end.
    with suppress(sqlite3.Error, ValueError):
        for photograph in read_photographs(database, order):
            saved.photographs[photograph.file] = photograph
    with suppress(sqlite3.Error, ValueError):
        for decision in read_decisions(database, order):
            saved.decisions[decision.id] = decision
    with suppress(sqlite3.Error, ValueError):
        for frame in read_surface_frames(database, order):
            saved.coverage.frames[frame.id] = frame
    with suppress(sqlite3.Error, ValueError):
        for key, tile in read_coverage_tiles(database, order):
            saved.coverage.tiles[key] = tile
    with suppress(sqlite3.Error, ValueError):
        saved.coverage.camera = read_camera(database)
