# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Synchronisation of the messages of one frame: footprint, crack points and detections with one stamp."""

from __future__ import annotations

from dataclasses import dataclass, replace

from geometry_msgs.msg import PolygonStamped
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3DArray

# Largest number of incomplete frames of one source; one more removes the oldest.
_CAPACITY = 50


@dataclass(frozen=True)
class FrameMessages:
    """Messages of one frame; None for those that have not arrived."""

    detections: Detection3DArray | None = None
    footprint: PolygonStamped | None = None
    points: PointCloud2 | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all messages have arrived."""
        return self.detections is not None and self.footprint is not None and self.points is not None


@dataclass
class _Waiting:
    frame: FrameMessages
    since_s: float


class FramePairing:
    """Collects one source's messages by stamp, in bounded memory.

    Args:
        timeout_s: Time that a frame waits for missing messages after its last one [s].
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._waiting: dict[int, _Waiting] = {}
        self.incomplete = 0
        """Number of frames dropped because their detections did not arrive."""

    def put(
        self, stamp_ns: int, now_s: float, **message: Detection3DArray | PolygonStamped | PointCloud2
    ) -> list[FrameMessages]:
        """Add a message, named as in ``FrameMessages``; return the frames that are ready, the oldest first."""
        before = self._waiting.pop(stamp_ns, None)
        frame = replace(before.frame if before else FrameMessages(), **message)
        if frame.is_complete:
            return [frame]
        self._waiting[stamp_ns] = _Waiting(frame, now_s)
        if len(self._waiting) > _CAPACITY:
            return self._release(next(iter(self._waiting)))
        return []

    def overdue(self, now_s: float) -> list[FrameMessages]:
        """Return the frames with detections that have waited longer than the timeout, in order of arrival."""
        late = [stamp for stamp, waiting in self._waiting.items() if now_s - waiting.since_s >= self._timeout_s]
        return [frame for stamp in late for frame in self._release(stamp)]

    def rest(self) -> list[FrameMessages]:
        """Return all waiting frames that have detections; none waits afterwards."""
        return [frame for stamp in list(self._waiting) for frame in self._release(stamp)]

    def _release(self, stamp_ns: int) -> list[FrameMessages]:
        frame = self._waiting.pop(stamp_ns).frame
        if frame.detections is None:
            self.incomplete += 1
            return []
        return [frame]
