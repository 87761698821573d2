# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Image messages to frames and back, and agreement with cv_bridge where it exists."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from crack_perception.errors import UserError
from crack_perception.ros.detector.image_conversion import FrameConverter, ImageInput, VideoFrame
from crack_perception.ros.detector.image_messages import image_message, jpeg_message
from crack_perception.vision.images.encodings import SUPPORTED_ENCODINGS, BadImage


def picture(height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_frame_of_bgr8_is_a_view_and_unchanged() -> None:
    message = image_message(picture(), Header(frame_id="camera"))
    frame = FrameConverter().frame_of(message)
    assert np.array_equal(frame, picture())
    assert np.shares_memory(frame, np.frombuffer(message.data, np.uint8))
    assert isinstance(message.data, array.array) and message.header.frame_id == "camera"


def test_image_message_of_a_slice_is_complete() -> None:
    part = picture(40, 60)[5:25, 10:40]
    assert np.array_equal(FrameConverter().frame_of(image_message(part, Header())), part)


def test_jpeg_message_has_the_format_of_image_transport() -> None:
    smooth = np.full((48, 64, 3), (40, 120, 200), np.uint8)
    message = jpeg_message(smooth, Header(), 90)
    assert message.format == "bgr8; jpeg compressed bgr8"
    assert np.max(np.abs(FrameConverter().frame_of(message).astype(int) - smooth)) <= 3


def test_frame_of_thermal_image_is_refused_unless_declared_as_visible_light() -> None:
    counts = np.random.default_rng(5).integers(28_000, 30_500, (120, 160)).astype("<u2")
    message = Image(header=Header(frame_id="camera"), height=120, width=160, encoding="mono16", step=320)
    message.data = array.array("B", counts.tobytes())
    with pytest.raises(BadImage, match="temperatures of a thermal camera"):
        FrameConverter().frame_of(message)
    assert FrameConverter(image_bits=16).frame_of(message).shape == (120, 160, 3)
    assert FrameConverter(is_visible_light=True).frame_of(message).shape == (120, 160, 3)


def test_frame_of_compressed_temperatures_is_refused_unless_declared_as_visible_light() -> None:
    counts = np.random.default_rng(5).integers(28_000, 30_500, (120, 160)).astype(np.uint16)
    png = cv2.imencode(".png", counts)[1].tobytes()
    message = CompressedImage(header=Header(frame_id="camera"), format="mono16; png compressed ", data=png)
    with pytest.raises(BadImage, match="temperatures of a thermal camera"):
        FrameConverter().frame_of(message)
    assert FrameConverter(image_bits=16).frame_of(message).shape == (120, 160, 3)
    message.format = "16UC1; png compressed "
    with pytest.raises(BadImage, match="thermal or depth"):
        FrameConverter(image_bits=16).frame_of(message)


def thermal_messages() -> list[ImageInput]:
    """Return pictures of a thermal camera in every form: a palette, grey after a gain control, a JPEG, a video."""
    import av

    header = Header(frame_id="boson_camera")
    palette, grey = image_message(picture(), header), image_message(picture()[..., :1].copy(), header)
    grey.encoding, grey.step = "mono8", 32
    video = VideoFrame(header, av.VideoFrame.from_ndarray(picture(), format="bgr24"))
    return [palette, grey, jpeg_message(picture(), header, 90), video]


@pytest.mark.parametrize("number", range(4))
def test_frame_of_a_thermal_camera_is_refused_in_every_form_by_frame_and_topic(number: int) -> None:
    pytest.importorskip("av", reason="PyAV is not installed (extra 'video')")
    message = thermal_messages()[number]
    with pytest.raises(BadImage, match="frame 'boson_camera' are thermal"):
        FrameConverter(image_bits=8).frame_of(message)
    assert FrameConverter(is_visible_light=True).frame_of(message).shape == (24, 32, 3)
    message.header.frame_id = "camera"
    with pytest.raises(BadImage, match="topic '/uav_1/thermal/image' are thermal"):
        FrameConverter(topic="/uav_1/thermal/image").frame_of(message)
    assert FrameConverter(topic="/isothermal_wall/image").frame_of(message).shape == (24, 32, 3)


def test_converter_missing_cv_bridge_is_refused() -> None:
    try:
        import cv_bridge  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="set image_bridge to 'own'"):
            FrameConverter("cv_bridge")
    else:
        FrameConverter("cv_bridge")


