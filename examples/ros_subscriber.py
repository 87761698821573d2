# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A ROS 2 node of your own that listens to crack_node.

python examples/ros_subscriber.py
"""

from contextlib import suppress

import rclpy
from rclpy.node import Node
from vision_msgs.msg import Detection3DArray


class CrackListener(Node):
    """Logs every located crack: severity, place in the map and size."""

    def __init__(self) -> None:
        super().__init__("crack_listener")
        self.create_subscription(Detection3DArray, "/crack_node/detections_3d", self.on_detections, 10)

    def on_detections(self, message: Detection3DArray) -> None:
        for detection in message.detections:
            best = detection.results[0]  # sorted by score: the first is the verdict
            place = best.pose.pose.position
            length_m, width_m = detection.bbox.size.x, detection.bbox.size.y
            self.get_logger().info(
                f"{best.hypothesis.class_id} crack at ({place.x:.2f}, {place.y:.2f}, {place.z:.2f}) m in"
                f" {message.header.frame_id}: {length_m:.2f} m long, {1000 * width_m:.2f} mm wide"
            )


rclpy.init()
with suppress(KeyboardInterrupt):
    rclpy.spin(CrackListener())
