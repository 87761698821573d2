# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Damage of a JPEG that its markers, its scans and its pixels indicate, where libjpeg tells nothing of it."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from crack_perception.vision.images.jpeg.segments import (
    END_OF_IMAGE,
    FIRST_RESTART,
    HUFFMAN_TABLES,
    LAST_RESTART,
    QUANTISATION_TABLES,
    RESTART_INTERVAL,
    START_OF_SCAN,
    JpegHeader,
)

# Tables (Huffman, quantisation, arithmetic), restart interval, number of lines and comments may stand between scans.
_BETWEEN_SCANS = frozenset({START_OF_SCAN, HUFFMAN_TABLES, QUANTISATION_TABLES, 0xCC, RESTART_INTERVAL, 0xDC, 0xFE})
_SCAN = re.compile(rb"\xff\xda")
# Zero bytes in a row that no picture contains unless its shortest codes mean "as before" and "nothing more".
_ZERO_RUN_BYTES = 48
_MISSING_DATA_GREY = 128
_LEAST_PERIODIC_BYTES, _MOST_PERIODIC_BYTES, _LEAST_REPEATED_BYTES = 8, 96, 4
_LEAST_BITS_PER_MCU = 6


def damage_in_markers(data: npt.NDArray[np.uint8], header: JpegHeader) -> str:
    """Return the damage that markers and bytes of the image data indicate; empty if there is none.

    Thumbnails lie in segments before the picture data and are skipped; what follows the end marker (padding, a second
    picture) does not matter.
    """
    if header.data_start and header.components and not (header.width_px and header.height_px):
        return f"its header has no size ({header.width_px} x {header.height_px} px)"
    if header.has_zero_steps:
        return "its header is overwritten (zeros in a quantisation table)"
    scans = data[header.data_start :]
    followers = scans[np.flatnonzero(scans[:-1] == 0xFF) + 1]
    markers = followers[(followers != 0) & (followers != 0xFF)]
    ends = np.flatnonzero(markers == END_OF_IMAGE[1])
    if not ends.size:
        return "it is truncated (no end marker)"
    markers = markers[: ends[0]]
    is_restart = (markers >= FIRST_RESTART) & (markers <= LAST_RESTART)
    restarts = markers[is_restart].astype(np.int64) - FIRST_RESTART
    scan_of_marker = np.cumsum(markers == START_OF_SCAN)[is_restart]
    others = set(markers[~is_restart].tolist()) - _BETWEEN_SCANS
    if others:
        return f"a part of its data is overwritten (marker 0xff{min(others):02x} inside)"
    if restarts.size and not header.restart_interval and RESTART_INTERVAL not in markers:
        return "a part of its data is overwritten (restart marker inside)"
    # The markers count from 0 in every scan.
    place_in_scan = np.arange(restarts.size) - np.searchsorted(scan_of_marker, scan_of_marker)
    if not np.array_equal(restarts, place_in_scan % 8):
        return "a part of its data is missing or repeated (restart markers out of order)"
    if header.is_baseline and header.restart_interval and START_OF_SCAN not in markers:
        expected = (_units(header) - 1) // header.restart_interval
        if restarts.size < expected:
            return f"a part of its data is missing ({restarts.size} of {expected} restart markers)"
    raw = scans.tobytes()
    if _lacks_scans(header, raw):
        return "a part of its data is missing (scans)"
    if not header.zeros_are_flat and 0 <= raw.find(bytes(_ZERO_RUN_BYTES)) < raw.find(END_OF_IMAGE):
        return "a part of its data is overwritten with zeros"
    return ""


def _lacks_scans(header: JpegHeader, scans: bytes) -> bool:
    """Return True if scans of a complete picture are missing: of a component, or of the last bits of coefficients.

    A file that ends between two scans decodes without a warning, but blurred or without colours.

    Args:
        scans: Bytes from the data of the first scan on.
    """
    is_in_one_scan = header.is_baseline and header.first_scan[:1] == bytes([header.components])
    if is_in_one_scan or not (header.is_baseline or header.is_progressive):
        return False
    scans = scans[: scans.find(END_OF_IMAGE)]
    headers = [header.first_scan] + [
        scans[match.end() + 2 : match.end() + int.from_bytes(scans[match.end() : match.end() + 2], "big")]
        for match in _SCAN.finditer(scans)
    ]
    missing_bits: dict[int, npt.NDArray[np.int64]] = {}
    for content in headers:
        count = content[0] if content else 0
        if len(content) < 4 + 2 * count:
            continue
        first, last, bits = content[1 + 2 * count : 4 + 2 * count]
        for component in content[1 : 1 + 2 * count : 2]:
            of_coefficients = missing_bits.setdefault(component, np.full(64, 16))
            of_coefficients[first : last + 1] = bits & 15
    if len(missing_bits) < header.components:
        return True
    return header.is_progressive and any(bits.any() for bits in missing_bits.values())


def _units(header: JpegHeader) -> int:
    return -(-header.width_px // header.mcu_px[0]) * -(-header.height_px // header.mcu_px[1])


def ends_in_missing_data(data: npt.NDArray[np.uint8], header: JpegHeader, pixels: npt.NDArray[np.uint8]) -> bool:
    """Return whether the last pixels are the exact grey that libjpeg writes for missing data, and are not coded so.

    Flat grey that is really in the picture is one short code repeated, so that the data ends in a period; the end of
    what is left of a damaged file does not. Fewer than about a dozen coded units of grey are not enough to decide, and
    are accepted.

    Args:
        pixels: (H, W) or (H, W, 3), not rotated.
    """
    if not header.is_baseline or pixels.shape[0] != header.height_px or pixels.shape[1] != header.width_px:
        return False
    width, height = header.mcu_px
    last = pixels[(header.height_px - 1) // height * height :]
    columns = (last == _MISSING_DATA_GREY).all(axis=tuple(i for i in range(last.ndim) if i != 1))
    if not columns[-1]:
        return False
    coloured = np.flatnonzero(~columns)
    units = (columns.size - 1 - (coloured[-1] if coloured.size else -1)) // width
    # Only whole rows of units above count, and only until their number is enough.
    if not coloured.size:
        above = pixels[: (header.height_px - 1) // height * height]
        is_grey = (above == _MISSING_DATA_GREY).all(axis=tuple(range(1, above.ndim)))
        others = np.flatnonzero(~is_grey)
        rows = is_grey.size - 1 - (others[-1] if others.size else -1)
        units += rows // height * (header.width_px // width)
    raw = data[header.data_start :].tobytes()
    raw = raw[: raw.find(END_OF_IMAGE)].rstrip(b"\xff")
    restart = max((raw.rfind(bytes([0xFF, marker])) for marker in range(FIRST_RESTART, LAST_RESTART + 1)), default=-1)
    tail = raw[restart + 2 if restart >= 0 else 0 :]
    # The last byte holds padding.
    length = min(_MOST_PERIODIC_BYTES, units * _LEAST_BITS_PER_MCU // 8)
    if min(length, len(tail) - 1) < _LEAST_PERIODIC_BYTES:
        return False
    tail = tail[-length - 1 : -1]
    return not any(tail[shift:] == tail[:-shift] for shift in range(1, len(tail) - _LEAST_REPEATED_BYTES + 1))
