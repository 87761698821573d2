# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recording of the nodes' results, with the time of arrival."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PolygonStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, PointCloud2
from vision_msgs.msg import Detection2DArray, Detection3DArray
from visualization_msgs.msg import MarkerArray

from crack_perception.evaluation.metrics.detections import FloatArray, FrameDetections, ObservedLine
from crack_perception.evaluation.replay.messages import (
    NodeProblem,
    frame_detections,
    node_problems,
    node_status,
    observed_lines,
    polygon_m,
    stamp_ns,
)
from crack_perception.evaluation.replay.pictures import PictureSpool
from crack_perception.evaluation.replay.timing import SentImage

RECORDED_TOPICS = ("detections", "detections_3d", "footprint", "crack_points", "markers")
"""Topics with results of the crack node that are always recorded, by their names after ``~/``."""
_ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)


class Recorder:
    """Subscriber to all results of a crack node and its mapper; another thread spins ``node``.

    Args:
        node: Node of the replay.
        target: Full name of the crack node.
        mapper: Full name of the mapper, even if none runs.
        pictures: Spool of the annotated pictures; None does not subscribe to them, so that the node renders none.

    Attributes:
        arrived_s: Key of every image with a Detection2DArray (``SentImage.key_ns``) -> monotonic time of its first
            arrival [s].
        arrays: Number of Detection2DArrays.
        markers: Number of MarkerArrays.
        status: Key-value pairs of the node's latest diagnostics.
        active_status: The same of the latest diagnostics in which the node was active.
        mapper_status: Key-value pairs of the mapper's latest diagnostics.
    """

    def __init__(self, node: Node, target: str, mapper: str, pictures: PictureSpool | None) -> None:
        self._node = node
        self._target = target
        self._mapper = mapper
        self._lock = threading.Lock()
        self._lap_offsets_ns: dict[int, int] = {}
        self._flat: dict[int, Detection2DArray] = {}
        self._located: dict[int, Detection3DArray] = {}
        self._points: dict[int, PointCloud2] = {}
        self._footprints: dict[int, PolygonStamped] = {}
        self._pictures = pictures
        self.arrived_s: dict[int, float] = {}
        self.arrays = 0
        self.markers = 0
        self.status: dict[str, str] = {}
        self.active_status: dict[str, str] = {}
        self.mapper_status: dict[str, str] = {}
        self._subscriptions: dict[str, Any] = {}
        self._subscribe(Detection2DArray, f"{target}/detections", self._on_detections_2d)
        self._subscribe(Detection3DArray, f"{target}/detections_3d", self._on_detections_3d)
        self._subscribe(PolygonStamped, f"{target}/footprint", self._on_footprint)
        self._subscribe(PointCloud2, f"{target}/crack_points", self._on_points)
        self._subscribe(MarkerArray, f"{target}/markers", self._on_markers)
        self._subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics)
        if pictures is not None:
            self._subscribe(CompressedImage, f"{target}/annotated/compressed", self._on_picture)

    def note_image(self, image: SentImage) -> None:
        """Note an image that is about to be published: results with its stamp are its own from now on."""
        if image.stamp_ns is not None and image.lap_offset_ns:
            self._lap_offsets_ns[image.stamp_ns] = image.lap_offset_ns

    def unmatched(self) -> list[str]:
        """Return the topics without a publisher."""
        return [topic for topic, subscription in self._subscriptions.items() if not self._publishers_of(subscription)]

    @property
    def located_arrays(self) -> int:
        """Number of frames with a Detection3DArray."""
        with self._lock:
            return len(self._located)

    @property
    def without_result(self) -> int:
        """Number of frames without a result: dropped, failed or skipped according to the latest diagnostics."""
        kinds = ("frames_dropped", "frames_failed", "frames_skipped_hovering")
        return sum(int(self.status.get(key, 0)) for key in kinds)

    @property
    def last_arrival_s(self) -> float:
        """Monotonic time of the newest Detection2DArray; minus infinity before the first."""
        with self._lock:
            return max(self.arrived_s.values(), default=float("-inf"))

    def has_final_status(self) -> bool:
        """Return whether the node was active and has since reported that it is no longer active."""
        return bool(self.active_status) and self.status is not self.active_status

    def frames(self) -> list[FrameDetections]:
        """Return the detections of all frames, in the order of playing."""
        with self._lock:
            found = [(key, frame_detections(self._flat[key], self._located.get(key))) for key in sorted(self._flat)]
        return [replace(frame, lap_offset_ns=key - frame.stamp_ns) for key, frame in found]

    def observed_lines(self) -> list[ObservedLine]:
        """Return the crack lines of all located frames, in the order of playing."""
        with self._lock:
            stamps = sorted(self._points.keys() & self._located.keys())
            return [line for stamp in stamps for line in observed_lines(self._points[stamp], self._located[stamp])]

    def footprints_m(self) -> list[FloatArray]:
        """Return the footprints of the located frames, polygons (M, 3) in the map frame, in the order of playing."""
        with self._lock:
            return [polygon_m(self._footprints[stamp]) for stamp in sorted(self._footprints)]

    def node_problems(self) -> tuple[NodeProblem, ...]:
        """Return the faults that the node reported, by kind, with the last counts while it was active."""
        return node_problems(self.active_status or self.status)

    def _key_of(self, message: Any) -> int:
        """Return the key of the image that a result belongs to: of the last that was published with its stamp."""
        stamp = stamp_ns(message.header)
        return stamp + self._lap_offsets_ns.get(stamp, 0)

    def _publishers_of(self, subscription: Any) -> int:
        # In Humble, subscriptions cannot count their publishers, only the graph can.
        if hasattr(subscription, "get_publisher_count"):
            return int(subscription.get_publisher_count())
        return int(self._node.count_publishers(subscription.topic_name))

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        self._subscriptions[topic] = self._node.create_subscription(kind, topic, callback, _ALL)

    def _on_detections_2d(self, message: Detection2DArray) -> None:
        now_s = time.monotonic()
        key = self._key_of(message)
        with self._lock:
            self.arrays += 1
            self.arrived_s.setdefault(key, now_s)
            self._flat[key] = message

    def _on_detections_3d(self, message: Detection3DArray) -> None:
        with self._lock:
            self._located[self._key_of(message)] = message

    def _on_footprint(self, message: PolygonStamped) -> None:
        if message.polygon.points:
            with self._lock:
                self._footprints[self._key_of(message)] = message

    def _on_points(self, message: PointCloud2) -> None:
        with self._lock:
            self._points[self._key_of(message)] = message

    def _on_markers(self, message: MarkerArray) -> None:
        self.markers += 1

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        mapper_status = node_status(message, self._mapper)
        if mapper_status is not None:
            self.mapper_status = dict(mapper_status)
        status = node_status(message, self._target)
        if status is not None:
            self.status = dict(status)
            if status.get("state") == "active":
                self.active_status = self.status

    def _on_picture(self, message: CompressedImage) -> None:
        if self._pictures is not None:
            self._pictures.append(self._key_of(message), bytes(message.data))
