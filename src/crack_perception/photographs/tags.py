# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""EXIF and XMP tags of a JPEG.

Only the segments before the picture data are read, and of these only the ones with tags: a picture of any size, or a
damaged one, costs little. Sources: CIPA DC-008 (EXIF 2.3), Adobe XMP part 3, ITU-T T.81 annex B.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO

from crack_perception.errors import UserError
from crack_perception.photographs.xmp import values_in

Value = str | float | tuple[float, ...]

_EXIF, _XMP = b"Exif\x00\x00", b"http://ns.adobe.com/xap/1.0/\x00"
_APP1, _START_OF_SCAN, _END_OF_IMAGE = 0xE1, 0xDA, 0xD9
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_MOST_SEGMENTS = 4096
_MOST_ENTRIES = 512
_MOST_ITEMS = 1024

_ORIENTATION, _MAKE, _MODEL, _EXIF_IFD, _GPS_IFD = 0x112, 0x10F, 0x110, 0x8769, 0x8825
# Type -> bytes and struct code of an item; rationals are read as two integers.
_TYPES = {1: (1, "B"), 2: (1, "s"), 3: (2, "H"), 4: (4, "I"), 5: (8, "II"), 7: (1, "B"), 9: (4, "i"), 10: (8, "ii")}

_NAMES = {
    ("", _MAKE): "Make",
    ("", _MODEL): "Model",
    ("", _ORIENTATION): "Orientation",
    ("Exif", 0x9003): "DateTimeOriginal",
    ("Exif", 0x9011): "OffsetTimeOriginal",
    ("Exif", 0x9291): "SubSecTimeOriginal",
    ("Exif", 0x920A): "FocalLength",
    ("Exif", 0xA002): "PixelXDimension",
    ("Exif", 0xA003): "PixelYDimension",
    ("Exif", 0xA20E): "FocalPlaneXResolution",
    ("Exif", 0xA210): "FocalPlaneResolutionUnit",
    ("Exif", 0xA405): "FocalLengthIn35mmFilm",
    ("Exif", 0xA431): "BodySerialNumber",
    ("GPS", 1): "GPSLatitudeRef",
    ("GPS", 2): "GPSLatitude",
    ("GPS", 3): "GPSLongitudeRef",
    ("GPS", 4): "GPSLongitude",
    ("GPS", 5): "GPSAltitudeRef",
    ("GPS", 6): "GPSAltitude",
}
"""(Directory, number) -> name of the tags that are read."""


@dataclass(frozen=True)
class PhotographTags:
    """Tags of one photograph.

    Attributes:
        size_px: Stored width and height, before the orientation is applied; None where the header is damaged.
        exif: Values by name; rationals as numbers, arrays as tuples.
        dji: XMP values by the names that DJI gives them, as text, of other makers as well.
    """

    size_px: tuple[int, int] | None = None
    exif: Mapping[str, Value] = field(default_factory=dict)
    dji: Mapping[str, str] = field(default_factory=dict)

    @property
    def orientation(self) -> int:
        """EXIF orientation, 1 (as stored) to 8; 1 where it is missing or impossible."""
        value = self.exif.get("Orientation", 1)
        return int(value) if isinstance(value, float | int) and value in range(1, 9) else 1

    @property
    def camera_name(self) -> str:
        """Make, model and serial number of the camera; empty where they are not known."""
        parts = [str(self.exif.get(name, "")).strip() for name in ("Make", "Model", "BodySerialNumber")]
        return " ".join(part for part in parts if part)

    @property
    def taken_ns(self) -> int | None:
        """Time of exposure in nanoseconds since 1970; None where it is not known. Without a zone it counts as UTC."""
        exact = time_ns(self.dji.get("UTCAtExposure", ""))
        if exact is not None:
            return exact
        texts = (str(self.exif.get(f"{name}Original", "")) for name in ("DateTime", "SubSecTime", "OffsetTime"))
        return time_ns(*texts)


