# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs that describe themselves: a JPEG with the photograph's record in segments of its header.

The record is JSON in application segments (APP9) that begin with an identifier, the number of the segment and the
number of segments (each 16 bits, big endian), as ICC profiles are stored in APP2. Viewers and decoders skip them. So a
photograph is one standard message (sensor_msgs/CompressedImage) on the wire and in bags, and one file on the disk.
Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from crack_perception.documents import parse_json
from crack_perception.mapping.evidence.photograph import Photograph, photograph_of, plain_photograph

MAX_RECORD_BYTES = 262_144
"""Longest record that is written or read: some 4,000 vertices."""

_START_OF_IMAGE, _START_OF_SCAN, _END_OF_IMAGE = b"\xff\xd8", 0xDA, b"\xff\xd9"
_APP0, _APP9 = 0xE0, 0xE9
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_IDENTIFIER = b"crack_perception\x00"
_NUMBER_BYTES = 2
_LEAD_BYTES = len(_IDENTIFIER) + 2 * _NUMBER_BYTES
# The length of a segment, which counts itself, has 16 bits.
_PART_BYTES = 0xFFFF - 2 - _LEAD_BYTES
_NO_FILE = "photograph.jpg"


class _Segment(NamedTuple):
    """A segment before the picture data: its marker, and where it begins, where its content begins and where it ends"""

    marker: int
    start: int
    content: int
    end: int


def with_record(jpeg: bytes, photograph: Photograph) -> bytes:
    """Insert a photograph's record into its JPEG, without its file and crack, which whoever stores it decides.

    Raises:
        ValueError: The bytes are no JPEG, or the record is too long.
    """
    segments = _record_segments(photograph)
    at = len(_START_OF_IMAGE)
    for segment in _segments(jpeg):
        if segment.marker != _APP0:  # JFIF's segment comes first
            break
        at = segment.end
    return jpeg[:at] + segments + jpeg[at:]


def record_bytes(photograph: Photograph) -> int:
    """Return by how much ``with_record`` makes a JPEG longer.

    Raises:
        ValueError: The record is too long.
    """
    return len(_record_segments(photograph))


def _record_segments(photograph: Photograph) -> bytes:
    plain = plain_photograph(photograph) | {"file": "", "crack_id": 0}
    record = json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
    if len(record) > MAX_RECORD_BYTES:
        raise ValueError(f"the record of a photograph has {len(record)} bytes, more than {MAX_RECORD_BYTES}")
    parts = [record[start : start + _PART_BYTES] for start in range(0, len(record), _PART_BYTES)]
    return b"".join(_segment(part, number, len(parts)) for number, part in enumerate(parts, 1))


def photograph_in(jpeg: bytes) -> Photograph:
    """Read the record of a JPEG; its file is a placeholder and its crack 0.

    Raises:
        ValueError: The bytes are no complete JPEG of one frame header, or hold no valid record of this picture.
    """
    parts: dict[int, bytes] = {}
    size_px: tuple[int, int] | None = None
    announced = 0
    for marker, _, content, end in _segments(jpeg):
        if marker in _FRAME_HEADERS:
            if size_px is not None or end - content < 6:
                raise ValueError("the JPEG has not one frame header")
            size_px = (
                int.from_bytes(jpeg[content + 3 : content + 5], "big"),
                int.from_bytes(jpeg[content + 1 : content + 3], "big"),
            )
        elif marker == _APP9 and jpeg.startswith(_IDENTIFIER, content, end):
            number, announced = _numbers(jpeg[content:end])
            if number in parts:
                raise ValueError("the record has a part twice")
            parts[number] = jpeg[content + _LEAD_BYTES : end]
            if sum(map(len, parts.values())) > MAX_RECORD_BYTES:
                raise ValueError(f"the record has more than {MAX_RECORD_BYTES} bytes")
    if size_px is None or not jpeg.endswith(_END_OF_IMAGE):
        raise ValueError("the JPEG is truncated")
    if not parts:
        raise ValueError("the JPEG has no record")
    if sorted(parts) != list(range(1, announced + 1)):
        raise ValueError("the record is not complete")
    try:
        plain = parse_json(b"".join(parts[number] for number in sorted(parts)))
    except ValueError as error:
        raise ValueError(f"the record is no JSON: {error}") from error
    if not isinstance(plain, dict):
        raise ValueError("the record is no JSON object")
    photograph = photograph_of(plain | {"file": _NO_FILE, "crack_id": 0})
    if photograph.size_px != size_px:
        raise ValueError(f"the picture has {size_px} pixels, its record {photograph.size_px}")
    return photograph


def _segment(part: bytes, number: int, count: int) -> bytes:
    content = _IDENTIFIER + number.to_bytes(_NUMBER_BYTES, "big") + count.to_bytes(_NUMBER_BYTES, "big") + part
    return bytes([0xFF, _APP9]) + (len(content) + 2).to_bytes(2, "big") + content


def _numbers(content: bytes) -> tuple[int, int]:
    """Number of a part, and of parts."""
    if len(content) < _LEAD_BYTES:
        raise ValueError("a part of the record is truncated")
    first = content[len(_IDENTIFIER) : len(_IDENTIFIER) + _NUMBER_BYTES]
    return int.from_bytes(first, "big"), int.from_bytes(content[_LEAD_BYTES - _NUMBER_BYTES : _LEAD_BYTES], "big")


def _segments(jpeg: bytes) -> Iterator[_Segment]:
    """The segments up to the picture data.

    Raises:
        ValueError: The bytes are no JPEG, or end before the picture data.
    """
    if not jpeg.startswith(_START_OF_IMAGE):
        raise ValueError("it is no JPEG")
    at = len(_START_OF_IMAGE)
    while True:
        if at + 4 > len(jpeg) or jpeg[at] != 0xFF:
            raise ValueError("the JPEG's header is damaged")
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        end = at + 2 + length
        if marker < 0xC0 or length < 2 or end > len(jpeg):
            raise ValueError("the JPEG's header is damaged")
        if marker == _START_OF_SCAN:
            return
        yield _Segment(marker, at, at + 4, end)
        at = end
