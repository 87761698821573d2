# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Subscriptions of the pose sources: tf, poses and odometry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Range
from tf2_msgs.msg import TFMessage

from crack_perception.geometry.surface.scan import BeamAhead
from crack_perception.ros.common import qos
from crack_perception.ros.common.health import Health
from crack_perception.ros.common.subscriptions import Inbox
from crack_perception.ros.detector.parameter_specs import TYPE_POSE_WITH_COVARIANCE, TYPE_VEHICLE_ODOMETRY
from crack_perception.ros.detector.parameters import Settings
from crack_perception.ros.detector.pose_messages import TF, TF_STATIC, PoseMessages
from crack_perception.ros.px4.messages import Px4Clock, VehicleOdometry, check_installed

# A clock that is set back by less is merely adjusted.
_CLOCK_SET_BACK = Duration(nanoseconds=-100_000_000)


def check_pose_inputs(settings: Settings) -> None:
    """Check that the required message types are installed.

    Raises:
        UserError: odom_type is VehicleOdometry but px4_msgs is not installed.
    """
    if _wants_odom(settings) and settings.odom_type == TYPE_VEHICLE_ODOMETRY:
        check_installed("odom_type is 'VehicleOdometry'")


def _wants_odom(settings: Settings) -> bool:
    return settings.pose_source in ("odom", "auto")


class PoseInputs:
    """Subscribe to the pose sources that the settings select.

    Args:
        inbox: Takes the messages.
        on_set_back: Called with the new time [ns] when the node's clock is set back.

    Attributes:
        poses: Poses of the camera.
    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: Settings,
        health: Health,
        inbox: Inbox,
        on_set_back: Callable[[int], object] = lambda now_ns: None,
    ) -> None:
        self._messages = PoseMessages(settings, health, Px4Clock(node, health).converted, inbox.receive)
        self.poses = self._messages.poses
        types = _message_types(settings)
        profiles = {TF: qos.TF, TF_STATIC: qos.TF_STATIC}
        for topic, take in self._messages.handlers.items():
            inbox.subscribe(types[topic], topic, take, profiles.get(topic, qos.SENSOR_HISTORY))

        def set_back(jump: object) -> None:
            inbox.receive()  # what waits is from before
            now_ns = node.get_clock().now().nanoseconds
            self.poses.set_back(now_ns)
            on_set_back(now_ns)

        self._jumps = node.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=_CLOCK_SET_BACK, on_clock_change=False),
            post_callback=set_back,
        )

    def check_axes(self, message: Range | BeamAhead) -> None:
        """Check the axes of poses with a range."""
        self._messages.check_axes(message)

    def destroy(self) -> None:
        """Drop all poses and end all waiting."""
        self._jumps.unregister()
        self.poses.close()


def _message_types(settings: Settings) -> dict[str, Any]:
    """Return the message type of each topic."""
    return {
        TF: TFMessage,
        TF_STATIC: TFMessage,
        "pose": PoseWithCovarianceStamped if settings.pose_type == TYPE_POSE_WITH_COVARIANCE else PoseStamped,
        "odom": VehicleOdometry if settings.odom_type == TYPE_VEHICLE_ODOMETRY else Odometry,
    }
