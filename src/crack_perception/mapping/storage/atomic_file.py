# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Atomic files: written under another name, synchronised, then renamed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from crack_perception.errors import file_error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically: the previous file is kept until all bytes are on the disk.

    Raises:
        UserError: No room or no permission; the file is then as it was.
    """
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace_file(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise file_error(path, error, "Check the folder and its free space") from error


def partial_path(path: Path) -> Path:
    """Path under which this process writes a file until it is complete."""
    return path.with_name(f"{_partial_prefix(path)}{os.getpid()}")


def remove_leftovers(path: Path) -> None:
    """Remove incomplete copies of a file from processes that no longer run."""
    prefix = _partial_prefix(path)
    with suppress(OSError):
        for entry in list(path.parent.iterdir()):
            # SQLite's own companions add to the name.
            number = entry.name.removeprefix(prefix).partition("-")[0]
            if entry.name.startswith(prefix) and number.isdigit() and not _lives(int(number)):
                entry.unlink()


def _partial_prefix(path: Path) -> str:
    return f".{path.name}.partial-"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def replace_file(source: Path, target: Path) -> None:
    """Rename a synchronised file into its place, and synchronise the folder, so that a power cut undoes neither.

    Raises:
        OSError: No permission, or the two lie on different disks.
    """
    os.replace(source, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
