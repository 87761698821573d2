# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Messages of a detecting node for a wall with cracks, and a peer that sends them to crack_mapper."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point32, PolygonStamped
from lifecycle_msgs.srv import ChangeState
from map_cracks import jpeg_of, photograph_of_crack
from map_msgs.srv import GetPointMapROI
from patience import PATIENCE_S
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import MarkerArray

from crack_perception.mapping.evidence.photograph import Photograph, PhotographedLine
from crack_perception.ros.common import qos
from crack_perception.ros.common.crack_points import CRACK_POINT, cloud_of
from crack_perception.ros.mapper.node import CrackMapper

FRAME_PERIOD_NS = 250_000_000
WALL_NORMAL = (-1.0, 0.0, 0.0)
SIGMA_M = 0.02

Line = np.ndarray
"""Vertices (N, 3) in the map."""


def crack(y_m: float = 0.0, length_m: float = 0.6, z_m: float = 1.5) -> Line:
    """Return a horizontal crack on the wall x = 3 m that starts at (y, z)."""
    along = np.linspace(0.0, length_m, 31)
    return np.column_stack([np.full(31, 3.0), y_m + along, z_m + 0.01 * np.sin(8.0 * along)])


def header(stamp_ns: int, frame_id: str = "map") -> Header:
    return Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=frame_id)


def footprint_message(head: Header, y_m: float = 0.0) -> PolygonStamped:
    """Return a footprint of 4 m x 3 m of the wall."""
    message = PolygonStamped(header=head)
    corners = [(y_m - 2.0, 0.0), (y_m + 2.0, 0.0), (y_m + 2.0, 3.0), (y_m - 2.0, 3.0)]
    message.polygon.points = [Point32(x=3.0, y=y, z=z) for y, z in corners]
    return message


def points_message(head: Header, lines: Sequence[Line], width_mm: float = 0.5) -> PointCloud2:
    """Return the crack points; each line belongs to the detection with the same index."""
    parts = [np.zeros(0, CRACK_POINT)]
    for index, line in enumerate(lines):
        rows = np.zeros(len(line), CRACK_POINT)
        rows["x"], rows["y"], rows["z"] = line.T
        rows["normal_x"], rows["normal_y"], rows["normal_z"] = WALL_NORMAL
        rows["width_mm"], rows["width_sigma_mm"] = width_mm, 0.05
        rows["gsd_mm_per_px"], rows["score"] = 1.0, 0.9
        rows["detection"] = rows["line"] = index
        parts.append(rows)
    return cloud_of(head, np.concatenate(parts))


def detections_message(head: Header, lines: Sequence[Line], sigma_m: float = SIGMA_M) -> Detection3DArray:
    """Return a box around each line, with x along the line and z along the normal."""
    array = Detection3DArray(header=head)
    for index, line in enumerate(lines):
        detection = Detection3D(header=head, id=f"{head.stamp.sec}/{index}")
        position, turn = detection.bbox.center.position, detection.bbox.center.orientation
        position.x, position.y, position.z = line.mean(axis=0).tolist()
        # x of the box is along y of the map, z of the box opposite to x of the map.
        turn.x, turn.y, turn.z, turn.w = -0.5, -0.5, 0.5, 0.5
        detection.bbox.size.x = float(np.linalg.norm(line[-1] - line[0]))
        detection.bbox.size.y = 0.0005
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = "obvious", 0.9
        result.pose.pose = detection.bbox.center
        result.pose.covariance = np.diag([sigma_m**2] * 3 + [1e-3] * 3).ravel().tolist()
        detection.results = [result]
        array.detections.append(detection)
    return array


def photograph_of(line: Line, stamp_ns: int, *others: Line, **changes: Any) -> Photograph:
    """A photograph of cracks, 1 mm a pixel, straight ahead from two metres in front of the first one's middle."""
    middle = line.mean(axis=0)
    lines = tuple(
        PhotographedLine(
            np.column_stack([320.0 - 1000.0 * (each[:, 1] - middle[1]), 240.0 - 1000.0 * (each[:, 2] - middle[2])]),
            np.full(len(each), 0.5),
            np.full(len(each), 0.05),
            each,
        )
        for each in (line, *others)
    )
    values = {
        "lines": lines,
        "gsd_mm_per_px": 1.0,
        "intrinsics_px": (2000.0, 2000.0, 320.0, 240.0),
        "position_m": middle + 2.0 * np.array(WALL_NORMAL),
        "orientation_xyzw": np.array([-0.5, 0.5, -0.5, 0.5]),
    }
    return photograph_of_crack(0, stamp_ns, **(values | changes))


def photograph_message(photograph: Photograph, jpeg: bytes | None = None) -> CompressedImage:
    """A photograph as a detecting node sends it."""
    message = CompressedImage(header=header(photograph.stamp_ns, photograph.camera_frame), format="jpeg")
    message.data.frombytes(jpeg or jpeg_of(photograph))
    return message


