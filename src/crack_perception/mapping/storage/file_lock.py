# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Find out whether another process holds a map file, without touching it."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path

# Where SQLite's locks are, in bytes (https://www.sqlite.org/src/file/src/os.h): whoever uses a map holds this range.
_SHARED_FIRST = 0x40000000 + 2
_SHARED_SIZE = 510

# struct flock of Linux on 64-bit machines: type, whence, start, length, process.
_FLOCK = "hhqqi"


def holder_of(path: Path) -> int | None:
    """Process id of another program that has the map open, for example ``crack_mapper``; None where there is none.

    Locks of this process are not seen, and closing the file here would release them: call it while this process does
    not use the map. Where the operating system does not report locks, the result is None as well.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        wanted = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0)
        found = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, wanted))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if found[0] == fcntl.F_UNLCK else int(found[4])
