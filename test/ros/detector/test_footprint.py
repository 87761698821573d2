"""The footprint as a message."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from crack_perception.ros.detector.footprint import footprint

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="camera")


def test_corners_keep_their_order_in_the_map_frame() -> None:
    message = footprint(HEADER, "site", np.array([[0.5, 1, 2], [3, 4, 5], [6, 7, 8.25]]))
    assert (message.header.frame_id, message.header.stamp) == ("site", HEADER.stamp)
    assert [(p.x, p.y, p.z) for p in message.polygon.points] == [(0.5, 1, 2), (3, 4, 5), (6, 7, 8.25)]


def test_an_unknown_footprint_is_an_empty_polygon() -> None:
    assert footprint(HEADER, "map", np.empty((0, 3))).polygon.points == []
