# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Segments of a JPEG before the picture data, and the markers of the format. Source: ITU-T T.81, annex B."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_START_OF_IMAGE = b"\xff\xd8"
END_OF_IMAGE = b"\xff\xd9"
START_OF_SCAN = 0xDA
HUFFMAN_TABLES, QUANTISATION_TABLES, RESTART_INTERVAL = 0xC4, 0xDB, 0xDD
FIRST_RESTART, LAST_RESTART = 0xD0, 0xD7
_APP1, _ADOBE, _LS_FRAME = 0xE1, 0xEE, 0xF7
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {HUFFMAN_TABLES, 0xC8, 0xCC}
_BASELINE = (0xC0, 0xC1)
_PROGRESSIVE = (0xC2, 0xCA)
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_HIERARCHICAL = (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF)
_USUAL_BITS = 8


@dataclass(frozen=True)
class JpegHeader:
    """The segments before the picture data.

    Attributes:
        width_px, height_px, components: Of the frame header; 0 where there is none.
        is_baseline: One scan of Huffman codes (not progressive or lossless).
        is_progressive: The scans refine the picture.
        mcu_px: Width and height of the smallest coded unit.
        restart_interval: Coded units between two restart markers; 0 without.
        has_exif: An Exif segment is there, which may ask for another orientation.
        zeros_are_flat: In every Huffman table the code of zeros means "no change" or "end of block".
        data_start: Position of the first byte of picture data; of the first byte that is no segment without any.
        has_zero_steps: A quantisation table holds zeros, which the standard forbids.
        padding: (start, end) of zeros between the segments, which some cameras write.
        first_scan: Header of the first scan.
        unusual: Kind of JPEG that is not decoded, with its article; empty for the usual ones.
    """

    width_px: int
    height_px: int
    components: int
    is_baseline: bool
    mcu_px: tuple[int, int]
    restart_interval: int
    has_exif: bool
    zeros_are_flat: bool
    data_start: int
    has_zero_steps: bool = False
    padding: tuple[tuple[int, int], ...] = ()
    is_progressive: bool = False
    first_scan: bytes = b""
    unusual: str = ""


def is_jpeg(data: npt.NDArray[np.uint8]) -> bool:
    """Return whether these bytes (n,) begin as a JPEG does."""
    return data[:2].tobytes() == _START_OF_IMAGE


def read_header(data: npt.NDArray[np.uint8]) -> JpegHeader:
    """Parse the segments before the picture data of JPEG bytes (n,). Source: ITU-T T.81, annex B."""
    raw = np.ascontiguousarray(data).data
    position, end = len(_START_OF_IMAGE), len(raw)
    width = height = components = interval = 0
    is_baseline, has_exif, zeros_are_flat, mcu, has_zero_steps = False, False, True, (8, 8), False
    is_progressive, first_scan, unusual, has_adobe = False, b"", "", False
    padding: list[tuple[int, int]] = []
    while position + 4 <= end:
        if raw[position] == 0:
            after = _end_of_zeros(raw, position)
            if after >= end or raw[after] != 0xFF:
                break
            padding.append((position, after))
            position = after
            continue
        if raw[position] != 0xFF:
            break
        marker = raw[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        length = int.from_bytes(raw[position + 2 : position + 4], "big")
        content = bytes(raw[position + 4 : position + 2 + length])
        position += 2 + length
        if marker in _FRAME_HEADERS and len(content) >= 6:
            height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
            components = content[5]
            unusual = _unusual(marker, content)
            is_baseline, is_progressive = marker in _BASELINE, marker in _PROGRESSIVE
            factors = content[7 : 6 + 3 * components : 3]
            if components > 1 and factors:
                mcu = 8 * max(f >> 4 for f in factors), 8 * max(f & 15 for f in factors)
        elif marker == HUFFMAN_TABLES:
            zeros_are_flat = zeros_are_flat and _zeros_are_flat(content)
        elif marker == QUANTISATION_TABLES:
            has_zero_steps = has_zero_steps or _has_zero_steps(content)
        elif marker == RESTART_INTERVAL and len(content) >= 2:
            interval = int.from_bytes(content[:2], "big")
        elif marker == _APP1 and content.startswith(b"Exif"):
            has_exif = True
        elif marker == _ADOBE and content.startswith(b"Adobe"):
            has_adobe = True
        elif marker == _LS_FRAME:
            unusual = "a JPEG-LS picture"
        elif marker == START_OF_SCAN:
            first_scan = content
            break
    if components == 4 and not has_adobe and not unusual:
        unusual = "a CMYK JPEG that does not say whether its inks are inverted (no Adobe segment)"
    return JpegHeader(
        width_px=width,
        height_px=height,
        components=components,
        is_baseline=is_baseline,
        mcu_px=mcu,
        restart_interval=interval,
        has_exif=has_exif,
        zeros_are_flat=zeros_are_flat,
        data_start=min(position, end),
        has_zero_steps=has_zero_steps,
        padding=tuple(padding),
        is_progressive=is_progressive,
        first_scan=first_scan,
        unusual=unusual,
    )


def _unusual(marker: int, frame: bytes) -> str:
    """Return the kind of JPEG of a frame header where decoders differ in whether and how they read it."""
    if frame[0] != _USUAL_BITS:
        return f"a JPEG of {frame[0]} bits"
    if marker in _LOSSLESS:
        return "a lossless JPEG"
    return "a hierarchical JPEG" if marker in _HIERARCHICAL else ""


def _end_of_zeros(raw: memoryview, start: int) -> int:
    end = start
    while end < len(raw) and raw[end] == 0:
        end += 1
    return end


def _has_zero_steps(tables: bytes) -> bool:
    """Return whether a quantisation table, of 8 or 16 bits, contains a zero."""
    while tables:
        item = 2 if tables[0] >> 4 else 1
        steps = tables[1 : 1 + 64 * item]
        if any(not any(steps[i : i + item]) for i in range(0, len(steps), item)):
            return True
        tables = tables[1 + 64 * item :]
    return False


def _zeros_are_flat(tables: bytes) -> bool:
    """Return whether the first symbol of each table, whose code is all zeros, is 0."""
    while len(tables) > 17:
        count = sum(tables[1:17])
        if tables[17] != 0:
            return False
        tables = tables[17 + count :]
    return True
