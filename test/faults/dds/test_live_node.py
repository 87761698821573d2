# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Seeded damaged messages over DDS to a live node: afterwards good frames give what they give in a fresh node."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from faulty_messages import Mutation, picture_bytes
from flying_node import FOCAL_PX, FRAME_ID, HEIGHT_PX, WIDTH_PX, Flight, TakeOff, wall
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Range
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from crack_perception.ros.detector.image_messages import image_message

pytestmark = pytest.mark.slow

MESSAGES = int(os.environ.get("CRACK_PERCEPTION_DDS_FAULTS", "100"))
"""For both transports together."""
PARTS = ("processed", "dropped", "failed", "skipped", "in_progress")
RANGE_M = 2.0
GOOD_FRAMES = 3
PATIENCE_S = 5.0
SETTLING_FRAMES = 10
"""At most so many good frames may pass before the node works as if nothing had been."""
# Two nodes are compared on what one frame alone gives. The surface is learnt from the frames before, and lines are
# measured only as far as the machine has time between two frames.
PARAMETERS: dict[str, Any] = {"learn_surface": False, "measure_lines": False, "frame_budget_ms": 0.0}


class Inputs:
    """One moment's messages for a flying node, any of which may be spoiled before it is published."""

    def __init__(self, flight: Flight, is_compressed: bool) -> None:
        self._flight = flight
        self._is_compressed = is_compressed
        self._tf = flight.peer.create_publisher(TFMessage, "/tf", 10)
        self._publishers = {
            "tf": self._tf,
            "pose": flight.poses,
            "range": flight.ranges,
            "camera_info": flight.camera_infos,
            "image": flight.images,
        }
        flight.wait(lambda: all(p.get_subscription_count() for p in self._publishers.values()))

    def messages(self, numbers: random.Random | None = None) -> dict[str, Any]:
        """A good message of every input, all with the next stamp; pictures in any format with random numbers."""
        stamp = self._flight.stamp()
        header = Header(stamp=stamp, frame_id=FRAME_ID)
        k = [FOCAL_PX, 0.0, (WIDTH_PX - 1) / 2, 0.0, FOCAL_PX, (HEIGHT_PX - 1) / 2, 0.0, 0.0, 1.0]
        transform = TransformStamped(header=Header(stamp=stamp, frame_id="map"), child_frame_id=FRAME_ID)
        rotation = transform.transform.rotation
        rotation.x, rotation.y, rotation.z, rotation.w = -0.5, 0.5, -0.5, 0.5
        transform.transform.translation.z = 1.0
        pose = PoseStamped(header=Header(stamp=stamp, frame_id="map"))
        pose.pose.position.z = 1.0
        return {
            "tf": TFMessage(transforms=[transform]),
            "pose": pose,
            "range": Range(header=header, min_range=0.1, max_range=30.0, range=RANGE_M),
            "camera_info": CameraInfo(
                header=header, width=WIDTH_PX, height=HEIGHT_PX, k=k, d=[0.0] * 5, distortion_model="plumb_bob"
            ),
            "image": self._picture(header, numbers),
        }

    def publish(self, messages: dict[str, Any]) -> None:
        """Publish them, the image last."""
        for name, message in messages.items():
            self._publishers[name].publish(message)

    def _picture(self, header: Header, numbers: random.Random | None) -> Image | CompressedImage:
        if not self._is_compressed:
            return image_message(wall(), header)
        if numbers is None:
            data, announced = cv2.imencode(".png", wall())[1].tobytes(), "bgr8; png compressed bgr8"
        else:
            data, announced = picture_bytes(wall(), numbers)
        return CompressedImage(header=header, format=announced, data=data)


def damaged_messages(inputs: Inputs, numbers: random.Random) -> dict[str, Any]:
    """A moment's messages, one of them spoiled in a way that the transport can carry."""
    while True:
        messages = inputs.messages(numbers)
        spoiled = messages[numbers.choice(list(messages))]
        Mutation(numbers).spoil(spoiled)
        try:
            serialize_message(spoiled)
        except (SystemError, OverflowError, ValueError, UnicodeError, RuntimeError):
            continue
        return messages


def received(flight: Flight) -> int:
    return flight.node._statistics.snapshot(0.0).received


