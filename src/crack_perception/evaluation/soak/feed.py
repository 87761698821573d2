# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Endless publication of a simulated flight in real time, with faults in selected messages."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from crack_perception.evaluation.benchmark.flight import FlightInMemory, back_and_forth, fly
from crack_perception.evaluation.recordings.bag import BagMessage
from crack_perception.evaluation.recordings.messages import restamped
from crack_perception.evaluation.replay.node_client import spinning_node
from crack_perception.evaluation.replay.player import MESSAGE_CLASSES
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import POSE_HZ, RANGE_HZ

RAW, COMPRESSED = "raw", "compressed"
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATCHED = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

Spoil = Callable[[bytes], "bytes | None"]
"""Changes a serialized message; None suppresses it."""

_TICK_S = 0.005
_CLOCK_PERIOD_S = 0.02
_JPEG_QUALITY = 90
_SENT_KEPT = 4096
# Images that are later than this are skipped: a camera does not catch up either.
_IMAGE_LATENESS_S = 0.05
_TF_STAMP_OFFSET = 4
_NS_PER_S = 1_000_000_000


class Sent(NamedTuple):
    """Published image: time (monotonic), and index of its content; None if it was changed by a fault."""

    sent_s: float
    picture: tuple[str, int] | None


@dataclass(frozen=True)
class SoakFlight:
    """A flight with transforms, its images in both transports.

    Attributes:
        flight: Messages with raw images.
        jpeg: The same images as serialized CompressedImage.
    """

    flight: FlightInMemory
    jpeg: Sequence[bytes]

    @property
    def parameters(self) -> Mapping[str, str]:
        """Parameters of the detector for this flight."""
        return self.flight.parameters


def simulate(width: int, height: int, seed: int) -> SoakFlight:
    """Simulate a flight of one second along a wall with cracks."""
    settings = FlightSettings(width=width, height=height, fps=10.0, duration_s=1.0, cracks=3, seed=seed, passes=1)
    flight = fly(settings, also=("/tf", "/tf_static"))
    return SoakFlight(flight, [_jpeg(message) for message in flight.messages["image"]])


def _jpeg(message: BagMessage) -> bytes:
    image: Any = deserialize_message(message.data, Image)
    frame = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RuntimeError("OpenCV cannot write JPEG")
    compressed = CompressedImage(header=image.header, format="bgr8; jpeg compressed bgr8", data=data.tobytes())
    return bytes(serialize_message(compressed))


def edited(kind: Any, edit: Callable[[Any], None]) -> Spoil:
    """Return a function that changes fields of messages of a type."""

    def spoil(data: bytes) -> bytes:
        message = deserialize_message(data, kind)
        edit(message)
        return bytes(serialize_message(message))

    return spoil


@dataclass
class _Stream:
    """Schedule of one input: period [s], and time of the next message (monotonic)."""

    inputs: tuple[str, ...]
    period_s: float
    due_s: float = 0.0


