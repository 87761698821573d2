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

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.images.jpeg.damage import damage_in_markers, ends_in_missing_data
from crack_perception.vision.images.jpeg.segments import JpegHeader, read_header
from crack_perception.vision.images.native_messages import native_messages

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

Image = npt.NDArray[np.uint8]

_SURPLUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker")
_WARNING = re.compile(
    r"^(Corrupt JPEG data|Premature end of JPEG|In(valid|consistent) |Warning: unknown JFIF).*$", re.MULTILINE
)
# Webcams write a few bytes too many before markers. A shifted picture seldom has so few.
_FEW_SURPLUS_BYTES = 8
# A zero after 0xff is part of the data, and a single one may be the end of a code.
_PADDING = re.compile(rb"(?<!\xff)\0{2,}(?=\xff+[^\0\xff])")
_JFIF = re.compile(rb"\xff\xe0..JFIF\0(..)", re.DOTALL)
_SEQUENTIAL_SCAN = bytes([0, 63, 0])
# One of each kind: padding before markers, another version of JFIF, scan parameters that sequential pictures ignore.
_MOST_AMENDMENTS = 3


class DamagedJpeg(Exception):
    """Raised for missing or overwritten image data; the text describes the damage."""


class _JpegWarning(Exception):
    """Raised for a picture that libjpeg has decoded with a warning, which is the text."""


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
