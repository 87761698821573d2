"""The node's inputs: created when it becomes active, destroyed when it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Range
from std_msgs.msg import Header

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

from crack_perception.geometry.pose_covariance import Lost, checked_covariance
from crack_perception.geometry.px4 import swap_conventions, swap_covariance
from crack_perception.ros import qos
from crack_perception.ros.camera_infos import CameraInfos, stamp_ns
from crack_perception.ros.camera_poses import FirstAvailable, TfPoses, TopicPoses, pose_of, tf_available
from crack_perception.ros.parameters import CONVENTION_PX4, Settings
from crack_perception.ros.problems import Problems
from crack_perception.ros.steady_heap import FrameMemory
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
        self._settings = settings
        self._reported_covariance = False
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
        memory = FrameMemory()

        def take(message: Image | CompressedImage) -> None:
            on_image(message)
            memory.make_room(len(message.data))

        def on_lost(event: Any) -> None:
            self.lost_images += event.total_count_change

        def subscribe(events: SubscriptionEventCallbacks) -> Subscription[Any]:
            profile = qos.overridable(qos.FRAMES)
            return self._node.create_subscription(kind, "image", take, event_callbacks=events, **profile)

        try:
            return subscribe(SubscriptionEventCallbacks(message_lost=on_lost))
        except UnsupportedEventTypeError:
            return subscribe(SubscriptionEventCallbacks())

    def _pose_sources(self, settings: Settings) -> list[TopicPoses | TfPoses]:
        wanted = settings.pose_source
        sources: list[TopicPoses | TfPoses] = []
        if wanted == "tf" or (wanted == "auto" and tf_available()):
            sources.append(TfPoses(self._node, settings.map_frame, settings.motion_limits))
        if wanted in ("pose", "auto"):
            poses = TopicPoses("pose", settings.motion_limits, settings.body_from_camera)
            sources.append(poses)
            self._others.append(
                self._node.create_subscription(
                    PoseStamped, "pose", lambda m: self._take(poses, m.header, m.pose), qos.SENSOR_HISTORY
                )
            )
        if wanted in ("odom", "auto"):
            odometry = TopicPoses("odom", settings.motion_limits, settings.body_from_camera)
            sources.append(odometry)
            self._others.append(
                self._node.create_subscription(
                    Odometry,
                    "odom",
                    lambda m: self._take(odometry, m.header, m.pose.pose, m.pose.covariance),
                    qos.SENSOR_HISTORY,
                )
            )
        return sources

    def _take(
        self,
        source: TopicPoses,
        header: Header,
        message: PoseMessage,
        covariance: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Hand a pose to its source, in the axes of ROS; an unusable one is reported."""
        is_px4 = self._settings.pose_convention == CONVENTION_PX4
        map_frame = self._settings.map_frame
        # The same map with its axes turned has a name of its own in MAVROS and its like.
        if header.frame_id != map_frame and not (is_px4 and header.frame_id == f"{map_frame}_ned"):
            self._problems.report(
                "pose_rejected",
                f"Poses on '{source.name}' are in frame '{header.frame_id}' but map_frame is '{map_frame}': "
                "set map_frame",
            )
            return
        try:
            pose = pose_of(message)
            spread = None if covariance is None else self._spread_of(source.name, covariance)
        except ValueError as error:
            self._problems.report("pose_rejected", f"A pose on '{source.name}' was refused: {error}")
            return
        if is_px4:
            pose = swap_conventions(pose)
            spread = None if spread is None else swap_covariance(spread)
        source.push(stamp_ns(header.stamp), pose, spread)

    def _spread_of(self, name: str, covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
        """The covariance (6, 6) that a pose came with; None where the parameters have to do.

        Raises:
            Lost: The estimator itself does not believe its pose.
        """
        if not self._settings.use_pose_covariance:
            return None
        try:
            return checked_covariance(covariance)
        except Lost as error:
            raise Lost(f"its estimator is lost, by its own account ({error})") from error
        except ValueError as error:
            if not self._reported_covariance:
                self._reported_covariance = True
                self._problems.report(
                    "pose_covariance",
                    f"The covariance on '{name}' is not used but noise.attitude_deg and noise.position_m: {error}",
                )
            return None
