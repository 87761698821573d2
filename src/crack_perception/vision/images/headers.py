# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parsing of image file headers before decoding: format, size, samples and pages."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crack_perception.vision.images.jpeg.segments import is_jpeg, read_header
from crack_perception.vision.images.tiff_strips import COMPRESSION_NAMES, NONE, damage_in_strips

Bytes = npt.NDArray[np.uint8]

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF_ITEM_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_TIFF_ITEM_CODES = {
    1: "B",
    2: "B",
    3: "H",
    4: "I",
    6: "b",
    7: "B",
    8: "h",
    9: "i",
    11: "f",
    12: "d",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _CHANNELS = (
    254,
    256,
    257,
    258,
    259,
    262,
    273,
    277,
)
_STRIP_BYTES, _TILES, _TILE_BYTES, _SUB_IFDS, _SAMPLE_FORMAT = 279, 324, 325, 330, 339
_JPEG_TABLES, _GDAL_NO_DATA, _DNG_VERSION, _CFA = 347, 42113, 50706, 32803
_REDUCED_OR_MASK = 1 | 4
_WEBP_ANIMATION, _WEBP_EXIF = 2, 8
# Its coders leave no such run.
_WEBP_ZERO_RUN = bytes(64)
_MOST_PAGES = 1000
_FLOAT_SAMPLES = 3
WHITE_IS_ZERO = 0
"""Photometric interpretation of a TIFF whose zeros are white."""


@dataclass(frozen=True)
class PictureHeader:
    """Header of an image file.

    Attributes:
        format: ``JPEG``, ``PNG``, ``TIFF``, ``WebP``, ``BMP``, or empty for any other.
        width_px, height_px: Of the picture; 0 where the header does not say.
        channels: Of a TIFF; 0 else.
        bits: Of a sample of a PNG, TIFF or BMP; 0 else.
        is_float: Its samples are floating-point numbers.
        is_camera_raw: It holds a sensor's samples; what else is in it is a thumbnail.
        has_exif: Of a PNG or WebP: it has an Exif segment, which may ask for another orientation.
        pages: Pictures of full size in the file.
        is_animated: The pictures are frames of an animation.
        photometric: Of a TIFF; -1 else.
        compression: Name of a TIFF's compression; empty where it has none or it is unknown.
        no_data: Value of the samples without data (GDAL); None without.
        is_thumbnail_first: The first picture is a reduced copy of one that follows it.
        unusual: Kind of JPEG that is not read, with its article; empty for the usual ones.
        damage: What is missing from the file; empty where nothing is known to be.
    """

    format: str = ""
    width_px: int = 0
    height_px: int = 0
    channels: int = 0
    bits: int = 0
    is_float: bool = False
    is_camera_raw: bool = False
    pages: int = 1
    is_animated: bool = False
    has_exif: bool = False
    photometric: int = -1
    compression: str = ""
    no_data: int | None = None
    is_thumbnail_first: bool = False
    unusual: str = ""
    damage: str = ""

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width_px * self.height_px


def read_picture_header(data: Bytes) -> PictureHeader:
    """Parse the header of a picture file's bytes (n,); never raises, whatever the bytes are."""
    start = data[:32].tobytes()
    try:
        if is_jpeg(data):
            jpeg = read_header(data)
            return PictureHeader("JPEG", jpeg.width_px, jpeg.height_px, unusual=jpeg.unusual)
        if start.startswith(_PNG):
            return _png(data)
        if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _Tiff(data).header()
        if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
            return _webp(data, start)
        if start[:2] == b"BM" and len(start) >= 26:
            return _bmp(data, start)
    except (struct.error, IndexError, OverflowError, ValueError, KeyError):
        return PictureHeader(damage="its header is damaged")
    return PictureHeader()


def _png(data: Bytes) -> PictureHeader:
    raw = np.ascontiguousarray(data).data
    width, height = struct.unpack(">II", raw[16:24]) if len(raw) >= 24 else (0, 0)
    bits = raw[24] if len(raw) > 24 else 0
    damage, position, is_animated, has_exif = "it is truncated (no end chunk)", len(_PNG), False, False
    while position + 12 <= len(raw):
        (length,) = struct.unpack(">I", raw[position : position + 4])
        end = position + 8 + length
        if end + 4 > len(raw):
            break
        kind = bytes(raw[position + 4 : position + 8])
        # Only critical chunks, whose name begins with a capital, matter to the picture.
        is_critical = not kind[0] & 0x20
        if is_critical and zlib.crc32(raw[position + 4 : end]) != struct.unpack(">I", raw[end : end + 4])[0]:
            damage = "a part of its data is overwritten (wrong checksum)"
            break
        is_animated = is_animated or kind == b"acTL"
        has_exif = has_exif or kind == b"eXIf"
        if kind == b"IEND":
            damage = ""
            break
        position = end + 4
    return PictureHeader("PNG", width, height, bits=bits, is_animated=is_animated, has_exif=has_exif, damage=damage)


def _webp(data: Bytes, start: bytes) -> PictureHeader:
    promised = int.from_bytes(start[4:8], "little") + 8
    width = height = 0
    kind = start[12:16]
    flags = start[20] if kind == b"VP8X" else 0
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(start[i : i + 3], "little") for i in (24, 27))
    elif kind == b"VP8L":
        packed = int.from_bytes(start[21:25], "little")
        width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(start[i : i + 2], "little") & 0x3FFF for i in (26, 28))
    damage = f"it is truncated ({data.size} of {promised} bytes)" if data.size < promised else ""
    if not damage and any(_WEBP_ZERO_RUN in content.rstrip(b"\0") for content in _webp_pictures(data)):
        damage = "a part of its data is overwritten with zeros"
    is_animated, has_exif = bool(flags & _WEBP_ANIMATION), bool(flags & _WEBP_EXIF)
    return PictureHeader("WebP", width, height, is_animated=is_animated, has_exif=has_exif, damage=damage)


