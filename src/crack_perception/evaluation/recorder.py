"""Records what the node publishes, with the time of arrival."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Detection2DArray, Detection3DArray
from visualization_msgs.msg import MarkerArray

from crack_perception.evaluation.detections import FrameDetections
from crack_perception.evaluation.picture_spool import PictureSpool
from crack_perception.evaluation.result_messages import frame_detections, node_status, stamp_ns

_ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)


class Recorder:
    """Subscribes to everything that a crack node says; somebody else spins ``node``.

    Args:
        node: Node of the replay.
        target: Full name of the crack node.
        pictures: Where annotated pictures go; None leaves them unsubscribed, so that the node need not draw.

    Attributes:
        arrived_s: Stamp of every Detection2DArray -> monotonic time of its first arrival.
        markers: Number of MarkerArrays.
        status: Key-value pairs of the node's latest diagnostics.
        active_status: The same of the latest ones in which it was active.
    """

    def __init__(self, node: Node, target: str, pictures: PictureSpool | None) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._flat: dict[int, Detection2DArray] = {}
        self._located: dict[int, Detection3DArray] = {}
        self._pictures = pictures
        self.arrived_s: dict[int, float] = {}
        self.arrays = 0
        self.markers = 0
        self.status: dict[str, str] = {}
        self.active_status: dict[str, str] = {}
        self._subscriptions: dict[str, Any] = {}
        self._subscribe(Detection2DArray, f"{target}/detections", self._on_flat)
        self._subscribe(Detection3DArray, f"{target}/detections_3d", self._on_located)
        self._subscribe(MarkerArray, f"{target}/markers", self._on_markers)
        self._subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics)
        if pictures is not None:
            self._subscribe(CompressedImage, f"{target}/annotated/compressed", self._on_picture)

    def unmatched(self) -> list[str]:
        """Topics that nobody publishes (yet)."""
        return [topic for topic, subscription in self._subscriptions.items() if not self._publishers_of(subscription)]

    @property
    def located_arrays(self) -> int:
        """Frames with a Detection3DArray."""
        with self._lock:
            return len(self._located)

    @property
    def unanswered(self) -> int:
        """Frames that the node, by its latest diagnostics, dropped or failed on: they get no answer."""
        return sum(int(self.status.get(key, 0)) for key in ("frames_dropped", "frames_failed"))

    @property
    def last_arrival_s(self) -> float:
        """Monotonic time of the newest Detection2DArray; minus infinity before the first."""
        with self._lock:
            return max(self.arrived_s.values(), default=float("-inf"))

    def has_heard_the_end(self) -> bool:
        """The node was active and has reported since that it is not any more."""
        return bool(self.active_status) and self.status is not self.active_status

    def frames(self) -> list[FrameDetections]:
        """Everything recorded, in order of stamps."""
        with self._lock:
            return [frame_detections(self._flat[stamp], self._located.get(stamp)) for stamp in sorted(self._flat)]

    def _publishers_of(self, subscription: Any) -> int:
        # Humble's subscriptions cannot count their publishers, only its graph can.
        if hasattr(subscription, "get_publisher_count"):
            return int(subscription.get_publisher_count())
        return int(self._node.count_publishers(subscription.topic_name))

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        self._subscriptions[topic] = self._node.create_subscription(kind, topic, callback, _ALL)

    def _on_flat(self, message: Detection2DArray) -> None:
        now_s = time.monotonic()
        stamp = stamp_ns(message.header)
        with self._lock:
            self.arrays += 1
            self.arrived_s.setdefault(stamp, now_s)
            self._flat[stamp] = message

    def _on_located(self, message: Detection3DArray) -> None:
        with self._lock:
            self._located[stamp_ns(message.header)] = message

    def _on_markers(self, message: MarkerArray) -> None:
        self.markers += 1

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        status = node_status(message)
        if status is not None:
            self.status = dict(status)
            if status.get("state") == "active":
                self.active_status = self.status

    def _on_picture(self, message: CompressedImage) -> None:
        if self._pictures is not None:
            self._pictures.append(stamp_ns(message.header), bytes(message.data))
