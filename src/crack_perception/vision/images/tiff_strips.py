# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Check the compressed strips and tiles of a TIFF, whose damage libtiff passes over or only prints on stderr."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.images.jpeg.decoding import DamagedJpeg, decode_jpeg

Bytes = npt.NDArray[np.uint8]

NONE, LZW, JPEG, DEFLATE, ADOBE_DEFLATE = 1, 5, 7, 32946, 8
COMPRESSION_NAMES = {
    2: "CCITT",
    3: "CCITT G3",
    4: "CCITT G4",
    LZW: "LZW",
    6: "old JPEG",
    JPEG: "JPEG",
    ADOBE_DEFLATE: "Deflate",
    32773: "PackBits",
    DEFLATE: "Deflate",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}

_CLEAR, _END, _FIRST_FREE = 256, 257, 258
_MOST_CODES = 4094 - _FIRST_FREE
_ZERO_RUN = bytes(64)
_DECOMPRESSED_BYTES = 1 << 20


def damage_in_strips(strips: Iterable[Bytes], compression: int, jpeg_tables: bytes) -> str:
    """What is wrong with the compressed bytes of a TIFF's strips or tiles; empty where nothing is known to be.

    Args:
        strips: Bytes (n,) of each strip or tile; empty ones are allowed (sparse files).
        compression: Of the TIFF's directory. Others than LZW, JPEG and Deflate are not checked.
        jpeg_tables: Tables that the strips share; empty without.
    """
    for number, strip in enumerate(strips):
        is_damaged = False
        if not strip.size:
            continue
        if compression in (DEFLATE, ADOBE_DEFLATE):
            is_damaged = not _is_deflated(strip)
        elif compression == LZW:
            is_damaged = not _is_lzw(strip)
        elif compression == JPEG:
            is_damaged = not _is_jpeg(strip, jpeg_tables)
        if is_damaged:
            return f"strip or tile {number} is overwritten"
    return ""


def _is_deflated(strip: Bytes) -> bool:
    stream, rest = zlib.decompressobj(), strip.tobytes()
    try:
        # In pieces, because a few bytes can stand for gigabytes of zeros.
        while rest and not stream.eof:
            stream.decompress(rest, _DECOMPRESSED_BYTES)
            rest = stream.unconsumed_tail
    except zlib.error:
        return False
    return stream.eof


def _is_jpeg(strip: Bytes, tables: bytes) -> bool:
    whole = strip
    if len(tables) > 4:
        whole = np.frombuffer(tables[:-2] + strip[2:].tobytes(), np.uint8)
    try:
        return decode_jpeg(whole) is not None
    except (DamagedJpeg, cv2.error):
        return False


def _code_widths() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Largest code that may come and its width in bits, by the number of codes since the table was cleared."""
    following = _FIRST_FREE + np.maximum(np.arange(_MOST_CODES) - 1, 0)
    widths = 9 + (following >= 511).astype(np.int64) + (following >= 1023) + (following >= 2047)
    return following, widths


_LARGEST_CODES, _WIDTHS = _code_widths()
_OFFSETS = np.cumsum(_WIDTHS) - _WIDTHS


def _is_lzw(strip: Bytes) -> bool:
    """Whether every code is in the table at its place. Source: TIFF 6.0, section 13.

    The width of a code depends only on its number since the table was cleared, so that no string has to be built.
    """
    if strip[:2].tobytes() == b"\0\1":  # the bit order of TIFF 5.0
        return True
    if strip[0] != _CLEAR >> 1:
        return False
    raw = strip.tobytes()
    if _ZERO_RUN in raw.rstrip(b"\0"):  # two equal bytes in a row have a code of their own
        return False
    padded = np.concatenate([strip, np.zeros(4, np.uint8)]).astype(np.int64)
    position, bits = 0, strip.size * 8
    while position + 9 <= bits:
        starts = position + _OFFSETS
        starts = starts[starts + _WIDTHS[: starts.size] <= bits]
        widths = _WIDTHS[: starts.size]
        byte = starts >> 3
        window = padded[byte] << 16 | padded[byte + 1] << 8 | padded[byte + 2]
        codes = window >> (24 - (starts & 7) - widths) & ((1 << widths) - 1)
        controls = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        count = int(controls[0]) if controls.size else codes.size
        used = codes[:count]
        if (used > _LARGEST_CODES[:count]).any() or (count and used[0] >= _CLEAR):
            return False
        if not controls.size:
            # Without an end the last codes are missing; a full table that is not cleared is left to libtiff.
            return bool(codes.size == _MOST_CODES)
        if codes[count] == _END:
            return True
        position = int(starts[count] + widths[count])
    return False