def read_tags(path: Path) -> PhotographTags:
    """Read the tags of a picture; empty for a picture that is no JPEG, and what can be read of a damaged one.

    Raises:
        UserError: The file cannot be read.
    """
    size_px: tuple[int, int] | None = None
    exif: dict[str, Value] = {}
    dji: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            for marker, content in _segments(file):
                if marker in _FRAME_HEADERS and len(content) >= 5:
                    height, width = struct.unpack(">HH", content[1:5])
                    size_px = size_px or (width, height)
                elif content.startswith(_EXIF) and not exif:
                    exif = _exif(content[len(_EXIF) :])
                elif content.startswith(_XMP):
                    dji |= values_in(content[len(_XMP) :])
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", "Check the path and its permissions") from error
    return PhotographTags(size_px, exif, dji)


def _segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of the frame header and the APP1 segments before the picture data."""
    if file.read(2) != b"\xff\xd8":
        return
    for _ in range(_MOST_SEGMENTS):
        lead = file.read(2)
        while len(lead) == 2 and lead == b"\xff\xff":  # fill bytes
            lead = lead[1:] + file.read(1)
        if len(lead) < 2 or lead[0] != 0xFF or lead[1] in (_START_OF_SCAN, _END_OF_IMAGE):
            return
        if lead[1] in _WITHOUT_LENGTH:
            continue
        size = file.read(2)
        if len(size) < 2 or (length := int.from_bytes(size, "big") - 2) < 0:
            return
        if lead[1] == _APP1 or lead[1] in _FRAME_HEADERS:
            yield lead[1], file.read(length)
        else:
            file.seek(length, 1)


def _exif(data: bytes) -> dict[str, Value]:
    """Return the known tags of an EXIF block; a damaged directory ends where it is damaged."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return {}
    values: dict[str, Value] = {}
    pending = [("", struct.unpack(f"{order}I", data[4:8])[0])]
    done: set[int] = set()
    while pending:
        directory, at = pending.pop()
        if at in done:
            continue
        done.add(at)
        for number, value in _entries(data, at, order):
            if directory == "" and number in (_EXIF_IFD, _GPS_IFD) and isinstance(value, float):
                pending.append(("Exif" if number == _EXIF_IFD else "GPS", int(value)))
            elif (name := _NAMES.get((directory, number))) is not None:
                values.setdefault(name, value)
    return values


def _entries(data: bytes, at: int, order: str) -> Iterator[tuple[int, Value]]:
    """Yield number and value of the entries of a directory that can be read."""
    if at + 2 > len(data):
        return
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for index in range(min(count, _MOST_ENTRIES)):
        entry = at + 2 + 12 * index
        if entry + 12 > len(data):
            return
        number, kind, items = struct.unpack_from(f"{order}HHI", data, entry)
        if kind not in _TYPES or items > _MOST_ITEMS:
            continue
        item_bytes, code = _TYPES[kind]
        start = entry + 8
        if item_bytes * items > 4:
            (start,) = struct.unpack_from(f"{order}I", data, start)
        raw = data[start : start + item_bytes * items]
        if len(raw) < item_bytes * items or not items:
            continue
        if kind == 2:
            yield number, raw.split(b"\x00")[0].decode("utf-8", "replace")
            continue
        numbers = struct.unpack(f"{order}{code * items}", raw)
        if len(code) == 2:
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            numbers = tuple(above / below if below else float("nan") for above, below in pairs)
        floats = tuple(float(each) for each in numbers)
        yield number, floats[0] if len(floats) == 1 else floats


def time_ns(text: str, fraction: str = "", zone: str = "") -> int | None:
    """Return the nanoseconds since 1970 of a time, in UTC without a zone; None where it is none, or before 1990.

    Args:
        text: ``YYYY:MM:DD hh:mm:ss[.f]``, or with ``-`` in the date and ``T`` before the time.
        fraction: Digits of the fraction of a second, where the text has none.
        zone: ``+hh:mm``, ``Z`` or empty.
    """
    moment, _, digits = text.strip().partition(".")
    try:
        seconds = datetime.strptime(moment[:19].replace("-", ":").replace("T", " "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    if seconds.year < 1990:  # a clock that was never set
        return None
    offset = timedelta()
    match = re.fullmatch(r"([+-])(\d\d):(\d\d)", zone.strip())
    if match:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3])) * (-1 if match[1] == "-" else 1)
    since = (seconds - offset).replace(tzinfo=timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    digits = re.sub(r"\D.*", "", (digits or fraction).strip())[:9]
    return int(since.total_seconds()) * 1_000_000_000 + int(digits.ljust(9, "0") or 0)
