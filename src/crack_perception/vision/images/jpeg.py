# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Decoding of JPEG bytes, with detection of damage that a decoder would conceal by grey areas.

libjpeg reports missing or surplus data only as a warning, and only the first one of a picture. Where simplejpeg is
installed it decodes (the same pixels, 1080p in about two thirds of the time) and returns the warning. OpenCV discards
it, but libjpeg prints it on stderr, from where it is collected. For an OpenCV whose libjpeg prints nothing, checks of
the markers, of zero runs and of the grey that libjpeg paints in place of missing data remain.

What is overwritten without a change of the number of coded units cannot be detected: single bits, and codes of the same
length. It changes some blocks, and the brightness of those that follow. Nor does libjpeg report up to three bytes too
many, so that a picture that is shifted by one nearly flat unit passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.images.native_messages import native_messages

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

Image = npt.NDArray[np.uint8]

_START_OF_IMAGE = b"\xff\xd8"
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA
_HUFFMAN_TABLES, _QUANTISATION_TABLES, _RESTART_INTERVAL, _APP1 = 0xC4, 0xDB, 0xDD, 0xE1
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {_HUFFMAN_TABLES, 0xC8, 0xCC}
_BASELINE = (0xC0, 0xC1)
_PROGRESSIVE = (0xC2, 0xCA)
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_HIERARCHICAL = (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF)
_LS_FRAME, _ADOBE = 0xF7, 0xEE
_USUAL_BITS = 8
_FIRST_RESTART, _LAST_RESTART = 0xD0, 0xD7
# Tables (Huffman, quantisation, arithmetic), restart interval, number of lines and comments may stand between scans.
_BETWEEN_SCANS = frozenset({_START_OF_SCAN, _HUFFMAN_TABLES, _QUANTISATION_TABLES, 0xCC, _RESTART_INTERVAL, 0xDC, 0xFE})

_SURPLUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker")
_WARNING = re.compile(
    r"^(Corrupt JPEG data|Premature end of JPEG|In(valid|consistent) |Warning: unknown JFIF).*$", re.MULTILINE
)
# Webcams write a few bytes too many before markers. A shifted picture seldom has so few.
_FEW_SURPLUS_BYTES = 8
# A zero after 0xff is part of the data, and a single one may be the end of a code.
_PADDING = re.compile(rb"(?<!\xff)\0{2,}(?=\xff+[^\0\xff])")
_JFIF = re.compile(rb"\xff\xe0..JFIF\0(..)", re.DOTALL)
_SCAN = re.compile(rb"\xff\xda")
_SEQUENTIAL_SCAN = bytes([0, 63, 0])
# One of each kind: padding before markers, another version of JFIF, scan parameters that sequential pictures ignore.
_MOST_AMENDMENTS = 3
# Zero bytes in a row that no picture contains unless its shortest codes mean "as before" and "nothing more".
_ZERO_RUN_BYTES = 48
_MISSING_DATA_GREY = 128
_LEAST_PERIODIC_BYTES, _MOST_PERIODIC_BYTES, _LEAST_REPEATED_BYTES = 8, 96, 4
_LEAST_BITS_PER_MCU = 6


class DamagedJpeg(Exception):
    """Raised for missing or overwritten image data; the text describes the damage."""


class _JpegWarning(Exception):
    """Raised for a picture that libjpeg has decoded with a warning, which is the text."""


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
    """Whether these bytes (n,) begin as a JPEG does."""
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
        elif marker == _HUFFMAN_TABLES:
            zeros_are_flat = zeros_are_flat and _zeros_are_flat(content)
        elif marker == _QUANTISATION_TABLES:
            has_zero_steps = has_zero_steps or _has_zero_steps(content)
        elif marker == _RESTART_INTERVAL and len(content) >= 2:
            interval = int.from_bytes(content[:2], "big")
        elif marker == _APP1 and content.startswith(b"Exif"):
            has_exif = True
        elif marker == _ADOBE and content.startswith(b"Adobe"):
            has_adobe = True
        elif marker == _LS_FRAME:
            unusual = "a JPEG-LS picture"
        elif marker == _START_OF_SCAN:
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
    """Whether a quantisation table, of 8 or 16 bits, holds a zero."""
    while tables:
        item = 2 if tables[0] >> 4 else 1
        steps = tables[1 : 1 + 64 * item]
        if any(not any(steps[i : i + item]) for i in range(0, len(steps), item)):
            return True
        tables = tables[1 + 64 * item :]
    return False


