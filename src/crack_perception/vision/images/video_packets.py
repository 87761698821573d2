# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Decoding of video packets (H.264, H.265, AV1, VP9...) that arrive one by one over a network, with PyAV.

A decoder that joins late, or that has lost or damaged packets, would show grey or smeared pictures until the next
keyframe, and a smear looks like a crack. So nothing is decoded before the first keyframe, nor between a loss and the
next one. Losses show in the numbers of the packets, or in the content of H.264 and H.265. Where neither does, the
stream is refused.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.vision.images.encodings import MOST_MESSAGE_PIXELS, BadImage
from crack_perception.vision.images.h264 import FrameNumbers
from crack_perception.vision.images.h265 import ReferencePictures
from crack_perception.vision.images.nal_units import units

# Names of formats and encoders (x264, h264_nvenc, hevc_vaapi...) -> decoder of FFmpeg.
_CODECS = (
    (re.compile(r"264|avc"), "h264"),
    (re.compile(r"265|hevc"), "hevc"),
    (re.compile(r"av1"), "av1"),
    (re.compile(r"vp9"), "vp9"),
    (re.compile(r"vp8"), "vp8"),
    (re.compile(r"mjpeg"), "mjpeg"),
)
# NAL unit types from whose packet on a stream can be decoded: parameter sets and pictures without references.
_GAP_CHECKS: dict[str, type[FrameNumbers] | type[ReferencePictures]] = {"h264": FrameNumbers, "hevc": ReferencePictures}
"""Codec -> check of the packets' content for missing pictures."""
# Every picture of these stands for itself.
_INDEPENDENT = ("mjpeg",)
_H264_ENTRY = frozenset({5, 7})
_HEVC_ENTRY = frozenset({*range(16, 22), 32, 33})
# Pictures that a decoder holds back are found by the number of their packet; more are never waiting.
_MOST_DELAYED = 64
# Packets of a stream with B frames arrive at most so many places after those with higher numbers.
_MOST_REORDERED = 16
# A number that is farther away belongs to a new stream.
_FARTHEST_NUMBER = 1000


