# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The files of a map's photographs, and nothing else of the disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from crack_perception.mapping.evidence.photograph import photograph_folder

_MOST_PHOTOGRAPH_BYTES = 100_000_000
_JPEG_START = b"\xff\xd8"


def read_photograph(map_path: Path, name: str) -> bytes | None:
    """The bytes of a photograph of a map; None where the file is missing, is a link, lies elsewhere or is no JPEG."""
    folder = photograph_folder(map_path)
    if Path(name).name != name or name in ("", ".", ".."):
        return None
    try:
        if folder.resolve() != map_path.parent.resolve() / folder.name:
            return None  # a link that leads out of the map's folder
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_PHOTOGRAPH_BYTES:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(_MOST_PHOTOGRAPH_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return content if content.startswith(_JPEG_START) else None
