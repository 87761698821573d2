# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The crack map on disk: an SQLite file that survives crashes, full disks and its own damage.

Every ``save`` is one transaction in SQLite's write-ahead log, synchronised to the disk: after a crash at any moment the
map is as the last ``save`` left it. The file can be read with any SQLite tool once the mapper has ended: one row a
crack, one column a field of ``MappedCrack``, arrays as JSON.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from crack_perception.errors import UserError
from crack_perception.mapping.coverage.coverage import CoverageChanges
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.evidence.photograph import Photograph, photograph_folder
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.coverage_rows import read_coverage, write_coverage
from crack_perception.mapping.storage.database_file import (
    DamagedFileError,
    Rescue,
    explained,
    is_damage,
    open_database,
    rescue,
    unused_name,
)
from crack_perception.mapping.storage.photograph_files import PhotographFiles
from crack_perception.mapping.storage.rows import (
    Array,
    add_decision,
    add_inspected_areas,
    raise_next_id,
    read_cracks,
    read_decisions,
    read_inspected_areas,
    read_next_id,
    read_photographs,
    remove_all,
    remove_cracks,
    remove_photographs,
    transaction,
    write_cracks,
    write_decisions,
    write_photographs,
)

Read = TypeVar("Read")

# Instructions of SQLite's virtual machine between two signs of progress: about ten rows that are written.
_PROGRESS_INSTRUCTIONS = 1000


