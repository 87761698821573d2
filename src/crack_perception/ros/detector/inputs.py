# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Subscriptions of crack_node: created on activation, destroyed on deactivation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, Range

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

from crack_perception.geometry.surface.scan import BeamAhead
from crack_perception.ros.common import qos
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.subscriptions import Inbox
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.image_conversion import ImageInput
from crack_perception.ros.detector.memory import FrameMemory
from crack_perception.ros.detector.parameter_specs import TYPE_LASER_SCAN
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.pose_inputs import PoseInputs
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.ros.detector.video_input import TRANSPORTS, VideoInput, message_type


def image_type(transport: str) -> Any:
    """Return the message type of the image topic.

    Raises:
        UserError: The transport needs a package that is not installed.
    """
    if transport in TRANSPORTS:
        return message_type(transport)
    return CompressedImage if transport == "compressed" else Image


class InputSubscriptions:
    """Subscribe to all inputs that the settings require.

    Args:
        on_image: Called with every image message, and with every picture of a video in another thread; must return at
            once.
        on_refused: Called with the reason for every packet of a video that gives no picture.
    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: Settings,
        on_image: Callable[[ImageInput], None],
        on_refused: Callable[[str], None],
        cameras: CameraInfos,
        surfaces: SurfaceSources,
        health: Health,
    ) -> None:
        self._node = node
        self._surfaces = surfaces
        self._health = health
        self.lost_images = 0
        self.image_topic = node.resolve_topic_name("image")
        self._image_type = image_type(settings.image_transport)
        self._inbox = Inbox(node)

        def arrived(image: ImageInput) -> None:
            self._inbox.receive()  # what arrived before the image
            on_image(image)

        self.video = VideoInput(arrived, on_refused) if settings.image_transport in TRANSPORTS else None
        self._image = self._subscribe_to_images(arrived)
        self._range_type: type = LaserScan if settings.range_type == TYPE_LASER_SCAN else Range
        self._depth = node.create_subscription(Image, "depth", surfaces.push_depth, qos.FRAMES)
        self._pose_inputs = PoseInputs(node, settings, health, self._inbox, surfaces.set_back)
        self._inbox.subscribe(self._range_type, "range", self._take_range, qos.SENSOR_HISTORY)
        self._inbox.subscribe(CameraInfo, "camera_info", cameras.push, qos.SENSOR_HISTORY)
        self.poses = self._pose_inputs.poses

    def explain_silence(self) -> str:
        """Return the likely reason for missing images: no publisher, wrong type, or incompatible quality of service."""
        topic = self.image_topic
        expected = f"{self._image_type.__module__.split('.')[0]}/msg/{self._image_type.__name__}"
        publishers = self._node.get_publishers_info_by_topic(topic)
        if not publishers:
            return f"No image on '{topic}': nobody publishes it. Remap 'image' to the camera's topic"
        offers = ", ".join(
            f"{p.node_namespace.rstrip('/')}/{p.node_name} ({p.topic_type}, "
            f"{p.qos_profile.reliability.name.lower()}, {p.qos_profile.durability.name.lower()})"
            for p in publishers
        )
        if all(p.topic_type != expected for p in publishers):
            return f"No image on '{topic}': its type is {offers} but {expected} is expected. Set image_transport"
        wanted = self._image.qos_profile
        return (
            f"No image on '{topic}' although it is published by {offers}; this node requests "
            f"{wanted.reliability.name.lower()}, {wanted.durability.name.lower()}. Is the camera running? "
            "DDS may lose large images with its default settings: see docs/troubleshooting.md"
        )

    def receive(self) -> None:
        """Take the poses, ranges and camera_info that have arrived; called by whatever thread needs them."""
        self._inbox.receive()

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        self._inbox.destroy()
        for subscription in (self._image, self._depth):
            self._node.destroy_subscription(subscription)
        self._pose_inputs.destroy()
        if self.video is not None:
            self.video.stop()

    def _take_range(self, message: Range | LaserScan) -> None:
        if isinstance(message, LaserScan):
            reading = BeamAhead.of(message)
            if reading.problem:
                self._health.report(
                    "range_rejected", f"A laser scan was refused: {reading.problem}. Check its mounting"
                )
                return
        else:
            reading = message
        self._surfaces.push_range(reading)
        self._pose_inputs.check_axes(reading)

    def _subscribe_to_images(self, on_image: Callable[[Image | CompressedImage], None]) -> Subscription[Any]:
        """Subscribe to images and count those that the transport loses, where the middleware reports it."""
        memory = FrameMemory()
        video = self.video

        def take_image(message: Image | CompressedImage) -> None:
            on_image(message)
            memory.reserve(len(message.data))

        take: Callable[[Any], None] = take_image if video is None else video.take
        kept = qos.FRAMES if video is None else qos.VIDEO

        def on_lost(event: Any) -> None:
            self.lost_images += event.total_count_change

        def subscribe(events: SubscriptionEventCallbacks) -> Subscription[Any]:
            profile = qos.overridable(kept)
            return self._node.create_subscription(self._image_type, "image", take, event_callbacks=events, **profile)

        try:
            return subscribe(SubscriptionEventCallbacks(message_lost=on_lost))
        except UnsupportedEventTypeError:
            return subscribe(SubscriptionEventCallbacks())
