# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The files of a map's photographs.

A file is complete before its record is saved, and removed after its record is: a crash at any moment leaves files
without a record at most, which the next start removes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from crack_perception.errors import file_error
from crack_perception.mapping.evidence.photograph import photograph_folder
from crack_perception.mapping.storage.atomic_file import write_atomically


class PhotographFiles:
    """Files of the photographs of one map.

    Args:
        map_path: File of the map.
    """

    def __init__(self, map_path: Path) -> None:
        self.folder = photograph_folder(map_path)

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically.

        Raises:
            UserError: No room or no permission.
        """
        write_atomically(self.folder / name, data)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; what cannot be removed now is removed at the next start."""
        for name in names:
            with suppress(OSError):
                (self.folder / name).unlink()

    def sizes(self) -> dict[str, int]:
        """Bytes of each file.

        Raises:
            UserError: The folder cannot be read.
        """
        try:
            with os.scandir(self.folder) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False)}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise file_error(self.folder, error, "Check the folder") from error

    def remove_others(self, known: Collection[str], moved_to: Path | None = None) -> None:
        """Remove the files without a record, or move them into another folder.

        Args:
            known: Names of the files with a record.
            moved_to: Folder that they are kept in; None: they are deleted.
        """
        others = [name for name in self.sizes() if name not in known]
        if moved_to is None:
            self.remove(others)
            return
        with suppress(OSError):
            moved_to.mkdir(parents=True, exist_ok=True)
            for name in others:
                os.replace(self.folder / name, moved_to / name)

    def copy_to(self, map_path: Path, names: Iterable[str]) -> None:
        """Copy files beside another map file, as links where the disk can, and synchronise their folder.

        Raises:
            OSError: No room or no permission; the copies are removed.
        """
        names = [name for name in names if (self.folder / name).is_file()]
        if not names:
            return
        folder = photograph_folder(map_path)
        try:
            folder.mkdir()
            for name in names:
                try:
                    os.link(self.folder / name, folder / name)
                except OSError:  # no links on FAT
                    shutil.copyfile(self.folder / name, folder / name)
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
