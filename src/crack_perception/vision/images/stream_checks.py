# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Find damage of a video that FFmpeg conceals: it paints lost parts of a frame with those of the frame before.

OpenCV passes on neither FFmpeg's error flags nor its messages, and the decoded frames look whole. What can be observed
are the messages that FFmpeg prints, the coded packets, and the size that the container promises.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.images.coded_size import coded_size
from crack_perception.vision.images.jpeg.decoding import DamagedJpeg, decode_jpeg
from crack_perception.vision.images.native_messages import native_messages

_MESSAGE = re.compile(r"^\[(?P<part>[^@\]]+) @ 0x[0-9a-f]+\] *(?P<text>.*)$", re.MULTILINE)
# Printed for streams that are intact.
_HARMLESS = re.compile("deprecated pixel format|Application provided|single-track mode|MVs not available")

_MOTION_JPEG = (b"MJPG", b"mjpg", b"jpeg", b"AVRn")
# Codecs whose syntax, or arithmetic coder, leaves no long runs of zeros inside a packet.
_WITHOUT_ZERO_RUNS = (
    *(b"h264", b"H264", b"avc1", b"AVC1", b"X264", b"x264", b"hevc", b"HEVC", b"hev1", b"hvc1", b"H265"),
    *(b"FMP4", b"mp4v", b"MP4V", b"XVID", b"xvid", b"DIVX", b"DX50", b"VP80", b"VP90", b"AV01", b"av01"),
)
# Padding before a start code is allowed, and so are zeros at the end of a packet.
_ZERO_RUN = re.compile(rb"\0{64}\0*[^\0\x01]")
_HUFFMAN_TABLES = b"\xff\xc4"


class DecoderMessages:
    """Counts what FFmpeg prints on stderr while the video is read, which nobody would attribute to it there."""

    def __init__(self) -> None:
        self.count = 0
        """Messages so far."""
        self.first = ""
        """The first message; empty while there is none."""

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Count the messages of the calls inside the block."""
        with native_messages(_MESSAGE) as messages:
            yield
        for message in messages:
            if not _HARMLESS.search(message["text"]):
                self.count += 1
                self.first = self.first or f"{message['part']}: {message['text']}"


class PacketCheck:
    """Reads the coded packets of a video beside its frames and counts those that cannot be intact.

    Args:
        path: Of the video.
    """

    def __init__(self, path: Path) -> None:
        self.damaged = 0
        """Damaged packets so far."""
        self.has_changed_size = False
        """True when the last packet states another picture size than the first packet with a size."""
        self._size_px: tuple[int, ...] | None = None
        self._capture: cv2.VideoCapture | None = cv2.VideoCapture(str(path))
        codec = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        code = codec.to_bytes(4, "little")
        self._code = code
        self._is_motion_jpeg = code in _MOTION_JPEG
        if not (self._is_motion_jpeg or code in _WITHOUT_ZERO_RUNS) or not self._capture.set(cv2.CAP_PROP_FORMAT, -1):
            self.close()

    def close(self) -> None:
        """Close the video."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def check_next(self) -> bool:
        """Check the next packet; returns whether there was one."""
        if self._capture is None:
            return False
        found, data = self._capture.read()
        if not found or data is None:
            self.close()
            return False
        packet = np.ascontiguousarray(data, np.uint8).ravel()
        if self._is_motion_jpeg:
            self._check_jpeg(packet)
        else:
            self.damaged += has_zero_run(packet)
            self._compare_size(coded_size(packet.tobytes(), self._code))
        return True

    def _check_jpeg(self, packet: npt.NDArray[np.uint8]) -> None:
        if _HUFFMAN_TABLES not in packet[:4096].tobytes():
            return  # cameras that leave out the standard tables: libjpeg needs them
        try:
            picture = decode_jpeg(packet)
        except (DamagedJpeg, cv2.error):
            picture = None
        if picture is None:
            self.damaged += 1
        else:
            self._compare_size(picture.shape[:2])

    def _compare_size(self, size_px: tuple[int, ...] | None) -> None:
        if size_px is not None:
            self._size_px = self._size_px or size_px
            self.has_changed_size = size_px != self._size_px


def has_zero_run(packet: npt.NDArray[np.uint8]) -> bool:
    """Whether coded data (n,) hold a run of zeros that is neither padding at the end nor before a start code."""
    return _ZERO_RUN.search(packet.tobytes()) is not None


def promised_bytes(path: Path) -> int:
    """Bytes that an AVI, MP4/MOV, Matroska or ASF file announces to have; 0 where it does not say."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
            if start[:4] == b"RIFF":
                return _end_of_riff(file, size)
            if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return _end_of_boxes(file, size)
            if start[:4] == b"\x1aE\xdf\xa3":
                return _end_of_matroska(file)
    except (OSError, struct.error):
        pass
    return 0


def _end_of_riff(file: IO[bytes], size: int) -> int:
    end = 0
    while end + 8 <= size:
        file.seek(end)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":  # padding, or what a camera appends
            break
        end += 8 + length
    return end


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    end = 0
    while end + 8 <= size:
        file.seek(end)
        length, name = struct.unpack(">I4s", file.read(8))
        if not name.isalnum():
            return 0
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if length < 8:  # 0: up to the end of the file
            return 0
        end += length
    return end


def _end_of_matroska(file: IO[bytes]) -> int:
    """Source: RFC 8794 (EBML): an identifier, then a length whose leading zeros say how many bytes it has."""
    position = 0
    for is_segment in (False, True):
        file.seek(position + 4)
        first = file.read(1)
        if not first or not first[0]:
            return 0
        extra = 8 - first[0].bit_length()
        rest = file.read(extra)
        length = int.from_bytes(bytes([first[0] & (0x7F >> extra)]) + rest, "big")
        position += 5 + extra + length
        if is_segment and length == (1 << 7 * (extra + 1)) - 1:  # unknown: a live stream
            return 0
    return position
