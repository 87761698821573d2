# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Files in the folders of a map, its photographs and orthophotos, and nothing else of the disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from crack_perception.mapping.evidence.photograph import photograph_folder

_MOST_BYTES = 100_000_000
_JPEG_START = b"\xff\xd8"


def read_photograph(map_path: Path, name: str) -> bytes | None:
    """The bytes of a photograph of a map; None where the file is missing, is a link, lies elsewhere or is no JPEG."""
    if Path(name).name != name:
        return None
    return read_file_beside(map_path, photograph_folder(map_path), name, _JPEG_START)


def read_file_beside(map_path: Path, folder: Path, name: str, start: bytes) -> bytes | None:
    """The bytes of a file in a folder beside a map; None where it is missing, is a link or begins differently.

    Args:
        map_path: The map file.
        folder: Beside it.
        name: Of the file, relative to the folder.
        start: First bytes of such a file.
    """
    path = folder / name
    if name in ("", ".") or ".." in Path(name).parts:
        return None
    try:
        if path.parent.resolve() != (map_path.parent.resolve() / folder.name / name).parent:
            return None  # a link that leads out of the map's folder
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(_MOST_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return content if content.startswith(start) else None