class Feed:
    """Publishes a flight forwards and backwards from ``start`` to ``stop``, in a separate thread.

    Args:
        node: Node that publishes everything except the images.
        domain: ROS domain; the camera has a separate node there, which can be removed like a driver.
        namespace: Namespace of the detector and its inputs.
        flight: Flight to publish.
        rate_hz: Image rate [Hz].
        transport: ``raw`` or ``compressed`` images.

    Attributes:
        sent: Stamp of every recent image -> time of publication and content.
        images_sent: Number of published images.
        spoiled_since_s: Time (monotonic) of the first message that the present fault changed; None before.
        worst_lateness_s: Largest delay against the schedule [s]; a fault resets it.
    """

    def __init__(
        self, node: Node, domain: int, namespace: str, flight: SoakFlight, rate_hz: float, transport: str
    ) -> None:
        self._domain = domain
        self._camera = ExitStack()
        self._namespace = namespace
        self._flight = flight
        self.rate_hz = rate_hz
        self.sent: dict[int, Sent] = {}
        self.images_sent = 0
        self.spoiled_since_s: float | None = None
        self.worst_lateness_s = 0.0
        self._lock = threading.RLock()
        self._publishers: dict[str, Publisher[Any]] = {}
        self._spoils: Mapping[str, Spoil] = {}
        self._factor = 1
        self._back_ns = 0
        self._start_s = 0.0
        self._start_ns = 0
        self._clock_due_s = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="soak feed", daemon=True)
        self._error: BaseException | None = None
        self._streams = (
            _Stream(("/tf", "pose"), 1 / POSE_HZ),
            _Stream(("range",), 1 / RANGE_HZ),
            _Stream(("image",), 1 / rate_hz),
        )
        self.transport = transport
        for name, topic in flight.flight.inputs.by_input.items():
            if name != "image":
                self._advertise(
                    node, name, MESSAGE_CLASSES[topic.type_name], _LATCHED if name == "/tf_static" else RELIABLE
                )
        self._clock = node.create_publisher(Clock, "/clock", RELIABLE)
        self._open_camera(RELIABLE)

    def start(self) -> None:
        """Start publishing."""
        self._start_s, self._start_ns = time.monotonic(), time.time_ns()
        for stream in self._streams:
            stream.due_s = self._start_s + stream.period_s
        for message in self._flight.flight.messages["/tf_static"]:
            self._publishers["/tf_static"].publish(message.data)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._camera.close()

    def check(self) -> None:
        """Raise the exception that ended publishing, if any."""
        if self._error is not None:
            raise RuntimeError("the flight is no longer published") from self._error

    @contextmanager
    def spoiled(self, spoils: Mapping[str, Spoil]) -> Iterator[None]:
        """Change the messages of some inputs inside the block."""
        with self._lock:
            self._spoils = spoils
            self.spoiled_since_s = None
            self.worst_lateness_s = 0.0
        try:
            yield
        finally:
            with self._lock:
                self._spoils = {}

    @contextmanager
    def flooded(self, factor: int) -> Iterator[None]:
        """Publish images and poses at a multiple of their rate inside the block."""
        with self._lock:
            self._factor = factor
        try:
            yield
        finally:
            with self._lock:
                self._factor = 1

    def jump_back(self, seconds: float) -> None:
        """Set clock and stamps back, like a bag that restarts."""
        with self._lock:
            self._back_ns += round(seconds * _NS_PER_S)

    def close_camera(self) -> None:
        """Remove the camera's publisher from the graph."""
        with self._lock:
            self._publishers.pop("image", None)
            self._camera.close()

    def open_camera(self, profile: QoSProfile) -> None:
        """Restore the camera's publisher with a different quality of service."""
        with self._lock:
            self._open_camera(profile)

    def change_transport(self, transport: str) -> None:
        """Publish the other type of images from this moment."""
        with self._lock:
            self.close_camera()
            self.transport = transport
            self._open_camera(RELIABLE)

    def deaf(self) -> list[str]:
        """Return the inputs without a subscriber."""
        with self._lock:
            return [name for name, publisher in self._publishers.items() if not publisher.get_subscription_count()]

    def _open_camera(self, profile: QoSProfile) -> None:
        node = self._camera.enter_context(spinning_node("soak_camera", self._domain))
        self._advertise(node, "image", CompressedImage if self.transport == COMPRESSED else Image, profile)

    def _advertise(self, node: Node, name: str, kind: Any, profile: QoSProfile) -> None:
        topic = name if name.startswith("/") else f"{self._namespace}/{name}"
        self._publishers[name] = node.create_publisher(kind, topic, profile)

    def _work(self) -> None:
        try:
            while not self._stopped.wait(_TICK_S):
                with self._lock:
                    self._publish_due(time.monotonic())
        except BaseException as error:
            self._error = error

    def _publish_due(self, now_s: float) -> None:
        if now_s >= self._clock_due_s:
            self._clock_due_s = now_s + _CLOCK_PERIOD_S
            self._tick(now_s)
        for stream in self._streams:
            period_s = stream.period_s / (1 if stream.inputs == ("range",) else self._factor)
            while stream.due_s <= now_s:
                lateness_s = now_s - stream.due_s
                self.worst_lateness_s = max(self.worst_lateness_s, lateness_s)
                is_image = stream.inputs == ("image",)
                if not (is_image and lateness_s > max(_IMAGE_LATENESS_S, period_s)):
                    if is_image:
                        self._tick(time.monotonic())
                        self._publish_image(stream.due_s)
                    else:
                        for name in stream.inputs:
                            self._publish_sample(name, stream.due_s)
                stream.due_s += period_s

    def _tick(self, now_s: float) -> None:
        seconds, nanoseconds = divmod(self._stamp_ns(now_s), _NS_PER_S)
        self._clock.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))

    def _stamp_ns(self, at_s: float) -> int:
        return self._start_ns + round((at_s - self._start_s) * _NS_PER_S) - self._back_ns

    def _image_at(self, at_s: float) -> float:
        return (at_s - self._start_s) * self.rate_hz

    def _publish_image(self, due_s: float) -> None:
        flight = self._flight.flight
        index = back_and_forth(int(self._image_at(due_s) + 0.5), len(flight.messages["image"]))
        stamp_ns = self._stamp_ns(due_s)
        self._send("camera_info", restamped(flight.messages["camera_info"][index].data, stamp_ns))
        data = self._flight.jpeg[index] if self.transport == COMPRESSED else flight.messages["image"][index].data
        self.sent[stamp_ns] = Sent(time.monotonic(), None if "image" in self._spoils else (self.transport, index))
        if len(self.sent) > _SENT_KEPT:
            self.sent.pop(next(iter(self.sent)))
        if self._send("image", restamped(data, stamp_ns)):
            self.images_sent += 1

    def _publish_sample(self, name: str, due_s: float) -> None:
        flight = self._flight.flight
        flown_ns = flight.flown_ns(self._image_at(due_s))
        recorded = flight.messages[name]
        nearest = bisect_left(recorded, flown_ns, key=lambda message: message.stamp_ns)
        message = recorded[min(nearest, len(recorded) - 1)]
        stamp_ns = self._stamp_ns(due_s)
        data = _restamped_tf(message.data, stamp_ns) if name == "/tf" else restamped(message.data, stamp_ns)
        self._send(name, data)

    def _send(self, name: str, data: bytes) -> bool:
        """Publish a message, changed by the present fault if any; return whether it was published."""
        spoil = self._spoils.get(name)
        if spoil is not None:
            if self.spoiled_since_s is None:
                self.spoiled_since_s = time.monotonic()
            spoiled = spoil(data)
            if spoiled is None:
                return False
            data = spoiled
        publisher = self._publishers.get(name)
        if publisher is None:
            return False
        publisher.publish(data)
        return True


def _restamped_tf(data: bytes, stamp_ns: int) -> bytes:
    """Replace the stamp of a TFMessage with one transform, whose header follows the length of the sequence."""
    head = data[:4] + data[4 + _TF_STAMP_OFFSET :]
    return data[: 4 + _TF_STAMP_OFFSET] + restamped(head, stamp_ns)[4:]
