"""Brings the messages of one frame together: footprint, crack points and detections that carry one stamp."""

from __future__ import annotations

from dataclasses import dataclass, replace

from geometry_msgs.msg import PolygonStamped
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3DArray

# Frames of one source that may wait at a time; the oldest goes when one more comes.
_CAPACITY = 50


@dataclass(frozen=True)
class FrameMessages:
    """What has arrived of one frame; None where it has not."""

    detections: Detection3DArray | None = None
    footprint: PolygonStamped | None = None
    points: PointCloud2 | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return self.detections is not None and self.footprint is not None and self.points is not None


@dataclass
class _Waiting:
    frame: FrameMessages
    since_s: float


class FramePairing:
    """Collects one source's messages by stamp, in bounded memory.

    Args:
        timeout_s: How long a frame waits for what is missing, from its last message on.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._waiting: dict[int, _Waiting] = {}
        self.incomplete = 0
        """How many frames were given up because their detections never came."""

    def put(
        self, stamp_ns: int, now_s: float, **message: Detection3DArray | PolygonStamped | PointCloud2
    ) -> list[FrameMessages]:
        """Add one message, named as in ``FrameMessages``; the frames that are to be mapped now, the oldest first."""
        before = self._waiting.pop(stamp_ns, None)
        frame = replace(before.frame if before else FrameMessages(), **message)
        if frame.is_complete:
            return [frame]
        self._waiting[stamp_ns] = _Waiting(frame, now_s)
        if len(self._waiting) > _CAPACITY:
            return self._give_up(next(iter(self._waiting)))
        return []

    def overdue(self, now_s: float) -> list[FrameMessages]:
        """The frames with detections whose time to wait for the rest is over, in order of arrival."""
        late = [stamp for stamp, waiting in self._waiting.items() if now_s - waiting.since_s >= self._timeout_s]
        return [frame for stamp in late for frame in self._give_up(stamp)]

    def rest(self) -> list[FrameMessages]:
        """All frames with detections that still wait; nothing waits afterwards."""
        return [frame for stamp in list(self._waiting) for frame in self._give_up(stamp)]

    def _give_up(self, stamp_ns: int) -> list[FrameMessages]:
        frame = self._waiting.pop(stamp_ns).frame
        if frame.detections is None:
            self.incomplete += 1
            return []
        return [frame]
