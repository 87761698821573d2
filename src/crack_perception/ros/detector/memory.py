"""Keeps a node's memory where it is, so that frame after frame goes through the same pages.

An image takes blocks of its size in the transport, in the message that C sees and in the one that Python sees. As it
comes, glibc gives such blocks back to the system soon after they are free and fetches others for the next image, with a
page fault for every 4 KiB: 330 to 560 a frame of 1080p were counted. And whenever more of them are alive than ever
before, because a thread has to wait, the process grows by a frame, for minutes and hours after the start. Programs that
keep time hold on to their pages instead, and touch them before they need them (mallopt(3); "Understanding real-time
programming" in the documentation of ROS 2).
"""

from __future__ import annotations

import ctypes

import numpy as np

from crack_perception.ros.common import qos

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = -1
# The most that glibc allows, enough for images of 10 million pixels in colour. Larger blocks are mapped and unmapped
# each time, which is slow but steady.
_LARGEST_HELD_BYTES = 1 << 25

# Waiting in the transport; then one that is just arriving there, its message in C, the array that is being made of it,
# the one that waits for the model, and that in the model's hands.
_FRAMES_ALIVE = qos.FRAMES.depth + 5
# Python's array takes a sixteenth more than it holds.
_BLOCK_OVER_FRAME = 17 / 16


def hold_memory() -> None:
    """Have this process keep what it frees, for what it allocates next; with another C library nothing changes."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError):
        return
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
    # Either setting keeps glibc from moving this threshold by itself, from 128 KiB upwards.
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_HELD_BYTES)


class FrameMemory:
    """Room for as many frames as can be alive at a time, taken as soon as their size is known."""

    def __init__(self) -> None:
        self._frame_bytes = 0

    def make_room(self, frame_bytes: int) -> None:
        """Frames are this large; does nothing but for the first and for larger ones."""
        if frame_bytes <= self._frame_bytes:
            return
        self._frame_bytes = frame_bytes
        block_bytes = round(frame_bytes * _BLOCK_OVER_FRAME)
        if block_bytes > _LARGEST_HELD_BYTES:
            return
        # All at a time, so that each has a place of its own; a page comes with the first byte written to it.
        for block in [np.empty(block_bytes, np.uint8) for _ in range(_FRAMES_ALIVE)]:
            block.fill(0)
