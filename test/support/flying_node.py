# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A crack_node in this process, and a peer that publishes its inputs and subscribes to its results, over real DDS."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from patience import PATIENCE_S, allowed_s
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Range
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from crack_perception.ros.common import qos
from crack_perception.ros.detector.image_messages import image_message
from crack_perception.ros.detector.node import CrackNode

WIDTH_PX, HEIGHT_PX = 320, 240
FOCAL_PX = 300.0
FRAME_ID = "camera_optical_frame"


def wall(crack: bool = True) -> np.ndarray:
    """Return an image of a grey wall, optionally with a dark horizontal line in its middle."""
    frame = np.full((HEIGHT_PX, WIDTH_PX, 3), 170, np.uint8)
    if crack:
        frame[118:121, 40:280] = 15
    return frame


class Flight:
    """The node under test and its peer, each with an executor in a separate thread."""

    def __init__(self, **parameters: Any) -> None:
        self.node = CrackNode([Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()])
        self.peer = Node("peer")
        self.received: dict[str, list[Any]] = defaultdict(list)
        self._next_stamp_ns = time.time_ns()
        compressed = parameters.get("image_transport") == "compressed"
        publish = self.peer.create_publisher
        self.images = publish(CompressedImage if compressed else Image, "/image", 10)
        self.camera_infos = publish(CameraInfo, "/camera_info", 10)
        self.poses = publish(PoseStamped, "/pose", 10)
        self.ranges = publish(Range, "/range", 10)
        self.depths = publish(Image, "/depth", 10)
        self._listen(Detection2DArray, "detections")
        self._listen(Detection3DArray, "detections_3d")
        self._listen(LabelInfo, "label_info", qos.LATCHED)
        self.peer.create_subscription(DiagnosticArray, "/diagnostics", self.received["diagnostics"].append, 10)
        self._executors = [SingleThreadedExecutor(), SingleThreadedExecutor()]
        self._threads = [threading.Thread(target=executor.spin, daemon=True) for executor in self._executors]
        for executor, node, thread in zip(self._executors, (self.node, self.peer), self._threads, strict=True):
            executor.add_node(node)
            thread.start()

    def watch_pictures(self) -> None:
        """Subscribe to the annotated images and markers, like RViz."""
        self.in_peer(lambda: self._listen(Image, "annotated"))
        self.in_peer(lambda: self._listen(CompressedImage, "annotated/compressed"))
        self.in_peer(lambda: self._listen(MarkerArray, "markers"))
        for name in ("annotated", "annotated/compressed", "markers"):
            self.wait(lambda name=name: self.node.count_subscribers(f"/crack_node/{name}") > 0)

    def start(self) -> Flight:
        """Configure and activate, then wait until the two nodes have discovered each other's topics."""
        assert self.in_node(self.node.trigger_configure).name == "SUCCESS"
        assert self.in_node(self.node.trigger_activate).name == "SUCCESS"
        self.wait(lambda: all(p.get_subscription_count() for p in (self.images, self.camera_infos, self.ranges)))
        self.wait_for_listener("detections", "detections_3d")
        self.wait(lambda: len(self.received["label_info"]) > 0)
        return self

    def wait_for_listener(self, *topics: str) -> None:
        """Wait until the node has discovered a subscription to each of these results."""
        self.wait(lambda: all(self.node._publisher.listeners()[topic] for topic in topics))

    def in_node(self, action: Callable[[], Any]) -> Any:
        """Call a function in the thread of the node's executor, like its services; rclpy is not safe elsewhere."""
        return self._in(self._executors[0], action)

    def in_peer(self, action: Callable[[], Any]) -> Any:
        """Call a function in the thread of the peer's executor."""
        return self._in(self._executors[1], action)

    def _in(self, executor: SingleThreadedExecutor, action: Callable[[], Any]) -> Any:
        task = executor.create_task(action)
        self.wait(task.done)
        return task.result()

    def stop(self) -> None:
        """Stop both nodes."""
        # An executor that still spins would take messages of subscriptions that are destroyed.
        for executor, thread in zip(self._executors, self._threads, strict=True):
            executor.shutdown()
            thread.join(PATIENCE_S)
        self.node.stop()
        self.node.destroy_node()
        self.peer.destroy_node()

    def stamp(self) -> Time:
        """Return a stamp 50 ms after the previous one."""
        self._next_stamp_ns += 50_000_000
        return Time(sec=self._next_stamp_ns // 10**9, nanosec=self._next_stamp_ns % 10**9)

    def send_camera_info(self, stamp: Time, **changes: Any) -> None:
        """Publish the camera_info of a pinhole camera with some fields changed."""
        k = [FOCAL_PX, 0.0, (WIDTH_PX - 1) / 2, 0.0, FOCAL_PX, (HEIGHT_PX - 1) / 2, 0.0, 0.0, 1.0]
        fields = {"width": WIDTH_PX, "height": HEIGHT_PX, "k": k, "d": [0.0] * 5, "distortion_model": "plumb_bob"}
        header = Header(stamp=stamp, frame_id=FRAME_ID)
        self.camera_infos.publish(CameraInfo(header=header, **(fields | changes)))

    def send_pose(self, stamp: Time, x: float = 0.0, frame_id: str = "map") -> None:
        """Publish a pose of the body at (x, 0, 1), pointing along the map's x axis."""
        message = PoseStamped(header=Header(stamp=stamp, frame_id=frame_id))
        message.pose.position.x = x
        message.pose.position.z = 1.0
        message.pose.orientation.w = 1.0
        self.poses.publish(message)

    def send_range(self, stamp: Time, range_m: float) -> None:
        """Publish a reading of a rangefinder with limits of 0.1 and 30 m."""
        self.ranges.publish(Range(header=Header(stamp=stamp), min_range=0.1, max_range=30.0, range=range_m))

    def send_image(self, stamp: Time, frame: np.ndarray) -> None:
        """Publish a bgr8 image."""
        self.images.publish(image_message(frame, Header(stamp=stamp, frame_id=FRAME_ID)))

    def fly_one_frame(self, range_m: float | None = 2.0, frame: np.ndarray | None = None) -> Time:
        """Publish pose, range, camera_info and image with one stamp, wait for the detections, and return the stamp."""
        before = self.stamp()
        self.send_pose(before)
        stamp = self.stamp()
        self.send_pose(stamp)
        if range_m is not None:
            self.send_range(stamp, range_m)
        self.send_camera_info(stamp)
        self.wait_for_inputs(stamp, with_range=range_m is not None)
        self.send_image(stamp, wall() if frame is None else frame)
        self.wait(lambda: any(m.header.stamp == stamp for m in self.received["detections"]))
        return stamp

    def wait_for_inputs(self, stamp: Time, with_range: bool = True) -> None:
        """Wait until the node has received camera_info and range of this stamp; topics have no common order.

        The wait for a reading is short, because the node may refuse it.
        """
        stamp_ns = stamp.sec * 10**9 + stamp.nanosec
        cameras, ranges = self.node._processor._cameras, self.node._surfaces._ranges

        def arrived() -> bool:
            latest = cameras._latest
            has_range = not with_range or len(ranges.since(stamp_ns - 1, stamp_ns)[0]) > 0
            return has_range and latest is not None and latest.header.stamp == stamp

        self.wait(arrived, patience_s=2.0, required=False)

    def located(self, stamp: Time) -> Detection3DArray | None:
        """Return the 3D array with an image's stamp if it arrives shortly after the 2D array, else None."""
        found: list[Detection3DArray] = []

        def look() -> bool:
            found.extend(m for m in self.received["detections_3d"] if m.header.stamp == stamp)
            return bool(found)

        self.wait(look, patience_s=0.5, required=False)
        if not found:
            # The node publishes both in sequence, with delays on a busy machine. The wait must end before the node
            # reports missing images.
            self.wait(look, patience_s=min(allowed_s(0.5), 2.0) - 0.5, required=False)
        return found[0] if found else None

    def figures(self) -> dict[str, str]:
        """Return the key-value pairs of the next diagnostics."""
        count = len(self.received["diagnostics"])
        self.wait(lambda: len(self.received["diagnostics"]) > count)
        return {value.key: value.value for value in self.received["diagnostics"][-1].status[0].values}

    def wait(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S, required: bool = True) -> None:
        """Poll until the condition holds."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                assert not required, "what the test waits for did not happen"
                return
            time.sleep(0.01)

    def _listen(self, kind: type, name: str, profile: Any = qos.RESULT) -> None:
        self.peer.create_subscription(kind, f"/crack_node/{name}", self.received[name].append, profile)


TakeOff = Callable[..., Flight]
"""Factory of a flight of the node with these parameters (``a__b`` stands for ``a.b``)."""


def init_ros() -> None:
    """Initialise ROS once in this process."""
    if not rclpy.ok():
        rclpy.init()