def _zeros_are_flat(tables: bytes) -> bool:
    """Whether the first symbol of each table, whose code is all zeros, is 0."""
    while len(tables) > 17:
        count = sum(tables[1:17])
        if tables[17] != 0:
            return False
        tables = tables[17 + count :]
    return True


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
    ends = np.flatnonzero(markers == _END_OF_IMAGE[1])
    if not ends.size:
        return "it is truncated (no end marker)"
    markers = markers[: ends[0]]
    is_restart = (markers >= _FIRST_RESTART) & (markers <= _LAST_RESTART)
    restarts = markers[is_restart].astype(np.int64) - _FIRST_RESTART
    scan_of_marker = np.cumsum(markers == _START_OF_SCAN)[is_restart]
    others = set(markers[~is_restart].tolist()) - _BETWEEN_SCANS
    if others:
        return f"a part of its data is overwritten (marker 0xff{min(others):02x} inside)"
    if restarts.size and not header.restart_interval and _RESTART_INTERVAL not in markers:
        return "a part of its data is overwritten (restart marker inside)"
    # The markers count from 0 in every scan.
    place_in_scan = np.arange(restarts.size) - np.searchsorted(scan_of_marker, scan_of_marker)
    if not np.array_equal(restarts, place_in_scan % 8):
        return "a part of its data is missing or repeated (restart markers out of order)"
    if header.is_baseline and header.restart_interval and _START_OF_SCAN not in markers:
        expected = (_units(header) - 1) // header.restart_interval
        if restarts.size < expected:
            return f"a part of its data is missing ({restarts.size} of {expected} restart markers)"
    raw = scans.tobytes()
    if _lacks_scans(header, raw):
        return "a part of its data is missing (scans)"
    if not header.zeros_are_flat and 0 <= raw.find(bytes(_ZERO_RUN_BYTES)) < raw.find(_END_OF_IMAGE):
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
    scans = scans[: scans.find(_END_OF_IMAGE)]
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
    raw = raw[: raw.find(_END_OF_IMAGE)].rstrip(b"\xff")
    restart = max((raw.rfind(bytes([0xFF, marker])) for marker in range(_FIRST_RESTART, _LAST_RESTART + 1)), default=-1)
    tail = raw[restart + 2 if restart >= 0 else 0 :]
    # The last byte holds padding.
    length = min(_MOST_PERIODIC_BYTES, units * _LEAST_BITS_PER_MCU // 8)
    if min(length, len(tail) - 1) < _LEAST_PERIODIC_BYTES:
        return False
    tail = tail[-length - 1 : -1]
    return not any(tail[shift:] == tail[:-shift] for shift in range(1, len(tail) - _LEAST_REPEATED_BYTES + 1))


def missing_decoder() -> str:
    """Return what the absence of simplejpeg costs here, and the remedy; empty where it is installed."""
    if simplejpeg is not None:
        return ""
    _, sample = cv2.imencode(".jpg", np.full((64, 64), np.arange(64), np.uint8))
    sample = sample.ravel()
    with native_messages(_WARNING) as warnings:
        # A JPEG that ends early gives a warning, if this OpenCV passes on any.
        cv2.imdecode(np.concatenate([sample[: -sample.size // 8], sample[-2:]]), cv2.IMREAD_GRAYSCALE)
    if warnings:
        cost = "JPEGs take longer to decode"
    else:
        cost = "damage in progressive JPEGs and repeated or shifted parts of others are not noticed"
    return f"simplejpeg is not installed: {cost}. Install it with 'python3 -m pip install simplejpeg'"


def decode_jpeg(data: npt.NDArray[np.uint8], flags: int = cv2.IMREAD_COLOR) -> Image | None:
    """Pixels of JPEG bytes (n,) as (H, W, 3) BGR, the orientation tag applied; None where OpenCV cannot decode them.

    Args:
        flags: Of ``cv2.imdecode``, for pictures that it has to decode (with Exif, or of other colours).

    Raises:
        DamagedJpeg: A part of the data is missing or overwritten, although it would decode.
        cv2.error: OpenCV refuses it.
    """
    header = read_header(data)
    if header.padding:
        kept = np.ones(data.size, np.bool_)
        for start, end in header.padding:
            kept[start:end] = False
        data = data[kept]
        header = read_header(data)
    damage = damage_in_markers(data, header)
    if damage:
        raise DamagedJpeg(damage)
    decode = _decode_with_opencv if simplejpeg is None else _decode_with_simplejpeg
    for _ in range(_MOST_AMENDMENTS):
        try:
            return decode(data, header, flags)
        except _JpegWarning as warning:
            text = str(warning)
        amended = _amended(data, header, text)
        if amended is None:
            surplus = _SURPLUS.match(text)
            if surplus is not None and int(surplus[1]) <= _FEW_SURPLUS_BYTES:
                with native_messages(_WARNING):
                    return _imdecode(data, flags)
            break
        # Decoded again, because a first warning hides all others.
        data = amended
    raise DamagedJpeg(f"a part of its data is missing or overwritten ({text})")


def _amended(data: npt.NDArray[np.uint8], header: JpegHeader, warning: str) -> npt.NDArray[np.uint8] | None:
    """Return the JPEG without the harmless defect that caused a warning; None where it is not harmless.

    After damage, a decoder finds the codes again but counts other units, and the picture is shifted. The surplus is
    then the code of the last units. So more than a few bytes are harmless only where they cannot be code: zeros, unless
    all codes of flat blocks are zeros.
    """
    raw = data.tobytes()
    head, scans = raw[: header.data_start], raw[header.data_start :]
    amended = raw
    if _SURPLUS.match(warning):
        if not header.zeros_are_flat:
            amended = head + _PADDING.sub(b"", scans)
    elif warning.startswith("Warning: unknown JFIF") and (version := _JFIF.search(head)):
        amended = raw[: version.start(1)] + b"\1\1" + raw[version.end(1) :]
    elif warning.startswith("Invalid SOS parameters for sequential") and header.is_baseline:
        amended = head[: -len(_SEQUENTIAL_SCAN)] + _SEQUENTIAL_SCAN + scans
    return None if amended == raw else np.frombuffer(amended, np.uint8)


def _decode_with_simplejpeg(data: npt.NDArray[np.uint8], header: JpegHeader, flags: int) -> Image | None:
    raw = np.ascontiguousarray(data)
    is_coloured = header.components in (1, 3)
    try:
        if is_coloured and not header.has_exif:
            return np.asarray(simplejpeg.decode_jpeg(raw, "BGR"), np.uint8)
        # OpenCV decodes these; here every code is read, but few pixels are computed.
        simplejpeg.decode_jpeg(raw, "GRAY" if is_coloured else "CMYK", min_height=1, min_width=1, min_factor=1)
    except ValueError as error:
        raise _JpegWarning(str(error)) from error
    return _imdecode(data, flags)


def _decode_with_opencv(data: npt.NDArray[np.uint8], header: JpegHeader, flags: int) -> Image | None:
    with native_messages(_WARNING) as warnings:
        pixels = _imdecode(data, flags)
    if warnings:
        raise _JpegWarning(warnings[0][0])
    if pixels is None:
        return None
    as_stored = pixels
    if header.has_exif:
        stored = _imdecode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        as_stored = pixels if stored is None else stored
    if ends_in_missing_data(data, header, as_stored):
        raise DamagedJpeg("a part of its data is missing (its end is blank)")
    return pixels


def _imdecode(data: npt.NDArray[np.uint8], flags: int) -> Image | None:
    decoded = cv2.imdecode(data, flags)
    return None if decoded is None else np.asarray(decoded, np.uint8)
