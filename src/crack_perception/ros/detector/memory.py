# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Memory pre-allocation: successive frames reuse the same pages.

An image occupies a block of its size in the transport, in the C message and in the Python message. Whenever more blocks
are in use than ever before, because a thread has to wait, the process grows by a frame, even hours after the start.
Real-time programs therefore touch their pages before they need them.
"""

from __future__ import annotations

import numpy as np

from crack_perception.ros.common import qos
from crack_perception.ros.common.allocation import LARGEST_KEPT_BYTES

# Frames that wait in the transport, and five more: the arriving frame, its C message, the array that is made of it, the
# frame that waits for the model, and the frame that is being scored.
_FRAMES_ALIVE = qos.FRAMES.depth + 5
# A Python array allocates a sixteenth more than it holds.
_BLOCK_OVER_FRAME = 17 / 16


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
        if block_bytes > LARGEST_KEPT_BYTES:
            return
        # All at once, so that each has its own address; a page is mapped when its first byte is written.
        for block in [np.empty(block_bytes, np.uint8) for _ in range(_FRAMES_ALIVE)]:
            block.fill(0)
