# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Subscriptions of crack_node: created on activation, destroyed on deactivation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Range

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

from crack_perception.ros.common import qos
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.subscriptions import subscribe_to_stream
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.memory import FrameMemory
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.pose_inputs import PoseInputs
from crack_perception.ros.detector.surface_sources import SurfaceSources


class InputSubscriptions:
    """Subscribe to all inputs that the settings require.

    Args:
        on_image: Called with every image message; must return at once.
    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: Settings,
        on_image: Callable[[Image | CompressedImage], None],
        cameras: CameraInfos,
        surfaces: SurfaceSources,
        health: Health,
    ) -> None:
        self._node = node
        self._surfaces = surfaces
        image_type = CompressedImage if settings.image_transport == "compressed" else Image
        self.lost_images = 0
        self.image_topic = node.resolve_topic_name("image")
        self._image_type = image_type
        self._image = self._subscribe_to_images(image_type, on_image)
        self._others = [
            subscribe_to_stream(node, CameraInfo, "camera_info", cameras.push, qos.SENSOR_HISTORY),
            subscribe_to_stream(node, Range, "range", self._take_range, qos.SENSOR_HISTORY),
            node.create_subscription(Image, "depth", surfaces.push_depth, qos.FRAMES),
        ]
        self._pose_inputs = PoseInputs(node, settings, health, surfaces.set_back)
        self.poses = self._pose_inputs.poses

    def explain_silence(self) -> str:
        """Return the likely reason for missing images: no publisher, wrong type, or incompatible quality of service."""
        topic = self.image_topic
        expected = f"sensor_msgs/msg/{self._image_type.__name__}"
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

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        for subscription in (self._image, *self._others):
            self._node.destroy_subscription(subscription)
        self._pose_inputs.destroy()

    def _take_range(self, message: Range) -> None:
        self._surfaces.push_range(message)
        self._pose_inputs.check_axes(message)

    def _subscribe_to_images(
        self, kind: type, on_image: Callable[[Image | CompressedImage], None]
    ) -> Subscription[Any]:
        """Subscribe to images and count those that the transport loses, where the middleware reports it."""
        memory = FrameMemory()

        def take(message: Image | CompressedImage) -> None:
            on_image(message)
            memory.reserve(len(message.data))

        def on_lost(event: Any) -> None:
            self.lost_images += event.total_count_change

        def subscribe(events: SubscriptionEventCallbacks) -> Subscription[Any]:
            profile = qos.overridable(qos.FRAMES)
            return self._node.create_subscription(kind, "image", take, event_callbacks=events, **profile)

        try:
            return subscribe(SubscriptionEventCallbacks(message_lost=on_lost))
        except UnsupportedEventTypeError:
            return subscribe(SubscriptionEventCallbacks())
