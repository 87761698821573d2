# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Settings of the C library's memory allocation, made before anything else is imported.

By default, glibc returns large blocks, such as images, to the system soon after they are free and requests new ones for
the next image, with a page fault for every 4 KiB: 330 to 560 per 1080p frame were counted. And it gives threads arenas
of their own, eight for each core, where a free block of one arena is no use to the threads of another: every activation
starts threads, which come to other arenas than those before, and with faults injected for half an hour crack_node grew
from 392 to 566 MB. Real-time programs therefore keep their pages (mallopt(3); "Understanding real-time programming" in
the documentation of ROS 2), here in one arena for all threads. Small blocks have a cache for each thread.
"""

from __future__ import annotations

import ctypes

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_NEVER = -1

LARGEST_KEPT_BYTES = 1 << 25
"""Largest threshold that glibc allows, enough for colour images of 10 megapixels.

Larger blocks are mapped and unmapped each time, which is slow but does not let the process grow.
"""


def keep_memory() -> None:
    """Make the process keep freed memory for later allocations of any thread; no effect without glibc.

    Libraries such as NumPy start threads, which get arenas, when they are imported: call it before.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError):
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
    # Either setting stops glibc from adapting this threshold, which starts at 128 KiB.
    mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
