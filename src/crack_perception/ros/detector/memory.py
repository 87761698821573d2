# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Memory pre-allocation: successive frames reuse the same pages.

An image occupies a block of its size in the transport, in the C message and in the Python message. By default, glibc
returns such blocks to the system soon after they are free and requests new ones for the next image, with a page fault
for every 4 KiB: 330 to 560 per 1080p frame were counted. Whenever more blocks are in use than ever before, because a
thread has to wait, the process grows by a frame, even hours after the start. Real-time programs therefore keep their
pages and touch them before they need them (mallopt(3); "Understanding real-time programming" in the documentation of
ROS 2).

glibc gives threads arenas of their own, eight for each core, and a free block of one arena is no use to the threads of
another. Every activation starts threads, which come to other arenas than those before: with faults injected for half an
hour the process grew from 392 to 566 MB. So all threads share one arena; small blocks have a cache for each thread.
"""

from __future__ import annotations

import ctypes

import numpy as np

from crack_perception.ros.common import qos

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_NEVER = -1
# Largest threshold that glibc allows, enough for colour images of 10 megapixels. Larger blocks are mapped and unmapped
# each time, which is slow but does not let the process grow.
_LARGEST_KEPT_BYTES = 1 << 25

# Frames that wait in the transport, and five more: the arriving frame, its C message, the array that is made of it, the
# frame that waits for the model, and the frame that is being scored.
_FRAMES_ALIVE = qos.FRAMES.depth + 5
# A Python array allocates a sixteenth more than it holds.
_BLOCK_OVER_FRAME = 17 / 16


def keep_memory() -> None:
    """Make the process keep freed memory for later allocations of any thread; only with glibc.

    Call it before threads are started.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError):
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
    # Either setting stops glibc from adapting this threshold, which starts at 128 KiB.
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)


class FrameMemory:
    """Pre-allocate memory for all frames that can exist at a time, as soon as their size is known."""

    def __init__(self) -> None:
        self._frame_bytes = 0

    def reserve(self, frame_bytes: int) -> None:
        """Reserve memory for frames of this size; does nothing unless they are larger than all before."""
        if frame_bytes <= self._frame_bytes:
            return
        self._frame_bytes = frame_bytes
        block_bytes = round(frame_bytes * _BLOCK_OVER_FRAME)
        if block_bytes > _LARGEST_KEPT_BYTES:
            return
        # All at once, so that each has its own address; a page is mapped when its first byte is written.
        for block in [np.empty(block_bytes, np.uint8) for _ in range(_FRAMES_ALIVE)]:
            block.fill(0)
