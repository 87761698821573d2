# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""CameraInfo messages are matched with images by stamp and checked."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo

from crack_perception.errors import UserError
from crack_perception.geometry.camera.calibration import calibration_of
from crack_perception.ros.detector.camera_infos import CameraInfos, stamp_ns


def info(stamp_s: int, focal_px: float, width: int = 640, height: int = 480) -> CameraInfo:
    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [focal_px, 0.0, 319.5, 0.0, focal_px, 239.5, 0.0, 0.0, 1.0]
    message.header.stamp = Time(sec=stamp_s)
    return message


def test_stamp_ns_keeps_every_nanosecond() -> None:
    assert stamp_ns(Time(sec=1_800_000_000, nanosec=123_456_789)) == 1_800_000_000_123_456_789


def test_model_for_zooming_camera_has_the_intrinsics_of_each_image() -> None:
    infos = CameraInfos()
    for second, focal in enumerate((500.0, 600.0, 700.0), start=1):
        infos.push(info(second, focal))
    assert infos.model_for(2 * 10**9, 640, 480).focal_px == pytest.approx(600)
    # An image without a camera_info of its own takes the newest.
    assert infos.model_for(9 * 10**9, 640, 480).focal_px == pytest.approx(700)


def test_model_for_binned_window_is_the_image() -> None:
    message = info(1, 1000.0, width=640, height=480)
    message.binning_x = message.binning_y = 2
    message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height = 100, 80, 400, 300
    model = calibration_of(message).camera(is_rectified=False)
    assert (model.width_px, model.height_px) == (200, 150)
    assert model.k[0, 0] == pytest.approx(500)
    # A point on the axis hits sensor pixel 319.5, which is 219.5 in the window; binned pixel i covers 2 i and 2 i + 1.
    assert model.k[0, 2] == pytest.approx((219.5 - 0.5) / 2)


def test_model_for_missing_or_mismatched_info_names_the_remedy() -> None:
    infos = CameraInfos()
    with pytest.raises(UserError, match="Remap 'camera_info'"):
        infos.model_for(0, 640, 480)
    infos.push(info(1, 500.0))
    with pytest.raises(UserError, match="640x480 px but the image has 1280x960"):
        infos.model_for(10**9, 1280, 960)


def test_model_for_binning_of_binned_size_names_the_remedy() -> None:
    infos = CameraInfos()
    message = info(1, 500.0)
    message.binning_x = message.binning_y = 2
    infos.push(message)
    with pytest.raises(UserError, match="Set its binning to 0"):
        infos.model_for(10**9, 640, 480)


def test_model_for_rectified_images_takes_p() -> None:
    message = info(1, 600.0)
    message.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    message.p = [450.0, 0.0, 319.5, 0.0, 0.0, 450.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    topic = "/camera/image_rect"
    rectified, raw = CameraInfos(True, topic), CameraInfos(False, topic)
    for infos in (rectified, raw):
        infos.push(message)
    assert rectified.model_for(10**9, 640, 480).normalised([[319.5 + 225, 239.5]])[0] == pytest.approx([0.5, 0.0])
    assert rectified.warnings == []
    assert raw.model_for(10**9, 640, 480).focal_px == 600
    assert len(raw.warnings) == 1 and topic in raw.warnings[0] and "image_is_rectified" in raw.warnings[0]


def test_model_for_camera_info_of_another_camera_is_doubted() -> None:
    infos = CameraInfos()
    message = info(1, 600.0)
    message.header.frame_id = "rear_camera"
    infos.push(message)
    infos.model_for(10**9, 640, 480, "front_camera")
    assert "rear_camera" in infos.warnings[0] and "front_camera" in infos.warnings[0]
    for same in ("rear_camera", "/rear_camera", ""):
        infos.model_for(10**9, 640, 480, same)
        assert infos.warnings == []


def test_model_for_changed_focal_length_is_reported_once() -> None:
    infos = CameraInfos()
    reported = []
    for second, focal in enumerate((600.0, 600.0, 300.0, 300.0), start=1):
        infos.push(info(second, focal))
        infos.model_for(second * 10**9, 640, 480)
        reported.append(infos.warnings)
    assert [len(warnings) for warnings in reported] == [0, 0, 1, 0]
    assert "from 600 to 300 px" in reported[2][0]


def test_model_for_other_resolution_of_one_lens_is_not_reported() -> None:
    infos = CameraInfos()
    infos.push(info(1, 600.0))
    infos.model_for(10**9, 640, 480)
    half = info(2, 300.0, width=320, height=240)
    half.k[2], half.k[5] = 159.5, 119.5
    infos.push(half)
    infos.model_for(2 * 10**9, 320, 240)
    assert infos.warnings == []