class Peer:
    """Node that sends frames to a mapper, receives its map and calls its services."""

    def __init__(self, source: str = "/crack_node", mapper: str = "/crack_mapper") -> None:
        self.node = Node("peer")
        self.mapper = mapper
        self.received: dict[str, list[Any]] = defaultdict(list)
        self.stamp_ns = time.time_ns()
        self.publishers = self.publishers_of(source)
        listen = self.node.create_subscription
        listen(Detection3DArray, f"{mapper}/map", self.received["map"].append, qos.LATCHED)
        listen(PointCloud2, f"{mapper}/map_points", self.received["map_points"].append, qos.LATCHED)
        listen(DiagnosticArray, "/diagnostics", self.received["diagnostics"].append, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def publishers_of(self, source: str) -> dict[str, Any]:
        kinds = {"footprint": PolygonStamped, "crack_points": PointCloud2, "detections_3d": Detection3DArray}
        self.photographs = self.node.create_publisher(CompressedImage, f"{source}/evidence", qos.PHOTOGRAPHS)
        return {name: self.node.create_publisher(kind, f"{source}/{name}", 10) for name, kind in kinds.items()}

    def wait_for_mapper(self) -> None:
        """Wait until the mapper subscribes to all three topics and its map topic is connected."""
        wait(lambda: all(p.get_subscription_count() for p in self.publishers.values()))
        wait(lambda: self.node.count_publishers(f"{self.mapper}/map") > 0)

    def send(self, *lines: Line, footprint: bool = True, frame_id: str = "map", **changes: Any) -> int:
        """Send one frame with these cracks and return its stamp [ns]; ``changes`` replaces messages by topic."""
        self.stamp_ns += FRAME_PERIOD_NS
        head = header(self.stamp_ns, frame_id)
        messages = {
            "footprint": footprint_message(head) if footprint else None,
            "crack_points": points_message(head, lines),
            "detections_3d": detections_message(head, lines),
        } | changes
        for name, message in messages.items():
            if message is not None:
                self.publishers[name].publish(message)
        return self.stamp_ns

    def map_with(self, condition: Callable[[Detection3DArray], bool]) -> Detection3DArray:
        """Wait for a map that meets the condition and return it."""
        wait(lambda: bool(self.received["map"]) and condition(self.received["map"][-1]))
        return self.received["map"][-1]

    def listen_to_markers(self) -> list[MarkerArray]:
        self.node.create_subscription(
            MarkerArray, f"{self.mapper}/markers", self.received["markers"].append, qos.LATCHED
        )
        return self.received["markers"]

    def status(self, **wanted: str) -> tuple[Any, dict[str, str]]:
        """Wait for diagnostics of the mapper with these values; return the status and its values."""

        def newest() -> tuple[Any, dict[str, str]]:
            for message in reversed(self.received["diagnostics"]):
                if message.status[0].name.startswith(self.mapper):
                    status = message.status[0]
                    return status, {value.key: value.value for value in status.values}
            return None, {}

        found: list[tuple[Any, dict[str, str]]] = []

        def is_found() -> bool:
            found[:] = [newest()]
            return found[0][0] is not None and wanted.items() <= found[0][1].items()

        wait(is_found)
        return found[0]

    def call(self, kind: type, name: str, request: Any = None) -> Any:
        """Call one of the mapper's services and return its response."""
        client = self.node.create_client(kind, f"{self.mapper}/{name}")
        wait(client.service_is_ready)
        future = client.call_async(request or kind.Request())
        wait(future.done)
        return future.result()

    def trigger(self, name: str) -> Trigger.Response:
        return self.call(Trigger, name)

    def query(self, **region: float) -> PointCloud2:
        return self.call(GetPointMapROI, "query", GetPointMapROI.Request(**region)).sub_map

    def change_state(self, transition: int) -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, "change_state", request).success

    def stop(self) -> None:
        self._executor.shutdown()
        self._thread.join(PATIENCE_S)
        self.node.destroy_node()


class Survey(Peer):
    """Peer and mapper in this process."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__()
        defaults = {"diagnostics_period_s": 0.2, "publish_rate_hz": 20.0, "save_period_s": 0.05}
        values = defaults | {name.replace("__", "."): value for name, value in parameters.items()}
        self.mapper_node = CrackMapper([Parameter(name, value=value) for name, value in values.items()])
        self._mapper_executor = SingleThreadedExecutor()
        self._mapper_executor.add_node(self.mapper_node)
        self._mapper_thread = threading.Thread(target=self._mapper_executor.spin, daemon=True)
        self._mapper_thread.start()

    def start(self) -> Survey:
        """Configure and activate, then wait until the two nodes have discovered each other's topics."""
        assert self.in_mapper(self.mapper_node.trigger_configure).name == "SUCCESS"
        assert self.in_mapper(self.mapper_node.trigger_activate).name == "SUCCESS"
        self.wait_for_mapper()
        return self

    def in_mapper(self, action: Callable[[], Any]) -> Any:
        """Call a function in the thread of the mapper's executor, like its services."""
        task = self._mapper_executor.create_task(action)
        wait(task.done)
        return task.result()

    def stop(self) -> None:
        self._mapper_executor.shutdown()
        self._mapper_thread.join(PATIENCE_S)
        self.mapper_node.stop()
        self.mapper_node.destroy_node()
        super().stop()


@contextmanager
def survey(**parameters: Any) -> Iterator[Survey]:
    """Start a mapper and its peer."""
    flying = Survey(**parameters)
    try:
        yield flying.start()
    finally:
        flying.stop()


def wait(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Poll until the condition is met."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, "what the test waits for did not happen"
        time.sleep(0.01)
