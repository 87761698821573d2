# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Video packets from topics, decoded in a thread so that neither the executor nor the model waits for them.

Every packet must be decoded, also those whose pictures are not processed, because the later ones refer to them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from std_msgs.msg import Header

from crack_perception.errors import UserError
from crack_perception.ros.detector.image_conversion import VideoFrame
from crack_perception.vision.images.encodings import BadImage
from crack_perception.vision.images.video_packets import PacketDecoder, check_installed, packet_in

try:
    from ffmpeg_image_transport_msgs.msg import FFMPEGPacket
except ImportError:
    FFMPEGPacket = None
try:
    from foxglove_msgs.msg import CompressedVideo
except ImportError:
    CompressedVideo = None

# Two seconds of 30 Hz: a decoder that is further behind starts again at a keyframe.
_MOST_WAITING = 60
_STOP_TIMEOUT_S = 5.0

TRANSPORTS = {"ffmpeg": "FFMPEGPacket", "foxglove": "CompressedVideo"}
"""Transport -> name of its message type."""


def message_type(transport: str) -> Any:
    """Return the message type of a video transport.

    Raises:
        UserError: Its package, or PyAV, is not installed.
    """
    kinds = {"ffmpeg": FFMPEGPacket, "foxglove": CompressedVideo}
    if kinds[transport] is None:
        package = {"ffmpeg": "ffmpeg_image_transport_msgs", "foxglove": "foxglove_msgs"}[transport]
        raise UserError(
            f"image_transport is '{transport}' but {package} cannot be imported",
            f"Install it (ros-$ROS_DISTRO-{package.replace('_', '-')}), or use image_transport 'raw' or 'compressed'",
        )
    check_installed()
    return kinds[transport]


def header_of(message: Any) -> Header:
    """Return the header of the picture in an FFMPEGPacket or CompressedVideo."""
    if hasattr(message, "header"):
        return message.header
    return Header(stamp=message.timestamp, frame_id=message.frame_id)


class VideoInput:
    """Decode the packets of one topic.

    Args:
        on_frame: Called with every picture, in the decoder's thread; must return at once.
        on_refused: Called with the reason for every packet that gives no picture.
    """

    def __init__(self, on_frame: Callable[[VideoFrame], object], on_refused: Callable[[str], object]) -> None:
        self._on_frame = on_frame
        self._on_refused = on_refused
        self._decoder = PacketDecoder()
        self._waiting: queue.Queue[Any] = queue.Queue(_MOST_WAITING)
        self._is_behind = threading.Event()
        self._thread = threading.Thread(target=self._decode_all, name="crack_video", daemon=True)
        self._thread.start()

    def take(self, message: Any) -> None:
        """Accept a packet; return at once."""
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            self._is_behind.set()

    def figures(self) -> dict[str, str]:
        """Return the numbers of packets that gave no picture, by reason."""
        decoder = self._decoder
        return {
            "video_packets_lost": str(decoder.lost),
            "video_packets_damaged": str(decoder.damaged),
            "video_packets_before_keyframe": str(decoder.skipped),
        }

    def stop(self) -> None:
        """End the thread."""
        self._drop_waiting()
        self._waiting.put(None)
        self._thread.join(_STOP_TIMEOUT_S)

    def _drop_waiting(self) -> None:
        try:
            while True:
                self._waiting.get_nowait()
        except queue.Empty:
            pass

    def _decode_all(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._decode(message)
            except BadImage as error:
                self._on_refused(str(error))
            except Exception as error:  # a damaged stream must not end the thread
                self._decoder.interrupt()
                self._on_refused(f"a video packet failed, please report it: {type(error).__name__}: {error}")

    def _decode(self, message: Any) -> None:
        if self._is_behind.is_set():
            self._is_behind.clear()
            self._drop_waiting()
            self._decoder.interrupt()
            raise BadImage(
                f"the video is not decoded fast enough, {_MOST_WAITING} packets wait and are left out; reduce its "
                "resolution or rate"
            )
        for picture, header_of_picture in self._decoder.decode(packet_in(message), header_of(message)):
            self._on_frame(VideoFrame(header_of_picture, picture))