def _webp_pictures(data: Bytes) -> Iterator[bytes]:
    """The coded pictures of a WebP that is not animated."""
    position = 12
    while position + 8 <= data.size:
        kind = data[position : position + 4].tobytes()
        size = int.from_bytes(data[position + 4 : position + 8].tobytes(), "little")
        if kind in (b"VP8 ", b"VP8L"):
            yield data[position + 8 : position + 8 + size].tobytes()
        position += 8 + size + size % 2


def _bmp(data: Bytes, start: bytes) -> PictureHeader:
    offset, header_bytes, width, height = struct.unpack("<IIii", start[10:26])
    if header_bytes < 40:
        return PictureHeader("BMP")
    bits, compression = struct.unpack("<HI", data[28:34].tobytes())
    promised = offset + (width * bits + 31) // 32 * 4 * abs(height)
    is_short = compression in (0, 3) and data.size < promised
    damage = f"it is truncated ({data.size} of {promised} bytes)" if is_short else ""
    return PictureHeader("BMP", width, abs(height), bits=bits, damage=damage)


@dataclass
class _Tiff:
    """The directories of a TIFF or BigTIFF."""

    data: Bytes
    order: str = field(init=False)
    is_big: bool = field(init=False)

    def __post_init__(self) -> None:
        self.order = "<" if self.data[0] == ord("I") else ">"
        self.is_big = self._number(2, "H") == 43

    def header(self) -> PictureHeader:
        """Return the header from the first directory, with the number of full pages."""
        first, following = self._directory(self._number(8, "Q") if self.is_big else self._number(4, "I"))
        pages, seen, directory = 0, set[int](), first
        while True:
            pages += not self._value(directory, _SUBFILE) & _REDUCED_OR_MASK
            if not following or following in seen or len(seen) >= _MOST_PAGES:
                break
            seen.add(following)
            directory, following = self._directory(following)
        is_thumbnail = bool(self._value(first, _SUBFILE) & 1) and _SUB_IFDS in first
        compression = self._value(first, _COMPRESSION, NONE)
        is_raw = _DNG_VERSION in first or is_thumbnail or self._value(first, _PHOTOMETRIC) == _CFA
        return PictureHeader(
            "TIFF",
            self._value(first, _WIDTH),
            self._value(first, _HEIGHT),
            channels=self._value(first, _CHANNELS, 1),
            bits=self._value(first, _BITS, 1),
            is_float=self._value(first, _SAMPLE_FORMAT, 1) == _FLOAT_SAMPLES,
            is_camera_raw=is_raw,
            pages=pages,
            photometric=self._value(first, _PHOTOMETRIC, -1),
            compression=COMPRESSION_NAMES.get(compression, "" if compression == NONE else f"compression {compression}"),
            no_data=self._no_data(first),
            is_thumbnail_first=bool(self._value(first, _SUBFILE) & 1) and pages > 0,
            damage=self._damage(first, compression),
        )

    def _damage(self, directory: dict[int, list[int]], compression: int) -> str:
        for offsets, sizes in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
            places = list(zip(directory.get(offsets, []), directory.get(sizes, []), strict=False))
            end = max((offset + size for offset, size in places), default=0)
            if end > self.data.size:
                return f"it is truncated ({self.data.size} of {end} bytes)"
            strips = (self.data[offset : offset + size] for offset, size in places)
            damage = damage_in_strips(strips, compression, bytes(directory.get(_JPEG_TABLES, [])))
            if damage:
                return damage
        return ""

    @staticmethod
    def _no_data(directory: dict[int, list[int]]) -> int | None:
        text = bytes(directory.get(_GDAL_NO_DATA, [])).decode("ascii", "replace").strip("\0 ")
        try:
            return int(float(text))
        except (ValueError, OverflowError):
            return None

    def _number(self, position: int, code: str) -> int:
        size = struct.calcsize(code)
        return int(struct.unpack(self.order + code, self.data[position : position + size].tobytes())[0])

    def _directory(self, position: int) -> tuple[dict[int, list[int]], int]:
        """Tags and their numbers, and the position of the next directory (0: none)."""
        code, entry_bytes, value_bytes = ("Q", 20, 8) if self.is_big else ("H", 12, 4)
        count = self._number(position, code)
        position += struct.calcsize(code)
        if position + count * entry_bytes > self.data.size:
            raise ValueError("directory beyond the end of the file")
        tags: dict[int, list[int]] = {}
        for start in range(position, position + count * entry_bytes, entry_bytes):
            tag, kind = self._number(start, "H"), self._number(start + 2, "H")
            items = self._number(start + 4, "Q" if self.is_big else "I")
            place = start + entry_bytes - value_bytes
            if items * _TIFF_ITEM_BYTES.get(kind, 1) > value_bytes:
                place = self._number(place, "Q" if self.is_big else "I")
            if kind not in _TIFF_ITEM_CODES or items * _TIFF_ITEM_BYTES[kind] > self.data.size - place:
                tags[tag] = []
                continue
            item = _TIFF_ITEM_CODES[kind]
            stored = self.data[place : place + items * _TIFF_ITEM_BYTES[kind]].tobytes()
            tags[tag] = [int(value) for value in struct.unpack(f"{self.order}{items}{item}", stored)]
        after = position + count * entry_bytes
        try:
            return tags, self._number(after, "Q" if self.is_big else "I")
        except struct.error:
            return tags, 0

    @staticmethod
    def _value(directory: dict[int, list[int]], tag: int, default: int = 0) -> int:
        return next(iter(directory.get(tag, [])), default)


