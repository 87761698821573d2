# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Snapshot of a crack map file, also while ``crack_mapper`` writes it."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError, file_error
from crack_perception.mapping.coverage.coverage import saved_coverage
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage
from crack_perception.mapping.coverage.view import CameraGeometry
from crack_perception.mapping.evidence.decisions import Decision
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.coverage_rows import read_coverage
from crack_perception.mapping.storage.database_file import (
    DamagedFileError,
    check_owner,
    check_regular,
    explained,
    is_full,
)
from crack_perception.mapping.storage.rows import (
    read_cracks,
    read_decisions,
    read_inspected_areas,
    read_photographs,
    upgrade,
)

Floats = npt.NDArray[np.float64]

_WAL_HEADER_BYTES = 32
_ATTEMPTS = 20


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that a map file holds.

    Attributes:
        cracks: By ascending id.
        inspected_areas_m: Polygons (M, 3) of the surface that images have shown, map frame.
        photographs: By crack and file; the files lie in ``photograph_folder``.
        decisions: Of reviewers, the first one first.
        coverage: Finest resolution of each surface, by its id.
        camera: Camera of the views; None where it is not known.
    """

    cracks: tuple[MappedCrack, ...]
    inspected_areas_m: tuple[Floats, ...]
    photographs: tuple[Photograph, ...]
    decisions: tuple[Decision, ...]
    coverage: tuple[SurfaceCoverage, ...] = ()
    camera: CameraGeometry | None = None


def read_snapshot(path: Path) -> Snapshot:
    """The contents of a file, as the last completed save left them; the file is never changed.

    Args:
        path: The map file; ``crack_mapper`` may be writing it, and it may be read-only.

    Raises:
        UserError: No such file, no crack map, a damaged one, or one of a newer version.
    """
    with tempfile.TemporaryDirectory(prefix="crack_map_") as folder:
        copy = Path(folder) / "copy"
        try:
            _copy(path, copy)
            with closing(sqlite3.connect(copy, isolation_level=None)) as database:
                # Without shared memory, which is not needed for a copy.
                database.execute("PRAGMA locking_mode = EXCLUSIVE")
                upgrade(database)
                areas_m = tuple(read_inspected_areas(database))
                coverage = saved_coverage(read_coverage(database), areas_m)
                return Snapshot(
                    tuple(read_cracks(database)),
                    areas_m,
                    tuple(read_photographs(database)),
                    tuple(read_decisions(database)),
                    coverage.surfaces(),
                    coverage.camera,
                )
        except (DamagedFileError, sqlite3.DatabaseError, KeyError, ValueError) as error:
            if isinstance(error, sqlite3.Error) and is_full(error):
                raise explained(Path(folder), error) from error
            raise UserError(
                f"{path}: is not a readable crack map ({error})",
                "Check the path; if crack_mapper wrote it, start crack_mapper with it, which saves what can be read",
            ) from error


def _copy(path: Path, copy: Path) -> None:
    """Copy a database together with its write-ahead log, in one consistent state.

    ``crack_mapper`` locks its file exclusively, so that SQLite refuses other readers. The copy is consistent if the log
    was not restarted in between: whatever a checkpoint has moved into the file by then is also in the log, which is
    copied last. A transaction that is not complete in the log is ignored when the copy is opened.

    Raises:
        UserError: The file cannot be read, or the log kept being restarted.
        DamagedFileError: It is not an SQLite database.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        check_regular(path)
        for _ in range(_ATTEMPTS):
            before = _bytes(log)[:_WAL_HEADER_BYTES]
            data = path.read_bytes()
            log_data = _bytes(log)
            if before == log_data[:_WAL_HEADER_BYTES] == _bytes(log)[:_WAL_HEADER_BYTES]:
                break
        else:
            raise UserError(f"{path}: is being rewritten", "Try again in a moment")
        check_owner(path, data)
    except FileNotFoundError as error:
        raise UserError(f"{path}: does not exist", "Check the path") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", "Check the path and its permissions") from error
    try:
        copy.write_bytes(data)
        copy.with_name(f"{copy.name}-wal").write_bytes(log_data)
    except OSError as error:
        raise file_error(copy.parent, error, "Set TMPDIR to a folder on another disk") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
