# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bags of what the drivers of flight stacks and cameras publish, recorded without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation_bags import START_NS, TYPES
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from stack_publishers import Publish

Driver = Callable[[Any], Publish]

PERIOD_NS = 20_000_000
IMAGE_EVERY = 5
"""Images are taken at 10 Hz, poses at 50 Hz."""


class Tape:
    """Messages that a node publishes: serialized, by topic, in the order of publication.

    Drivers get it in place of a node.
    """

    def __init__(self) -> None:
        self.now_ns = START_NS
        self.messages: list[tuple[int, str, str, bytes]] = []

    def create_publisher(self, kind: type, topic: str, profile: QoSProfile | int) -> _TapePublisher:
        """Return a publisher of a topic."""
        return _TapePublisher(self, topic, f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}")


class _TapePublisher:
    def __init__(self, tape: Tape, topic: str, type_name: str) -> None:
        self._tape, self._topic, self._type_name = tape, topic, type_name

    def publish(self, message: Any) -> None:
        self._tape.messages.append((self._tape.now_ns, self._topic, self._type_name, serialize_message(message)))


def recorded(path: Path, stack: Driver, camera: Driver, images: int, without: tuple[str, ...] = ()) -> Path:
    """Record a short flight before the scene of ``stack_publishers``.

    Args:
        path: Folder of the bag.
        images: Number of images.
        without: Topics that are not recorded.
    """
    tape = Tape()
    publish_pose, publish_image = stack(tape), camera(tape)
    for turn in range(images * IMAGE_EVERY + 10):
        tape.now_ns = START_NS + turn * PERIOD_NS
        publish_pose(tape.now_ns)
        if turn % IMAGE_EVERY == 4 and turn < images * IMAGE_EVERY:
            publish_image(tape.now_ns - PERIOD_NS)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for stamp_ns, topic, type_name, data in tape.messages:
            if topic not in without:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, type_name, typestore=TYPES)
                writer.write(connections[topic], stamp_ns, data)
    return path
