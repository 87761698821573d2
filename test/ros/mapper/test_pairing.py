# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Messages of one frame find each other whatever their order, and nothing waits for ever."""

from __future__ import annotations

from itertools import permutations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from geometry_msgs.msg import PolygonStamped
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3DArray

from crack_perception.ros.mapper.pairing import FramePairing

MESSAGES = {"detections": Detection3DArray(), "footprint": PolygonStamped(), "points": PointCloud2()}
TIMEOUT_S = 0.5


@pytest.mark.parametrize("order", list(permutations(MESSAGES)))
def test_put_last_message_completes_the_frame_in_any_order(order: tuple[str, ...]) -> None:
    pairing = FramePairing(TIMEOUT_S)
    for name in order[:2]:
        assert pairing.put(7, 0.0, **{name: MESSAGES[name]}) == []
    (frame,) = pairing.put(7, 0.0, **{order[2]: MESSAGES[order[2]]})
    assert frame.is_complete and frame.detections is MESSAGES["detections"]
    assert pairing.rest() == []


def test_put_two_stamps_are_kept_apart() -> None:
    pairing = FramePairing(TIMEOUT_S)
    pairing.put(1, 0.0, points=MESSAGES["points"])
    pairing.put(2, 0.0, footprint=MESSAGES["footprint"])
    pairing.put(2, 0.0, detections=MESSAGES["detections"])
    (frame,) = pairing.overdue(TIMEOUT_S)
    assert frame.points is None and frame.footprint is not None


def test_overdue_releases_detections_after_the_timeout() -> None:
    pairing = FramePairing(TIMEOUT_S)
    pairing.put(1, 10.0, detections=MESSAGES["detections"])
    assert pairing.overdue(10.0 + 0.9 * TIMEOUT_S) == []
    (frame,) = pairing.overdue(10.0 + TIMEOUT_S)
    assert frame.detections is not None and not frame.is_complete
    assert pairing.overdue(100.0) == [] and pairing.incomplete == 0


def test_overdue_without_detections_is_dropped_and_counted() -> None:
    pairing = FramePairing(TIMEOUT_S)
    pairing.put(1, 0.0, points=MESSAGES["points"])
    assert pairing.overdue(TIMEOUT_S) == [] and pairing.incomplete == 1


def test_put_over_capacity_releases_the_oldest_frame() -> None:
    pairing = FramePairing(TIMEOUT_S)
    given_up = [f for stamp in range(200) for f in pairing.put(stamp, 0.0, detections=Detection3DArray())]
    assert len(given_up) + len(pairing.rest()) == 200
    assert 100 < len(given_up) < 200


def test_put_repeated_stamp_is_a_new_frame() -> None:
    pairing = FramePairing(TIMEOUT_S)
    for _ in range(2):
        complete = [frame for name in MESSAGES for frame in pairing.put(5, 0.0, **{name: MESSAGES[name]})]
        assert len(complete) == 1
