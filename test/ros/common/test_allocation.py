# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Memory that is freed by one thread is used by the others."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FRAME_BYTES = 1920 * 1080 * 3

# Prints how many frames the process grows by when eight threads hold a frame one after the other.
THREADS = f"""
import ctypes, resource, threading
from pathlib import Path
from crack_perception.ros.common.allocation import keep_memory

def frames():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / {FRAME_BYTES}

def hold(turn, done, end):
    turn.wait()
    bytes(b"1") * {FRAME_BYTES}
    done.set()
    end.wait()

{{before}}
end = threading.Event()
turns = [(threading.Event(), threading.Event()) for _ in range(8)]
threads = [threading.Thread(target=hold, args=(*turn, end)) for turn in turns]
for thread in threads:
    thread.start()
start = frames()
for turn, done in turns:
    turn.set()
    done.wait()
print(frames() - start)
end.set()
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


def test_keep_memory_block_freed_by_one_thread_is_reused_by_the_next() -> None:
    def grown(before: str) -> float:
        command = [sys.executable, "-c", THREADS.format(before=before)]
        return float(subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout)

    kept_by_every_thread = "ctypes.CDLL(None).mallopt(-1, -1); ctypes.CDLL(None).mallopt(-3, 1 << 25)"
    assert grown(kept_by_every_thread) > 4.0
    assert grown("keep_memory()") < 1.5