def check_installed() -> None:
    """Check that PyAV is installed.

    Raises:
        UserError: It is not.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"video cannot be decoded: PyAV is not installed ({error})",
            "Install it (pip install av, or the extra 'video'), or have the camera send raw or compressed images",
        ) from error


def codec_of(name: str) -> str:
    """Return FFmpeg's decoder for the name of a format or encoder, such as ``libx264`` or ``h265``.

    Raises:
        BadImage: There is none.
    """
    for pattern, codec in _CODECS:
        if pattern.search(name.lower()):
            return codec
    raise BadImage(f"the video is '{name}', which is not supported; send h264, h265, av1, vp9 or mjpeg")


def is_entry_point(data: bytes, codec: str) -> bool | None:
    """Return whether a stream can be decoded from this packet on; None where the packet does not show it.

    H.264 and H.265 packets are searched for NAL units in Annex B format.
    """
    if codec == "mjpeg":
        return True
    if codec not in ("h264", "hevc"):
        return None
    if codec == "h264":
        return any(unit[0] & 0x1F in _H264_ENTRY for unit in units(data))
    return any(unit[0] >> 1 & 0x3F in _HEVC_ENTRY for unit in units(data))


@dataclass(frozen=True)
class VideoPacket:
    """A packet of a video.

    Attributes:
        data: Its bytes.
        format: Name of the format or encoder.
        number: Position in the stream, one more with every packet; None where the transport does not count.
        is_keyframe: Whether the sender marked it as a keyframe; None where the transport does not tell.
    """

    data: bytes
    format: str
    number: int | None = None
    is_keyframe: bool | None = None


# AV_PKT_FLAG_KEY of FFmpeg.
_FLAG_KEYFRAME = 1


def packet_in(message: Any) -> VideoPacket:
    """Return the packet in an FFMPEGPacket or a CompressedVideo; only their attributes are read."""
    data = bytes(message.data)
    if not hasattr(message, "encoding"):
        return VideoPacket(data, message.format)
    is_keyframe = bool(message.flags & _FLAG_KEYFRAME)
    return VideoPacket(data, message.encoding.partition(";")[0], int(message.pts), is_keyframe)


class PacketDecoder:
    """Decoder of one stream of packets.

    Attributes:
        lost: Packets that are missing in the stream, as their numbers show it; else losses that its content shows.
        damaged: Packets that could not be decoded.
        skipped: Packets that were not decoded because a keyframe is awaited.
    """

    def __init__(self) -> None:
        check_installed()
        self.lost = self.damaged = self.skipped = 0
        self._format = ""
        self._codec_name = ""
        self._context: Any = None
        self._needs_keyframe = True
        # All packets up to this number have arrived, or are counted as lost.
        self._last_number: int | None = None
        self._is_reordered = False
        self._arrived: set[int] = set()
        self._gaps: FrameNumbers | ReferencePictures | None = None
        self._count = 0
        self._tags: OrderedDict[int, Any] = OrderedDict()

    def decode(self, packet: VideoPacket, tag: Any) -> list[tuple[Any, Any]]:
        """Decode a packet.

        Args:
            tag: What belongs to the packet's picture, for example its stamp.

        Returns:
            Pictures (for ``pixels_of``) with their tags, in the order of display; a decoder may delay them.

        Raises:
            BadImage: The packet is damaged or of an unknown format, or a keyframe is awaited.
        """
        if packet.format != self._format:
            self._restart(packet.format)
        self._check_can_be_watched(packet)
        self._count_losses(packet)
        if not packet.data:
            raise self._broken("a video packet is empty")
        if self._needs_keyframe:
            check = _GAP_CHECKS.get(self._codec_name)
            self._gaps = None if check is None else check()
            is_entry = is_entry_point(packet.data, self._codec_name)
            if is_entry is None:
                is_entry = packet.is_keyframe is not False
            if not is_entry:
                self.skipped += 1
                raise BadImage(
                    f"the video has no keyframe yet, {self.skipped} packets were skipped (lost {self.lost}, damaged "
                    f"{self.damaged}); set the encoder to send keyframes more often (gop_size) if this lasts"
                )
        if self._gaps is not None:
            has_gap = self._gaps.has_gap(packet.data)
            self._is_reordered = self._gaps.may_reorder
            if has_gap and not self._needs_keyframe:
                self.lost += packet.number is None
                self._open()
                raise BadImage("a part of the video is missing; check the link. The next keyframe is awaited")
        pictures = self._pictures(packet.data, tag)
        self._needs_keyframe = False
        return pictures

    def interrupt(self) -> None:
        """Wait for the next keyframe: packets were left out on purpose."""
        if self._context is not None:
            self._open()

    def _restart(self, name: str) -> None:
        """Open a decoder for another format."""
        self._codec_name = codec_of(name)
        self._format = name
        self._open()
        self._last_number = None
        self._is_reordered = False
        self._arrived.clear()

    def _check_can_be_watched(self, packet: VideoPacket) -> None:
        """Check that a lost packet of this stream would be noticed.

        Raises:
            BadImage: It would not.
        """
        if packet.number is None and self._codec_name not in (*_GAP_CHECKS, *_INDEPENDENT):
            raise BadImage(
                f"lost packets of {self._codec_name} are not noticed in this transport, which does not count them; "
                "send h264 or h265, or packets with numbers (image_transport 'ffmpeg')"
            )

    def _open(self) -> None:
        import av

        context = av.CodecContext.create(self._codec_name, "r")
        # Fewer broken pictures: errors are raised instead of concealed. No threads: they delay pictures.
        context.options = {"err_detect": "explode", "max_pixels": str(MOST_MESSAGE_PIXELS)}
        context.thread_count = 1
        context.flags |= av.codec.context.Flags.low_delay
        self._context = context
        self._tags.clear()
        self._needs_keyframe = True

    def _count_losses(self, packet: VideoPacket) -> None:
        number, last = packet.number, self._last_number
        if number is None:
            return
        # Packets with B frames do not arrive in the order of their numbers. Whether others refer to a lost one, their
        # content shows.
        if self._is_reordered and last is not None and abs(number - last) <= _FARTHEST_NUMBER:
            self._arrived.add(number)
            while last < max(self._arrived) - _MOST_REORDERED:
                last += 1
                self.lost += last not in self._arrived
                self._arrived.discard(last)
            self._last_number = last
            return
        self._arrived.clear()
        self._last_number = number
        if last is not None and number != last + 1:
            self.lost += max(0, number - last - 1)
            self._open()

    def _pictures(self, data: bytes, tag: Any) -> list[tuple[Any, Any]]:
        import av

        self._count += 1
        packet = av.Packet(data)
        packet.pts = packet.dts = self._count
        self._tags[self._count] = tag
        while len(self._tags) > _MOST_DELAYED:
            self._tags.popitem(last=False)
        try:
            frames = self._context.decode(packet)
        except (av.error.FFmpegError, ValueError, MemoryError) as error:
            raise self._broken(f"a video packet is damaged ({error})") from error
        if any(frame.is_corrupt for frame in frames):
            raise self._broken("a picture of the video is incomplete")
        return [(frame, self._tags.pop(frame.pts)) for frame in frames if frame.pts in self._tags]

    def _broken(self, problem: str) -> BadImage:
        self.damaged += 1
        self._open()
        return BadImage(f"{problem}; packets are lost on the way, check the link. The next keyframe is awaited")


def pixels_of(picture: Any) -> npt.NDArray[np.uint8]:
    """Return a decoded picture as BGR (H, W, 3).

    Raises:
        BadImage: Its pixel format cannot be converted.
    """
    try:
        return np.asarray(picture.to_ndarray(format="bgr24"), dtype=np.uint8)
    except Exception as error:  # FFmpegError, ValueError
        raise BadImage(f"a picture of the video cannot be converted from {picture.format.name} ({error})") from error
