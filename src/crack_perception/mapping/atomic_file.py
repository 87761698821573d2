"""Files that are either whole or not there: written beside their place, synchronised, then renamed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from crack_perception.errors import UserError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file; until the last byte is on the disk, what stood there before stays.

    Raises:
        UserError: No room or no permission; the file is then as it was.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
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
        raise UserError(
            f"{path}: cannot be written ({error.strerror})", "Check the folder and its free space"
        ) from error


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
