"""Hears what the node under test publishes, at little cost of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64
from vision_msgs.msg import Detection2DArray, Detection3DArray

from crack_perception.evaluation.recordings.cdr import read_header
from crack_perception.evaluation.replay.result_messages import node_status

_ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
_NS_PER_S = 1e9


class Monitor:
    """Subscribes to a crack node's results without deserializing them; somebody else spins ``node``.

    Args:
        node: Node of the benchmark.
        target: Full name of the crack node.

    Attributes:
        arrived_s: Stamp of every frame with results -> monotonic time at which they arrived.
        located: Number of frames whose results have a place in the map.
        processing_ms: What the node says that it worked on each frame.
        status: Key-value pairs of its latest diagnostics.
    """

    def __init__(self, node: Node, target: str) -> None:
        self._node = node
        # The middleware stamps what arrives by the system's clock, however late this process gets to it.
        self._monotonic_offset_s = time.monotonic() - time.time()
        self.status: Mapping[str, str] = {}
        self._target = target
        self.forget()
        self._subscriptions = [
            node.create_subscription(Detection2DArray, f"{target}/detections", self._on_flat, _ALL, raw=True),
            node.create_subscription(Detection3DArray, f"{target}/detections_3d", self._on_located, _ALL, raw=True),
            node.create_subscription(Float64, f"{target}/debug/processing_time_ms", self._on_processing, _ALL),
            node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, _ALL),
        ]

    def forget(self) -> None:
        """Begin anew."""
        self.arrived_s: dict[int, float] = {}
        self.located = 0
        self.processing_ms: list[float] = []

    def unmatched(self) -> list[str]:
        """Topics that nobody publishes (yet)."""
        topics = [subscription.topic_name for subscription in self._subscriptions]
        return [topic for topic in topics if not self._node.count_publishers(topic)]

    def _on_flat(self, data: bytes, info: Mapping[str, Any]) -> None:
        received_ns = int(info["received_timestamp"])
        # Not every middleware tells.
        arrived_s = received_ns / _NS_PER_S + self._monotonic_offset_s if received_ns else time.monotonic()
        self.arrived_s.setdefault(read_header(data).stamp_ns, arrived_s)

    def _on_located(self, data: bytes) -> None:
        self.located += 1

    def _on_processing(self, message: Float64) -> None:
        self.processing_ms.append(float(message.data))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        status = node_status(message, self._target)
        if status is not None:
            self.status = status
