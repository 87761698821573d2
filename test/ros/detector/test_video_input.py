# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Video packets of topics: decoding in a thread, falling behind, damaged messages, missing packages."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("av", reason="PyAV is not installed (extra 'video')")
pytest.importorskip("ffmpeg_image_transport_msgs", reason="ffmpeg_image_transport_msgs is not installed")

from builtin_interfaces.msg import Time
from ffmpeg_image_transport_msgs.msg import FFMPEGPacket
from patience import wait_for
from stack_publishers import VideoEncoder
from std_msgs.msg import Header

from crack_perception.ros.detector.image_conversion import FrameConverter, VideoFrame
from crack_perception.ros.detector.video_input import VideoInput


def packets() -> Iterator[FFMPEGPacket]:
    encoder = VideoEncoder()
    second = 0
    while True:
        data, number, is_keyframe = encoder.packet()
        message = FFMPEGPacket(header=Header(stamp=Time(sec=second), frame_id="camera"), encoding="libx264")
        message.pts, message.flags = number, int(is_keyframe)
        message.data.frombytes(data)
        yield message
        second += 1


def test_video_input_pictures_have_the_headers_of_their_packets() -> None:
    frames: list[VideoFrame] = []
    video = VideoInput(frames.append, lambda reason: None)
    for _, message in zip(range(7), packets(), strict=False):
        video.take(message)
    wait_for(lambda: len(frames) == 7)
    video.stop()
    assert [frame.header.stamp.sec for frame in frames] == list(range(7))
    assert FrameConverter().frame_of(frames[-1]).shape == (240, 320, 3)


def test_video_input_that_falls_behind_goes_on_at_a_keyframe_and_reports_it() -> None:
    frames: list[VideoFrame] = []
    reasons: list[str] = []
    goes_on = threading.Event()

    def take(frame: VideoFrame) -> None:
        goes_on.wait()
        frames.append(frame)

    video = VideoInput(take, reasons.append)
    stream = packets()
    for _, message in zip(range(120), stream, strict=False):
        video.take(message)
    goes_on.set()
    wait_for(lambda: any("not decoded fast enough" in reason for reason in reasons))
    seen = len(frames)

    def feed() -> bool:
        video.take(next(stream))
        return len(frames) > seen

    wait_for(feed)
    video.stop()
    # Every fifth packet is a keyframe.
    assert frames[seen].header.stamp.sec % 5 == 0
    assert int(video.figures()["video_packets_before_keyframe"]) <= 4


def test_video_input_damaged_messages_are_refused_and_the_thread_goes_on() -> None:
    frames: list[VideoFrame] = []
    reasons: list[str] = []
    video = VideoInput(frames.append, reasons.append)
    stream = packets()
    for encoding in ("theora", ""):
        message = next(packets())
        message.encoding = encoding
        video.take(message)
    broken = next(packets())
    broken.data = broken.data[:40]
    video.take(broken)
    for _, message in zip(range(6), stream, strict=False):
        video.take(message)
    wait_for(lambda: len(frames) >= 1)
    video.stop()
    assert len(reasons) >= 3 and "'theora'" in reasons[0]


WITHOUT = """
import sys
sys.modules[{module!r}] = None
from crack_perception.errors import UserError
from crack_perception.ros.detector.video_input import message_type
try:
    message_type("ffmpeg")
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "remedy"),
    [("av", "pip install av"), ("ffmpeg_image_transport_msgs.msg", "ros-$ROS_DISTRO-ffmpeg-image-transport-msgs")],
)
def test_message_type_without_a_package_names_the_remedy(module: str, remedy: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0 and remedy in done.stdout, done.stdout + done.stderr