# Before the first tag; the first three bytes are a mark of UTF-8.
_WHITE_SPACE = b"\xef\xbb\xbf \t\r\n"

_OTHER_FORMATS: tuple[tuple[int, bytes, str], ...] = (
    *((4, b"ftyp" + brand, "a HEIC picture") for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
    *((4, b"ftyp" + brand, "an AVIF picture") for brand in (b"avif", b"avis")),
    (4, b"ftypcrx", "a Canon CR3 camera raw file"),
    (4, b"ftyp", "a video"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    *((0, b"P%d" % number, "a PNM picture") for number in range(1, 8)),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"#?RADIANCE", "a Radiance HDR picture"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file that it stands for"),
    *((0, tag, "a web page") for tag in (b"<!DOCTYPE html", b"<!doctype html", b"<html", b"<HTML")),
    (0, b"<?xml", "an XML document"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"qoif", "a QOI picture"),
    (0, b"II\xbc", "a JPEG XR picture"),
    (0, b"Pf", "a PFM picture"),
    (0, b"PF", "a PFM picture"),
)


def other_format(data: Bytes) -> str:
    """What a file is that is in none of the formats of ``PictureHeader``, with its article; empty when unknown."""
    start = data[:32].tobytes()
    if start.lstrip(_WHITE_SPACE).startswith(b"<"):
        start = start.lstrip(_WHITE_SPACE)
    if data.size and not data[: 1 << 16].any():
        return "full of zeros"
    return next((name for offset, magic, name in _OTHER_FORMATS if start[offset:].startswith(magic)), "")
