"""The node's inputs: created when it becomes active, destroyed when it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Range

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

from crack_perception.ros import qos
from crack_perception.ros.camera_infos import CameraInfos, stamp_ns
from crack_perception.ros.camera_poses import FirstAvailable, TfPoses, TopicPoses, pose_of, tf_available
from crack_perception.ros.parameters import Settings
from crack_perception.ros.problems import Problems
from crack_perception.ros.surface_sources import SurfaceSources


class InputSubscriptions:
    """Subscribes to everything the settings ask for.

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
        problems: Problems,
    ) -> None:
        self._node = node
        self._map_frame = settings.map_frame
        self._problems = problems
        image_type = CompressedImage if settings.image_transport == "compressed" else Image
        self.lost_images = 0
        self.image_topic = node.resolve_topic_name("image")
        self._image_type = image_type
        self._image = self._subscribe_to_images(image_type, on_image)
        subscribe = node.create_subscription
        self._others = [
            subscribe(CameraInfo, "camera_info", cameras.push, qos.SENSOR_HISTORY),
            subscribe(Range, "range", surfaces.push_range, qos.SENSOR_HISTORY),
            subscribe(Image, "depth", surfaces.push_depth, qos.FRAMES),
        ]
        self.poses = FirstAvailable(self._pose_sources(settings))

    def silence_explained(self) -> str:
        """Why no image may be coming: nobody publishes, the wrong type, or an incompatible quality of service."""
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
            return f"No image on '{topic}': it carries {offers} but {expected} is expected. Set image_transport"
        wanted = self._image.qos_profile
        return (
            f"No image on '{topic}' although it is published by {offers}; this node asks for "
            f"{wanted.reliability.name.lower()}, {wanted.durability.name.lower()}. Is the camera running? "
            "Large images may be lost by the DDS defaults: see the README on the Fast DDS profile"
        )

    def destroy(self) -> None:
        """Stop listening."""
        for subscription in (self._image, *self._others):
            self._node.destroy_subscription(subscription)
        self.poses.close()

    def _subscribe_to_images(
        self, kind: type, on_image: Callable[[Image | CompressedImage], None]
    ) -> Subscription[Any]:
        """Count what the transport loses, where the middleware can tell."""

        def on_lost(event: Any) -> None:
            self.lost_images += event.total_count_change

        def subscribe(events: SubscriptionEventCallbacks) -> Subscription[Any]:
            profile = qos.overridable(qos.FRAMES)
            return self._node.create_subscription(kind, "image", on_image, event_callbacks=events, **profile)

        try:
            return subscribe(SubscriptionEventCallbacks(message_lost=on_lost))
        except UnsupportedEventTypeError:
            return subscribe(SubscriptionEventCallbacks())

    def _pose_sources(self, settings: Settings) -> list[TopicPoses | TfPoses]:
        wanted = settings.pose_source
        sources: list[TopicPoses | TfPoses] = []
        if wanted == "tf" or (wanted == "auto" and tf_available()):
            sources.append(TfPoses(self._node, settings.map_frame))
        if wanted in ("pose", "auto"):
            poses = TopicPoses("pose", settings.pose_max_gap_s, settings.body_from_camera)
            sources.append(poses)
            self._others.append(
                self._node.create_subscription(
                    PoseStamped, "pose", lambda m: self._take(poses, m, m.pose), qos.SENSOR_HISTORY
                )
            )
        if wanted in ("odom", "auto"):
            odometry = TopicPoses("odom", settings.pose_max_gap_s, settings.body_from_camera)
            sources.append(odometry)
            self._others.append(
                self._node.create_subscription(
                    Odometry, "odom", lambda m: self._take(odometry, m, m.pose.pose), qos.SENSOR_HISTORY
                )
            )
        return sources

    def _take(self, source: TopicPoses, message: PoseStamped | Odometry, pose: object) -> None:
        frame = message.header.frame_id
        if frame != self._map_frame:
            self._problems.report(
                "pose_rejected",
                f"Poses on '{source.name}' are in frame '{frame}' but map_frame is '{self._map_frame}': set map_frame",
            )
            return
        try:
            source.push(stamp_ns(message.header.stamp), pose_of(pose))
        except ValueError as error:
            self._problems.report("pose_rejected", f"A pose on '{source.name}' was refused: {error}")
