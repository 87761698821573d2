# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The node over real DDS: what it publishes, when it stays silent, and what it survives."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import flying_node
import rclpy
from flying_node import FOCAL_PX, HEIGHT_PX, WIDTH_PX, TakeOff, wall
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from crack_perception.ros.detector.image_messages import image_message


def test_node_crack_has_box_and_location(take_off: TakeOff) -> None:
    flight = take_off(camera_extrinsic__translation=[0.2, 0.0, 0.0]).start()
    stamp = flight.fly_one_frame(range_m=2.0)

    array = next(m for m in flight.received["detections"] if m.header.stamp == stamp)
    assert array.header.frame_id == flying_node.FRAME_ID
    (detection,) = array.detections
    assert detection.bbox.center.position.x == pytest.approx((WIDTH_PX - 1) / 2, abs=33)
    assert detection.bbox.center.position.y == pytest.approx(119, abs=33)
    assert detection.bbox.size_x > detection.bbox.size_y
    # 2 px at 2 m / 300 px are 13 mm, far above 0.1 mm.
    assert detection.results[0].hypothesis.class_id == "obvious"
    assert detection.results[0].hypothesis.score == max(r.hypothesis.score for r in detection.results)

    located = flight.located(stamp)
    assert located is not None and located.header.frame_id == "map"
    (in_map,) = located.detections
    assert in_map.id == detection.id
    # The middle of the line: the camera looks at it, but that it is half a pixel above the middle of the image.
    position = in_map.bbox.center.position
    assert [position.x, position.y, position.z] == pytest.approx([2.2, 0.0, 1 + 2 * 0.5 / FOCAL_PX], abs=0.01)
    from_camera = detection.results[0].pose.pose.position
    assert [from_camera.x, from_camera.y, from_camera.z] == pytest.approx([0.0, -1.0 / FOCAL_PX, 2.0], abs=0.01)
    # The line is 3 px wide, the tiny model says 2.
    assert 2.0 < in_map.bbox.size.y / (2.0 / FOCAL_PX) < 3.1
    covariance = np.array(in_map.results[0].pose.covariance).reshape(6, 6)
    assert np.all(np.linalg.eigvalsh(covariance) > 0)
    # Along the optical axis the rangefinder decides: 1 cm and 2 % of 2 m.
    assert np.sqrt(covariance[0, 0]) == pytest.approx(np.hypot(0.05, 0.02), rel=0.15)


def test_node_every_processed_frame_has_an_array(take_off: TakeOff) -> None:
    flight = take_off().start()
    stamp = flight.fly_one_frame(frame=wall(crack=False))
    assert next(m for m in flight.received["detections"] if m.header.stamp == stamp).detections == []
    located = flight.located(stamp)
    assert located is not None and located.detections == []


def test_diagnostics_report_model_backend_and_counters(take_off: TakeOff) -> None:
    flight = take_off(inference_threads=2).start()
    flight.fly_one_frame()
    figures = flight.figures()
    assert figures["state"] == "active"
    assert int(figures["frames_received"]) == int(figures["frames_processed"]) == 1
    assert figures["frames_dropped"] == figures["frames_failed"] == "0"
    assert (figures["tiles_processed"], figures["tiles_skipped"], figures["tile_coverage"]) == ("20", "0", "1.000")
    assert figures["model_name"] == "tiny" and len(figures["model_sha256"]) == 64
    assert figures["backend"].startswith("onnxruntime")
    assert figures["backend_threads"] == "2" and figures["backend_tiles_per_call"] in ("2", "4", "8")
    assert figures["pose_source"] == "pose" and figures["range_source"] == "range"
    assert float(figures["gsd_mm_per_px"]) == pytest.approx(2000 / FOCAL_PX, rel=0.01)