@pytest.mark.parametrize("encoding", [e for e in SUPPORTED_ENCODINGS if e.endswith("8") and "bayer" not in e])
def test_frame_of_builtin_converter_equals_cv_bridge(encoding: str) -> None:
    pytest.importorskip("cv_bridge", reason="cv_bridge is not installed")
    channels = {"mono8": 1}.get(encoding, 4 if "a8" in encoding else 3)
    data = np.random.default_rng(3).integers(0, 256, (24, 32 * channels), dtype=np.uint8)
    message = Image(height=24, width=32, encoding=encoding, step=32 * channels, data=data.tobytes())
    assert np.array_equal(FrameConverter("own").frame_of(message), FrameConverter("cv_bridge").frame_of(message))


def test_frame_of_damaged_jpeg_is_a_bad_image() -> None:
    smooth = np.random.default_rng(5).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    message = jpeg_message(smooth, Header(), 90)
    data = message.data.tobytes()
    message.data = data[: len(data) // 3] + data[2 * len(data) // 3 :]
    with pytest.raises(BadImage, match="the JPEG is damaged"):
        FrameConverter().frame_of(message)


def test_frame_of_compressed_bayer_is_demosaiced() -> None:
    red = np.zeros((48, 64), np.uint8)
    red[0::2, 0::2] = 200
    message = CompressedImage(format="bayer_rggb8; png compressed ", data=cv2.imencode(".png", red)[1].tobytes())
    assert FrameConverter().frame_of(message)[10:-10, 10:-10].mean(axis=(0, 1)).tolist() == [0.0, 0.0, 200.0]


def test_frame_of_mono16_keeps_one_scale_from_frame_to_frame() -> None:
    converter = FrameConverter()
    bright = np.linspace(0, 4000, 24 * 32).astype(np.uint16).reshape(24, 32)
    frames = [
        converter.frame_of(Image(height=24, width=32, encoding="mono16", step=64, data=samples.tobytes()))
        for samples in (bright, bright // 8, bright)
    ]
    assert np.array_equal(frames[0], frames[2])
    assert frames[0].max() == 4000 >> 4
    assert frames[1].max() == 500 >> 4


@pytest.mark.parametrize("encoding", ["bgr8", "mono8", "yuyv", "nv12", "bayer_rggb8", "mono16"])
def test_frame_of_buffer_without_picture_is_a_bad_image(encoding: str) -> None:
    step = 64 * {"bgr8": 3, "yuyv": 2, "mono16": 2}.get(encoding, 1)
    rows = 72 if encoding == "nv12" else 48
    message = Image(height=48, width=64, encoding=encoding, step=step, data=bytes(step * rows))
    with pytest.raises(BadImage, match="all of its pixels have the same colour"):
        FrameConverter().frame_of(message)
    noise = np.random.default_rng(3).integers(90, 120, (rows, step), dtype=np.uint8)
    message.data = noise.tobytes()
    FrameConverter().frame_of(message)
    noise[12:34] = 0
    message.data = noise.tobytes()
    if encoding != "nv12":  # its colours are stored apart and remain
        with pytest.raises(BadImage, match=r"rows 1[2-5] to 3[0-3] have the same colour"):
            FrameConverter().frame_of(message)


def test_frame_of_refused_frame_leaves_the_scale_of_the_next() -> None:
    samples = np.linspace(0, 4000, 24 * 32).astype(np.uint16)
    good = Image(height=24, width=32, encoding="mono16", step=64, data=samples.tobytes())
    alone = FrameConverter().frame_of(good)
    converter = FrameConverter()
    with pytest.raises(BadImage, match="same colour"):
        converter.frame_of(Image(height=24, width=32, encoding="mono16", step=64, data=b"\xff" * 1536))
    assert np.array_equal(converter.frame_of(good), alone)


@pytest.mark.parametrize(("width", "height"), [(1, 480), (640, 15)])
def test_frame_of_too_small_image_is_a_bad_image(width: int, height: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    message = Image(width=width, height=height, encoding="bgr8", step=3 * width, data=pixels.tobytes())
    with pytest.raises(BadImage, match=f"too small to show a crack \\({width}x{height} px"):
        FrameConverter().frame_of(message)
