# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One run at a time writes to an archive: a lock of the operating system, which ends with its process."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone

from crack_perception.errors import UserError, file_error, printable
from crack_perception.survey.storage import Storage

LOCK = ".survey.lock"
# File systems without locks, such as some that are mounted over a network.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_MOST_BYTES = 200


@contextmanager
def exclusive(storage: Storage, report: Callable[[str], object]) -> Iterator[None]:
    """Keep other runs from writing to a local archive; the folder is created where it is missing.

    Object storage has no such locks: there, a run checks at its end that no other one has written the registry.

    Args:
        storage: Of the archive.
        report: Called with a line for the user.

    Raises:
        UserError: Another run writes to it, or the folder cannot be written.
    """
    if storage.folder is None:
        yield
        return
    path = storage.folder / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise file_error(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{storage.folder}: another survey writes to it ({_holder(descriptor)})",
                "Wait until it has ended, or choose another --out",
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise file_error(path, error, verb="locked") from error
            report(f"note: {storage.folder} is on a file system without locks: start no other survey for it meanwhile")
        _write(descriptor)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, _MOST_BYTES, 0).decode(errors="replace").strip()
    return printable(text) or "which has just begun"


def _write(descriptor: int) -> None:
    """Write who holds the lock, for people."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    text = f"process {os.getpid()} of {socket.gethostname()}, since {now}\n"
    with suppress(OSError):  # a full disk; the lock is held all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode()[:_MOST_BYTES], 0)