def test_node_without_pose_or_range_reports_2d_results(take_off: TakeOff) -> None:
    flight = take_off().start()
    stamp = flight.stamp()
    flight.send_camera_info(stamp)
    flight.send_image(stamp, wall())
    flight.wait(lambda: len(flight.received["detections"]) == 1)
    (detection,) = flight.received["detections"][0].detections
    assert detection.results[0].hypothesis.class_id == "undetermined"
    assert flight.located(stamp) is None
    figures = flight.figures()
    assert figures["pose_source"] == "none" and figures["range_source"] == "none"
    assert int(figures["problems_no_pose"]) >= 1
    # Published at once; a few seconds later it is no longer in the message.
    flight.wait(lambda: any("pose is unknown" in sent.status[0].message for sent in flight.received["diagnostics"]))


def test_node_stale_pose_is_not_used(take_off: TakeOff) -> None:
    flight = take_off(pose_timeout_s=0.05).start()
    flight.fly_one_frame()
    stamp = flight.stamp()
    flight.send_camera_info(stamp)
    flight.send_range(stamp, 2.0)
    flight.send_image(stamp, wall())
    flight.wait(lambda: len(flight.received["detections"]) == 2)
    assert flight.located(stamp) is None


def test_node_invalid_poses_and_ranges_are_refused(take_off: TakeOff) -> None:
    flight = take_off(standoff_m=0.0, pose_timeout_s=0.05).start()
    stamp = flight.stamp()
    flight.send_pose(stamp, x=float("nan"))
    flight.send_pose(stamp, frame_id="odom")
    flight.send_range(stamp, 0.0)
    flight.send_range(stamp, float("inf"))
    flight.wait(lambda: {"problems_pose_rejected", "problems_range_rejected"} <= flight.figures().keys())
    figures = flight.figures()
    assert (figures["problems_pose_rejected"], figures["problems_range_rejected"]) == ("2", "2")
    stamp = flight.fly_one_frame()
    assert flight.located(stamp) is not None


def test_node_standoff_is_used_without_range(take_off: TakeOff) -> None:
    flight = take_off(standoff_m=4.0).start()
    stamp = flight.fly_one_frame(range_m=None)
    located = flight.located(stamp)
    assert located is not None
    assert located.detections[0].bbox.center.position.x == pytest.approx(4.0, abs=1e-6)
    assert flight.figures()["range_source"] == "standoff"


@pytest.mark.parametrize(
    ("encoding", "dtype", "unit", "range_m"), [("16UC1", np.uint16, 1000.0, 2.0), ("32FC1", np.float32, 1.0, None)]
)
def test_node_depth_takes_precedence_over_range(
    take_off: TakeOff, encoding: str, dtype: type, unit: float, range_m: float | None
) -> None:
    flight = take_off().start()
    flight.wait(lambda: flight.depths.get_subscription_count() > 0)
    first, stamp = flight.stamp(), flight.stamp()
    depth = np.full((HEIGHT_PX, WIDTH_PX), 3.0 * unit).astype(dtype)
    depth[:40] = 0
    message = Image(header=Header(stamp=stamp), height=HEIGHT_PX, width=WIDTH_PX, encoding=encoding)
    message.step = WIDTH_PX * depth.itemsize
    message.data.frombytes(depth.tobytes())
    flight.depths.publish(message)
    flight.send_pose(first)
    flight.send_pose(stamp)
    if range_m is not None:
        flight.send_range(stamp, range_m)
    flight.send_camera_info(stamp)
    flight.wait(lambda: len(flight.node._surfaces._depths.stamps_ns) == 1)
    flight.send_image(stamp, wall())
    flight.wait(lambda: flight.located(stamp) is not None)
    located = flight.located(stamp)
    assert located is not None
    assert located.detections[0].bbox.center.position.x == pytest.approx(3.0, abs=1e-3)
    figures = flight.figures()
    assert figures["range_source"] == "depth" and "problems_no_range" not in figures


