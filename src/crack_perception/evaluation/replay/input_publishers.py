"""Publishers of the node's inputs, which take serialized messages."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Range
from tf2_msgs.msg import TFMessage

from crack_perception.evaluation.replay.input_topics import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    ODOMETRY,
    POSE,
    POSE_WITH_COVARIANCE,
    RANGE,
    TF,
    InputTopics,
)

MESSAGE_CLASSES: dict[str, Any] = {
    IMAGE: Image,
    COMPRESSED_IMAGE: CompressedImage,
    CAMERA_INFO: CameraInfo,
    POSE: PoseStamped,
    POSE_WITH_COVARIANCE: PoseWithCovarianceStamped,
    ODOMETRY: Odometry,
    RANGE: Range,
    TF: TFMessage,
}
"""Name of a message type -> its class."""
_STREAM = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class InputPublishers:
    """One publisher for every input that a bag has, and ``/clock``.

    Args:
        node: Node of the replay.
        namespace: Namespace of the node under test, under which its inputs lie.
        inputs: What is played.

    Attributes:
        by_topic: Topic of the bag -> publisher.
        clock: Publisher of the clock.
    """

    def __init__(self, node: Node, namespace: str, inputs: InputTopics) -> None:
        self._by_input: dict[str, Any] = {}
        for name, topic in inputs.by_input.items():
            target = name if name.startswith("/") else f"{namespace}/{name}"
            qos = _LATCHED if name == "/tf_static" else _STREAM
            self._by_input[name] = node.create_publisher(MESSAGE_CLASSES[topic.type_name], target, qos)
        self.by_topic = {topic.name: self._by_input[name] for name, topic in inputs.by_input.items()}
        self.clock = node.create_publisher(Clock, "/clock", _STREAM)

    def unmatched(self) -> list[str]:
        """Inputs that nobody listens to (yet)."""
        listened = {**self._by_input, "/clock": self.clock}
        return [name for name, publisher in listened.items() if not publisher.get_subscription_count()]