class MapStore:
    """The file of one crack map; may be used from several threads.

    A damaged file is never written to: it is set aside as NAME.corrupt-STAMP, and what can still be read of it is in
    the new one; ``rescue`` reports it. A file of another program or of a newer version is refused.

    Args:
        path: The file; it and its folder are created where missing.

    Attributes:
        path: The file.
        files: The files of the photographs.
        rescue: Result of the repair of a damaged file; None where the file was intact.

    Raises:
        UserError: The file cannot be used: no permission, no room, another mapper's, another program's, too new.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = PhotographFiles(path)
        self.rescue: Rescue | None = None
        self._lock = threading.Lock()
        self._progress = 0
        try:
            self._use(open_database(path))
        except DamagedFileError as damage:
            self._rescue(str(damage))

    @property
    def progress(self) -> int:
        """A number that grows while statements run; it stands still only on a disk that hangs."""
        return self._progress

    def load(self) -> tuple[MappedCrack, ...]:
        """Read all cracks by ascending id.

        Raises:
            UserError: The file cannot be read.
        """
        return self._read(read_cracks)

    def load_inspected_areas(self) -> tuple[Array, ...]:
        """Read the inspected areas, polygons (M, 3), in the order in which they were saved.

        Raises:
            UserError: The file cannot be read.
        """
        return self._read(read_inspected_areas)

    def load_coverage(self) -> CoverageChanges:
        """Read the coverage, as the changes that lead to it.

        Raises:
            UserError: The file cannot be read.
        """
        (coverage,) = self._read(lambda database: [read_coverage(database)])
        return coverage

    def load_photographs(self) -> tuple[Photograph, ...]:
        """Read the records of all photographs by crack and file.

        Raises:
            UserError: The file cannot be read.
        """
        return self._read(read_photographs)

    def load_decisions(self) -> tuple[Decision, ...]:
        """Read all decisions of reviewers, the first one first.

        Raises:
            UserError: The file cannot be read.
        """
        return self._read(read_decisions)

    def add_decision(self, decision: Decision) -> Decision:
        """Save one more decision, and return it with its id.

        Raises:
            UserError: As ``save``.
        """
        return self.add_decisions([decision])[0]

    def add_decisions(self, decisions: Iterable[Decision]) -> list[Decision]:
        """Save more decisions, all or nothing, and return them with their ids.

        Raises:
            UserError: As ``save``.
        """
        decisions = [replace(decision, id=0) for decision in decisions]
        with self._lock:
            self._check_in_place()
            try:
                with transaction(self._database):
                    for decision in decisions:
                        if decision.action is Action.SPLIT:  # the mapper must not give this id to another crack
                            raise_next_id(self._database, int(decision.value["new_id"]) + 1)
                    return [replace(decision, id=add_decision(self._database, decision)) for decision in decisions]
            except sqlite3.Error as error:
                raise explained(self.path, error) from error

    @property
    def next_id(self) -> int:
        """Return an id that no crack of this map has ever had.

        Raises:
            UserError: The file cannot be read.
        """
        with self._lock:
            try:
                return read_next_id(self._database)
            except (sqlite3.Error, ValueError) as error:
                raise explained(self.path, error) from error

    def save(
        self,
        changed: Iterable[MappedCrack],
        removed: Iterable[int] = (),
        next_id: int = 1,
        inspected_areas_m: Iterable[Array] = (),
        photographs: Iterable[Photograph] = (),
        removed_photographs: Iterable[str] = (),
        decisions: Iterable[Decision] = (),
        coverage: CoverageChanges | None = None,
    ) -> None:
        """Insert or update cracks and remove others, all or nothing.

        Args:
            changed: New and changed cracks.
            removed: Ids that are no more; ids that were never saved are no error.
            next_id: The map's own counter, where it has run ahead of the ids that are saved.
            inspected_areas_m: Polygons (M, 3) to be added to the inspected areas that are saved.
            photographs: New and changed records of photographs; their files must be in place already.
            removed_photographs: Names of files whose records are removed.
            decisions: With ids: those that concern another crack than before, and new ones.
            coverage: Changed surfaces and tiles.

        Raises:
            UserError: No room, no permission or a damaged disk. Nothing of this call is then saved, all that was
                saved before is; call again with the same and newer changes.
        """
        changed, removed, inspected_areas_m = list(changed), list(removed), list(inspected_areas_m)
        photographs, removed_photographs, decisions = list(photographs), list(removed_photographs), list(decisions)
        above = max((next_id - 1, *(crack.id for crack in changed), *removed)) + 1
        with self._lock:
            self._check_in_place()
            try:
                with transaction(self._database):
                    write_cracks(self._database, changed)
                    remove_cracks(self._database, removed)
                    raise_next_id(self._database, above)
                    add_inspected_areas(self._database, inspected_areas_m)
                    remove_photographs(self._database, removed_photographs)
                    write_photographs(self._database, photographs)
                    write_decisions(self._database, decisions)
                    if coverage is not None:
                        write_coverage(self._database, coverage)
            except sqlite3.Error as error:
                raise explained(self.path, error) from error

    def replace(self, other: Path) -> None:
        """Replace everything by the contents of another map file, all or nothing.

        Raises:
            UserError: As ``save``.
        """
        with self._lock:
            self._check_in_place()
            try:
                with closing(sqlite3.connect(other)) as source:
                    source.backup(self._database)
            except sqlite3.Error as error:
                raise explained(self.path, error) from error

    def clear(self) -> Path:
        """Archive the map as NAME.until-STAMP with its photographs, empty it, and return the copy's path; ids continue.

        Raises:
            UserError: No room for the copy; the map is then as it was.
        """
        with self._lock:
            self._check_in_place()
            kept_at = unused_name(self.path, "until")
            try:
                self._database.execute("VACUUM INTO ?", (str(kept_at),))
                with kept_at.open("rb") as copy:
                    os.fsync(copy.fileno())
                names = [photograph.file for photograph in read_photographs(self._database)]
                self.files.copy_to(kept_at, names)
                with transaction(self._database):
                    remove_all(self._database)
            except (sqlite3.Error, OSError, ValueError) as error:
                with suppress(OSError):
                    kept_at.unlink()
                shutil.rmtree(photograph_folder(kept_at), ignore_errors=True)
                raise explained(self.path, error) from error
            self.files.remove(names)
            return kept_at

    def close(self) -> None:
        """Write the log into the file and close it; a second call does nothing."""
        with self._lock:
            self._database.close()

    def _read(self, read: Callable[[sqlite3.Connection], Iterable[Read]]) -> tuple[Read, ...]:
        """Read everything of one kind; a damaged file is repaired first."""
        with self._lock:
            try:
                return tuple(read(self._database))
            except ValueError as damage:
                reason = str(damage)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise explained(self.path, error) from error
                reason = str(error)
            self._database.close()
            self._rescue(reason)
            return tuple(read(self._database))

    def _rescue(self, reason: str) -> None:
        self.rescue = rescue(self.path, reason)
        try:
            self._use(open_database(self.path))
        except DamagedFileError as damage:
            raise UserError(f"{self.path}: cannot be written and read back ({damage})", "Check the disk") from damage

    def _use(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.set_progress_handler(self._note_progress, _PROGRESS_INSTRUCTIONS)
        self._inode = os.stat(self.path).st_ino

    def _note_progress(self) -> int:
        self._progress += 1
        return 0  # go on

    def _check_in_place(self) -> None:
        """Raise UserError if the file was removed or replaced: what is written to it would be lost silently."""
        try:
            in_place = os.stat(self.path).st_ino == self._inode
        except OSError:
            in_place = False
        if not in_place:
            raise UserError(
                f"{self.path}: was removed or replaced while the map was in use",
                "Save the exports, then start the mapper again",
            )