def test_node_bad_images_are_counted_and_the_next_is_processed(take_off: TakeOff) -> None:
    flight = take_off().start()
    good = image_message(wall(), Header(stamp=flight.stamp(), frame_id=flying_node.FRAME_ID))
    bad: list[dict[str, Any]] = [
        {"encoding": "32FC3"},
        {"step": 7},
        {"height": HEIGHT_PX + 1},
        {"width": 0, "height": 0},
    ]
    for count, changes in enumerate(bad, start=1):
        message = Image(
            header=good.header,
            height=good.height,
            width=good.width,
            encoding=good.encoding,
            step=good.step,
            data=good.data,
        )
        for name, value in changes.items():
            setattr(message, name, value)
        flight.images.publish(message)
        flight.wait(lambda count=count: int(flight.figures()["frames_failed"]) == count)
    assert flight.received["detections"] == []
    flight.fly_one_frame()
    assert int(flight.figures()["frames_processed"]) == 1


def test_node_truncated_jpeg_is_refused(take_off: TakeOff) -> None:
    flight = take_off(image_transport="compressed").start()
    whole = cv2.imencode(".jpg", wall())[1].tobytes()
    stamp = flight.stamp()
    flight.images.publish(CompressedImage(header=Header(stamp=stamp), format="jpeg", data=whole[: len(whole) // 2]))
    flight.wait(lambda: flight.figures()["frames_failed"] == "1")
    stamp = flight.stamp()
    flight.images.publish(CompressedImage(header=Header(stamp=stamp), format="jpeg", data=whole))
    flight.wait(lambda: len(flight.received["detections"]) == 1)
    assert flight.received["detections"][0].header.stamp == stamp
    assert len(flight.received["detections"][0].detections) == 1


@pytest.mark.parametrize(
    "changes", [{"width": WIDTH_PX * 2}, {"k": [0.0] * 9}, {"distortion_model": "crystal_ball"}, {"d": [0.1] * 3}]
)
def test_node_unusable_camera_info_gives_2d_results(take_off: TakeOff, changes: dict[str, Any]) -> None:
    flight = take_off().start()
    good = flight.fly_one_frame()
    assert flight.located(good) is not None
    before, stamp = flight.stamp(), flight.stamp()
    flight.send_pose(before)
    flight.send_pose(stamp)
    flight.send_range(stamp, 2.0)
    flight.send_camera_info(stamp, **changes)
    flight.wait(lambda: flight.node._processor._cameras._latest.header.stamp == stamp)
    flight.send_image(stamp, wall())
    flight.wait(lambda: len(flight.received["detections"]) == 2)
    assert flight.located(stamp) is None
    assert int(flight.figures()["problems_camera_info"]) >= 1


def test_node_pictures_and_markers_need_a_subscriber(take_off: TakeOff) -> None:
    flight = take_off().start()
    flight.watch_pictures()
    stamp = flight.fly_one_frame()
    for name in ("annotated", "annotated/compressed", "markers"):
        flight.wait(lambda name=name: len(flight.received[name]) > 0)
    picture = flight.received["annotated"][0]
    assert (picture.width, picture.height, picture.header.stamp) == (WIDTH_PX, HEIGHT_PX, stamp)
    drawn = np.frombuffer(picture.data, np.uint8).reshape(HEIGHT_PX, WIDTH_PX, 3)
    assert np.any(drawn != wall())
    decoded = cv2.imdecode(np.frombuffer(flight.received["annotated/compressed"][0].data, np.uint8), cv2.IMREAD_COLOR)
    assert np.mean(np.abs(decoded.astype(int) - drawn)) < 5
    assert {marker.ns for marker in flight.received["markers"][0].markers} == {"", "cracks", "labels"}


def test_diagnostics_missing_images_are_explained(take_off: TakeOff) -> None:
    flight = take_off(no_image_warning_s=0.5).start()
    flight.in_peer(lambda: flight.peer.destroy_publisher(flight.images))
    flight.wait(lambda: "problems_no_image" in flight.figures())
    flight.wait(lambda: "nobody publishes" in flight.received["diagnostics"][-1].status[0].message)
    # One process cannot hold two types of one topic, so the wrong publisher gets a participant of its own.
    context = rclpy.Context()
    context.init()
    camera = Node("compressed_camera", context=context)
    camera.create_publisher(CompressedImage, "/image", 10)
    flight.wait(lambda: "Set image_transport" in flight.received["diagnostics"][-1].status[0].message)
    camera.destroy_node()
    context.shutdown()
