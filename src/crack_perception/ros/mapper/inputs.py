# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Subscriptions of crack_mapper to all sources, with the messages of a frame paired by stamp."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from geometry_msgs.msg import PolygonStamped
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, PointCloud2
from vision_msgs.msg import Detection3DArray

from crack_perception.errors import UserError
from crack_perception.ros.common import qos
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.common.subscriptions import Inbox
from crack_perception.ros.mapper.pairing import FrameMessages, FramePairing
from crack_perception.ros.mapper.parameters import MapperSettings

_TOPICS = {"footprint": PolygonStamped, "points": PointCloud2, "detections": Detection3DArray}
_TOPIC_NAMES = {"footprint": "footprint", "points": "crack_points", "detections": "detections_3d"}


class MapperInputs:
    """Subscribe to all sources; created on activation, destroyed on deactivation.

    Args:
        on_frame: Called by ``receive`` with the name of a source and the messages of one of its frames.
        on_photograph: Called by it with the name of a source and a photograph; not called without a database.
        on_footprint: Called by it with the name of a source and the inspected surface of one of its frames.

    Raises:
        UserError: Two sources have the same topics; their frames would be mapped twice.
    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: MapperSettings,
        on_frame: Callable[[str, FrameMessages], None],
        on_photograph: Callable[[str, CompressedImage], None],
        on_footprint: Callable[[str, PointCloud2], None],
        health: Health,
    ) -> None:
        self._node = node
        self._on_frame = on_frame
        self._health = health
        self._pairings = {source: FramePairing(settings.pairing_timeout_s) for source in settings.sources}
        self._topics = {
            source: {kind: node.resolve_topic_name(f"{source}/{name}") for kind, name in _TOPIC_NAMES.items()}
            for source in settings.sources
        }
        names = [topics["detections"] for topics in self._topics.values()]
        if len(set(names)) < len(names):
            raise UserError(
                f"sources {', '.join(settings.sources)} name {', '.join(sorted(set(names)))}", "Name each source once"
            )
        self._inbox = Inbox(node, is_timed=False)
        for source, topics in self._topics.items():
            for kind, topic in topics.items():
                take = self._receiver(source, kind)
                self._inbox.subscribe(_TOPICS[kind], topic, take, **qos.overridable(qos.RESULT_HISTORY))
            take = partial(on_footprint, source)
            topic = f"{source}/footprint_points"
            self._inbox.subscribe(PointCloud2, topic, take, **qos.overridable(qos.RESULT_HISTORY))
            if settings.keeps_photographs:
                take = partial(on_photograph, source)
                topic = f"{source}/evidence"
                self._inbox.subscribe(CompressedImage, topic, take, **qos.overridable(qos.PHOTOGRAPHS))

    @property
    def incomplete_frames(self) -> int:
        """Number of frames that were not mapped because their detections did not arrive."""
        return sum(pairing.incomplete for pairing in self._pairings.values())

    def receive(self) -> None:
        """Process the messages that have arrived, and the frames whose time for missing messages is over.

        Called often in the executor's thread, and before the map is saved, reset or queried.
        """
        self._inbox.receive()
        for source, pairing in self._pairings.items():
            for frame in pairing.overdue(time.monotonic()):
                self._on_frame(source, frame)

    def process_rest(self) -> None:
        """Process all messages that have arrived, and the frames that wait for others."""
        self._inbox.receive()
        for source, pairing in self._pairings.items():
            for frame in pairing.rest():
                self._on_frame(source, frame)

    def check_publishers(self) -> None:
        """Report sources without a publisher, and topics with several publishers, the mapper's own too."""
        for topics in self._topics.values():
            if not self._node.count_publishers(topics["detections"]):
                self._health.report(
                    "no_source",
                    f"Nobody publishes '{topics['detections']}': start that node, or set sources to those there are",
                )
            for topic in topics.values():
                publishers = self._node.count_publishers(topic)
                if publishers > 1:
                    self._health.report(
                        "shared_topic",
                        f"{publishers} nodes publish '{topic}': their frames are mixed up. Give every drone a "
                        "namespace of its own and name each in sources",
                    )
        own = self._node.resolve_topic_name("~/map")
        mappers = self._node.count_publishers(own)
        if mappers > 1:
            self._health.report(
                "shared_name",
                f"{mappers} nodes publish '{own}': their maps are mixed up. Give every mapper a name of its own",
            )

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        self._inbox.destroy()

    def _receiver(self, source: str, kind: str) -> Callable[[Any], None]:
        pairing = self._pairings[source]

        def receive(message: Any) -> None:
            for frame in pairing.put(stamp_ns(message.header.stamp), time.monotonic(), **{kind: message}):
                self._on_frame(source, frame)

        return receive