def fly_good_frame(flight: Flight, inputs: Inputs) -> tuple[Any, Any]:
    """Publish a good frame between good poses, as a drone does, and return its 2D and 3D detections."""
    before, now, after = inputs.messages(), inputs.messages(), inputs.messages()
    stamp = now["image"].header.stamp
    for messages in (before, after):
        del messages["image"], messages["range"], messages["camera_info"]
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).in_progress == 0)
    inputs.publish(before)
    image = now.pop("image")
    inputs.publish(now)
    inputs.publish(after)
    flight.wait_for_inputs(stamp, True)
    inputs.publish({"image": image})

    def flat() -> list[Any]:
        return [message for message in flight.received["detections"] if message.header.stamp == stamp]

    flight.wait(lambda: bool(flat()))
    return flat()[0], flight.located(stamp)


RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""Tolerances of equal numbers: a pose between two others depends by rounding errors on their stamps."""


def anonymous(message: Any) -> Any:
    """Detections without stamps, by which alone two flights differ."""
    if message is None:
        return None
    message.header.stamp.sec = message.header.stamp.nanosec = 0
    for detection in message.detections:
        detection.header.stamp.sec = detection.header.stamp.nanosec = 0
        detection.id = ""
    return message


def differences(message: Any, wanted: Any, path: str = "") -> list[str]:
    """Fields in which two messages differ."""
    if hasattr(message, "get_fields_and_field_types") and type(message) is type(wanted):
        return [
            difference
            for field in message.get_fields_and_field_types()
            for difference in differences(getattr(message, field), getattr(wanted, field), f"{path}.{field}")
        ]
    if isinstance(message, list) and isinstance(wanted, list) and len(message) == len(wanted):
        return [
            difference
            for index, pair in enumerate(zip(message, wanted, strict=True))
            for difference in differences(*pair, f"{path}[{index}]")
        ]
    return [] if _is_equal(message, wanted) else [f"{path}: {message} instead of {wanted}"]


def _is_equal(value: Any, wanted: Any) -> bool:
    values = np.asarray(value), np.asarray(wanted)
    if all(v.dtype.kind == "f" for v in values) and values[0].shape == values[1].shape:
        return bool(np.allclose(*values, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True))
    return np.array_equal(*values)


def good_frames(flight: Flight, inputs: Inputs) -> list[Any]:
    """Detections of good frames, from the first that has a place in the map on."""
    # On a busy machine poses come later than a drone could wait for them.
    flight.in_node(lambda: flight.node.set_parameters([Parameter("pose_timeout_s", value=PATIENCE_S)]))
    for _ in range(SETTLING_FRAMES):
        if fly_good_frame(flight, inputs)[1] is not None:
            break
    return [[anonymous(message) for message in fly_good_frame(flight, inputs)] for _ in range(GOOD_FRAMES)]


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_node_after_damaged_messages_over_dds_gives_the_results_of_a_fresh_node(
    take_off: TakeOff, transport: str
) -> None:
    parameters = {**PARAMETERS, "image_transport": transport, "diagnostics_period_s": 0.1}
    flight = take_off(**parameters).start()
    inputs = Inputs(flight, transport == "compressed")
    numbers = random.Random(2024)
    published = 0
    for _ in range(MESSAGES // 2):
        messages = damaged_messages(inputs, numbers)
        before = received(flight)
        inputs.publish(messages)
        published += 1
        # The transport may lose an image that is published faster than it is taken.
        flight.wait(lambda before=before: received(flight) > before, 1.0, required=False)
    flight.wait(lambda: flight.node._statistics.snapshot(0.0).in_progress == 0)
    assert received(flight) > 0.9 * published
    for message in flight.received["diagnostics"]:
        figures = {value.key: value.value for value in message.status[0].values}
        names = [f"frames_{part}" if part != "skipped" else "frames_skipped_hovering" for part in PARTS]
        assert sum(int(figures[name]) for name in names) == int(figures["frames_received"])
    assert "problems_internal" not in figures, flight.node._health.last_texts()

    time.sleep(0.5)  # a node keeps no more of what arrives late than of what arrived
    live = good_frames(flight, inputs)
    for end in (flight.node.trigger_deactivate, flight.node.trigger_cleanup):
        assert flight.in_node(end).name == "SUCCESS"
    fresh_flight = take_off(**parameters).start()
    fresh = good_frames(fresh_flight, Inputs(fresh_flight, transport == "compressed"))
    assert live[-1][1] is not None and live[-1][1].detections, "the good frames have no place in the map"
    for of_live, of_fresh in zip(live, fresh, strict=True):
        for message, wanted in zip(of_live, of_fresh, strict=True):
            assert differences(message, wanted) == []
    assert np.isfinite([detection.bbox.center.position.x for detection in live[-1][1].detections]).all()
