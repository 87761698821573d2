# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Messages that native libraries (libjpeg, FFmpeg) print on stderr: OpenCV passes on no other report of damage."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator

_STDERR = 2
_MOST_BYTES = 1 << 16
# The file descriptor belongs to the process. Calls nest in one thread: a video reader checks the JPEGs of its frames.
_LOCK = threading.RLock()


@contextlib.contextmanager
def native_messages(pattern: re.Pattern[str]) -> Iterator[list[re.Match[str]]]:
    """Collect the messages that native libraries print inside the block; the list is filled when it ends.

    Other text, for example log lines of other threads, is printed when the block ends. Keep the blocks short.

    Args:
        pattern: Matches one message.
    """
    messages: list[re.Match[str]] = []
    with _LOCK:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # started without stderr
            yield messages
            return
        collected = os.memfd_create("native messages")
        os.dup2(collected, _STDERR)
        try:
            yield messages
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            size = os.fstat(collected).st_size
            data = os.pread(collected, min(size, _MOST_BYTES), 0) if size else b""
            os.close(collected)
            if data:
                messages += pattern.finditer(data.decode(errors="replace"))
                _print_rest(data, messages)


def _print_rest(data: bytes, messages: list[re.Match[str]]) -> None:
    rest = data
    for message in messages:
        rest = rest.replace(message[0].encode(), b"", 1)
    rest = b"".join(line for line in rest.splitlines(keepends=True) if line.strip())
    if rest:
        with contextlib.suppress(OSError):
            os.write(_STDERR, rest)
