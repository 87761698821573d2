# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Publish recorded messages and the simulated clock at the recorded times."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, Range
from tf2_msgs.msg import TFMessage

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import BagMessage
from crack_perception.evaluation.recordings.messages import read_header
from crack_perception.evaluation.replay.input_topics import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    LASER_SCAN,
    ODOMETRY,
    POSE,
    POSE_WITH_COVARIANCE,
    RANGE,
    TF,
    InputTopics,
)
from crack_perception.evaluation.replay.pacing import Pacer
from crack_perception.evaluation.replay.timing import Laps, SentImage

MESSAGE_CLASSES: dict[str, Any] = {
    IMAGE: Image,
    COMPRESSED_IMAGE: CompressedImage,
    CAMERA_INFO: CameraInfo,
    POSE: PoseStamped,
    POSE_WITH_COVARIANCE: PoseWithCovarianceStamped,
    ODOMETRY: Odometry,
    RANGE: Range,
    LASER_SCAN: LaserScan,
    TF: TFMessage,
}


def message_class(type_name: str) -> Any:
    """Return the class of an input's messages; packages beside the standard ones are imported when they are needed.

    Raises:
        UserError: Its package is not installed.
    """
    if type_name in MESSAGE_CLASSES:
        return MESSAGE_CLASSES[type_name]
    package, _, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"the bag has messages of type {type_name}, but {package} cannot be imported",
            "Build or install it and source it; scripts/setup builds it where ROS comes from wheels",
        ) from error


_STREAM = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class InputPublishers:
    """Publishers of all inputs of a bag, and of ``/clock``.

    Args:
        node: Node of the replay.
        namespace: Namespace of the node under test and its inputs.
        inputs: Topics that are played.

    Attributes:
        by_topic: Topic of the bag -> publisher.
        clock: Publisher of ``/clock``.
    """

    def __init__(self, node: Node, namespace: str, inputs: InputTopics) -> None:
        self._by_input: dict[str, Any] = {}
        for name, topic in inputs.by_input.items():
            target = name if name.startswith("/") else f"{namespace}/{name}"
            qos = _LATCHED if name == "/tf_static" else _STREAM
            self._by_input[name] = node.create_publisher(message_class(topic.type_name), target, qos)
        self.by_topic = {topic.name: self._by_input[name] for name, topic in inputs.by_input.items()}
        self.clock = node.create_publisher(Clock, "/clock", _STREAM)

    def unmatched(self) -> list[str]:
        """Return the inputs without a subscription."""
        publishers = {**self._by_input, "/clock": self.clock}
        return [name for name, publisher in publishers.items() if not publisher.get_subscription_count()]


_CLOCK_PERIOD_S = 0.01
_NS_PER_S = 1_000_000_000


@dataclass
class Playback:
    """Record of the published messages.

    Attributes:
        images: Images in order of publication.
        messages: Number of all messages.
        worst_lateness_s: Largest delay of a message relative to the schedule [s].
        held_s: Total delay of the schedule by the pacer [s].
        duration_s: Time from the first message to the last [s].
        jumps: (number of images before it, seconds) of every jump back in time of the images.
    """

    images: list[SentImage] = field(default_factory=list)
    messages: int = 0
    worst_lateness_s: float = 0.0
    held_s: float = 0.0
    duration_s: float = 0.0
    jumps: list[tuple[int, float]] = field(default_factory=list)


class Player:
    """Publisher of recorded messages and the clock; plays once.

    Args:
        publishers: Topic of the bag -> publisher.
        image_topic: Topic of the bag that holds the images.
        clock: Publisher of ``/clock``.
        rate: Playback speed, bag seconds per second.
        on_tick: Called about every 10 ms; may raise to stop.
        pacer: Delays images, and the clock with them, until the node is ready; None always keeps the rate.
        on_image: Called with each image just before it is published.
    """

    def __init__(
        self,
        publishers: Mapping[str, Publisher[object]],
        image_topic: str,
        clock: Publisher[Clock],
        rate: float,
        on_tick: Callable[[], None],
        pacer: Pacer | None = None,
        on_image: Callable[[SentImage], object] = lambda image: None,
    ) -> None:
        self._publishers = publishers
        self._image_topic = image_topic
        self._clock = clock
        self._rate = rate
        self._on_tick = on_tick
        self._pacer = pacer
        self._on_image = on_image
        self._laps = Laps()
        self._start_s = 0.0
        self._start_ns = 0
        self._last_tick_s = float("-inf")
        self.playback = Playback()

    def play(self, messages: Iterable[BagMessage]) -> Playback:
        """Publish all messages at their times; returns after the last one.

        Where the times of recording jump back, the clock does too, and the playback goes on from there.
        """
        begin_s, before_ns = 0.0, 0
        for message in messages:
            if self.playback.messages == 0:
                begin_s = self._start_s = time.monotonic()
                self._start_ns = message.stamp_ns
            elif message.stamp_ns < before_ns:
                self._start_s += (before_ns - message.stamp_ns) / _NS_PER_S / self._rate
            before_ns = message.stamp_ns
            self._tick_until(self._due_s(message))
            if self._pacer is not None and message.topic == self._image_topic:
                self._start_s += self._pacer.hold(len(self.playback.images), self._pause)
                self.playback.held_s = self._pacer.held_s
            self._publish(message, self._due_s(message))
            self.playback.duration_s = time.monotonic() - begin_s
        return self.playback

    def keep_ticking(self, done: Callable[[], bool]) -> None:
        """Keep the clock running until ``done``, because the node computes the age of frames from it."""
        while not done():
            self._tick_until(time.monotonic() + _CLOCK_PERIOD_S)

    def _due_s(self, message: BagMessage) -> float:
        return self._start_s + (message.stamp_ns - self._start_ns) / _NS_PER_S / self._rate

    def _pause(self) -> None:
        """Wait one clock period without advancing the clock."""
        self._on_tick()
        time.sleep(_CLOCK_PERIOD_S)

    def _publish(self, message: BagMessage, due_s: float) -> None:
        now_s = time.monotonic()
        if message.topic == self._image_topic:
            self._tick(now_s)
            stamp_ns = _stamp_of(message)
            if stamp_ns is not None:
                self._laps.note(stamp_ns)
            image = SentImage(stamp_ns, time.monotonic(), self._laps.offset_ns)
            self.playback.images.append(image)
            self.playback.jumps = self._laps.jumps
            self._on_image(image)
        self._publishers[message.topic].publish(message.data)
        self.playback.messages += 1
        self.playback.worst_lateness_s = max(self.playback.worst_lateness_s, now_s - due_s)

    def _tick_until(self, due_s: float) -> None:
        while True:
            now_s = time.monotonic()
            if now_s - self._last_tick_s >= _CLOCK_PERIOD_S:
                self._tick(now_s)
                self._on_tick()
            remaining_s = due_s - now_s
            if remaining_s <= 0:
                return
            time.sleep(min(remaining_s, _CLOCK_PERIOD_S))

    def _tick(self, now_s: float) -> None:
        bag_ns = self._start_ns + round((now_s - self._start_s) * self._rate * _NS_PER_S)
        seconds, nanoseconds = divmod(bag_ns, _NS_PER_S)
        self._clock.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))
        self._last_tick_s = now_s


def _stamp_of(message: BagMessage) -> int | None:
    # A damaged image is played too, because the node's reaction is part of the replay.
    try:
        return read_header(message.data).stamp_ns
    except ValueError:
        return None
