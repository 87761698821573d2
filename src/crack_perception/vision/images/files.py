# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images given as files or arrays, as BGR frames."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.memory import available_bytes
from crack_perception.vision.images.blank import LEAST_SIDE_PX, lost_part
from crack_perception.vision.images.headers import WHITE_IS_ZERO, PictureHeader, other_format, read_picture_header
from crack_perception.vision.images.jpeg.decoding import DamagedJpeg, decode_jpeg
from crack_perception.vision.images.jpeg.segments import is_jpeg
from crack_perception.vision.images.samples import SampleScaler

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dng")
RAW_SUFFIXES = (".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".raf", ".orf", ".rw2", ".pef", ".srw")

MOST_PIXELS = 1 << 30
"""Pixels of a picture that OpenCV reads."""

# Decoded twice at most (with its alpha channel and in colour), and copied. Small ones fit everywhere.
_BYTES_PER_PIXEL = 10
_SMALL_PIXELS = 50_000_000
# Even flat areas take more bytes; only a picture without any content is smaller.
_MOST_PIXELS_PER_BYTE = 300
_USUAL_COMPRESSIONS = ("LZW", "Deflate", "JPEG", "PackBits")
_FORMATS = "JPEG, PNG, TIFF, WebP or BMP"
# Kind of a file that is no picture (a part of the name in ``other_format``) -> what to do.
_OTHER_REMEDIES = (
    ("Git LFS pointer", "Run 'git lfs pull' in its repository, or copy it again from its source"),
    ("full of zeros", "Copy it again from its source"),
    ("web page", "Download the picture itself"),
    ("archive", "Unpack it"),
    *((kind, f"Export its pictures as {_FORMATS}") for kind in ("PDF", "SVG", "XML")),
    ("video", "Give it to 'crack_perception detect', or save its frames as pictures"),
)
# A no-data border is at least this share of the picture; smaller flat corners are shadows and highlights.
_LEAST_BORDER_SHARE = 0.01


@dataclass(frozen=True)
class Picture:
    """A picture and where it holds data.

    Attributes:
        pixels: (H, W, 3) BGR; no-data pixels hold the mean colour of the others.
        has_data: (H, W), False where it is transparent or in a no-data border; None where all of it is data.
    """

    pixels: Image
    has_data: Mask | None = None


def to_bgr(image: npt.NDArray[np.generic], has_data: Mask | None = None) -> Image:
    """Convert a decoded image, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), 8 or 16 bit, to BGR uint8.

    16-bit samples are scaled by the range that they use, see ``SampleScaler``.

    Args:
        has_data: (H, W) of the samples that decide about the range; all when None.

    Raises:
        ValueError: Another shape or depth.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise ValueError(f"a picture has 1, 3 or 4 channels, got shape {image.shape}")
    if image.dtype == np.uint16:
        deep = image.astype(np.uint16, copy=False)
        # Alpha has a range of its own.
        pixels: Image = SampleScaler().to_8_bit(deep[..., :3] if image.ndim == 3 else deep, has_data)
    elif image.dtype == np.uint8:
        pixels = image.astype(np.uint8, copy=False)
    else:
        raise ValueError(f"pictures have 8 or 16 bits a channel, got {image.dtype}")
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if pixels.shape[2] == 4:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), dtype=np.uint8)
    return pixels


def as_picture(image: npt.NDArray[np.uint8] | str | os.PathLike[str]) -> Picture:
    """Return an image that is given as an array or as the path of a file.

    Args:
        image: BGR (H, W, 3), BGRA (H, W, 4) or grey (H, W), uint8, or the path of an image file. Pixels that are
            transparent, or masked in a ``numpy.ma.MaskedArray``, hold no data.

    Raises:
        UserError: It cannot be read, is no 8-bit image, is too small to show a crack, or holds no picture.
    """
    if isinstance(image, str | os.PathLike):
        return read_masked_picture(Path(image))
    remedy = "Give a BGR image (H, W, 3) of uint8, or the path of an image file"
    if not isinstance(image, np.ndarray):
        raise UserError(f"an object of type {type(image).__name__} is not an image", remedy)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or not image.size:
        raise UserError(f"an array of {image.dtype} {image.shape} is not an 8-bit image", remedy)
    try:
        pixels = np.ascontiguousarray(to_bgr(np.asarray(image)))
    except ValueError as error:
        raise UserError(str(error), remedy) from error
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST_SIDE_PX:
        raise UserError(
            f"an array of {image.shape} is too small to show a crack",
            f"Give images of {LEAST_SIDE_PX} px a side or more",
        )
    has_data = _array_data(image)
    if has_data is not None and not has_data.any():
        raise UserError(f"an array of {image.shape} is transparent or masked all over", "Give an image with data")
    if lost_part(pixels).startswith("all"):
        raise UserError(f"an array of {image.shape} holds no picture, {lost_part(pixels)}", "Leave it out")
    stored = Picture(pixels, None if has_data is None or has_data.all() else has_data)
    return _filled(stored)


def _array_data(image: npt.NDArray[np.uint8]) -> Mask | None:
    """(H, W) where an array holds data by its alpha channel and its mask; None where it has neither."""
    has_data = np.ones(image.shape[:2], np.bool_)
    is_masked = isinstance(image, np.ma.MaskedArray)
    if is_masked:
        masked = np.ma.getmaskarray(image)
        has_data &= ~(masked.any(axis=2) if masked.ndim == 3 else masked)
    has_alpha = image.ndim == 3 and image.shape[2] == 4
    if has_alpha:
        has_data &= np.asarray(image)[..., 3] > 0
    return has_data if is_masked or has_alpha else None


def read_picture(path: Path) -> Image:
    """Read an image as BGR (H, W, 3), with the orientation tag applied.

    Raises:
        UserError: No such file, not a whole picture, too large, or samples that are no colours.
    """
    return read_masked_picture(path).pixels


def read_masked_picture(path: Path) -> Picture:
    """Read an image and the mask of its pixels with data; the others get the mean colour.

    Raises:
        UserError: As ``read_picture``, or none of its pixels holds data.
    """
    return _filled(read_stored_picture(path))


def _filled(stored: Picture) -> Picture:
    """Return a picture whose pixels without data have the mean colour of the others."""
    if stored.has_data is None:
        return stored
    filled = stored.pixels.copy()
    filled[~stored.has_data] = np.round(cv2.mean(stored.pixels, stored.has_data.astype(np.uint8))[:3])
    return Picture(filled, stored.has_data)


def read_stored_picture(path: Path) -> Picture:
    """Read an image as ``read_masked_picture`` does, but keep the stored colour of pixels without data.

    Raises:
        UserError: As ``read_masked_picture``.
    """
    try:
        if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
            # A pipe without a writer would block for ever.
            raise UserError(f"{path}: is not a regular file", "Save the picture as a file, and give that")
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", "Check the path") from error
    if not data.size:
        raise UserError(f"{path}: is not a picture, the file is empty", "Copy it again from its source")
    header = read_picture_header(data)
    if header.is_camera_raw or (path.suffix.lower() in RAW_SUFFIXES and header.format in ("", "TIFF")):
        return Picture(_developed(path))
    _check_header(path, header, data.size)
    if not header.format:
        # OpenCV reads some of these, but nothing checks whether they are whole.
        raise _undecodable(path, data, header)
    try:
        # An alpha channel of a JPEG does not exist, and OpenCV turns only pictures that it reads in colour.
        decoded = decode_jpeg(data) if is_jpeg(data) else _decode_other(data, header.has_exif)
    except DamagedJpeg as error:
        raise UserError(f"{path}: is a damaged JPEG: {error}", "Copy it again from its source") from error
    except cv2.error as error:
        raise UserError(f"{path}: cannot be decoded ({error.err})", _remedy(header)) from error
    if decoded is None:
        raise _undecodable(path, data, header)
    if header.photometric == WHITE_IS_ZERO and decoded.dtype == np.uint16:
        # OpenCV inverts such pictures of 8 bits only.
        decoded = ((1 << header.bits) - 1 - decoded).astype(np.uint16)
    has_data = _data_mask(path, decoded, header)
    try:
        pixels = to_bgr(decoded, has_data)
    except ValueError as error:
        raise UserError(f"{path}: {error}", "Convert it to 8-bit colour") from error
    _check_content(path, pixels, header, has_data)
    return Picture(pixels, has_data)


def _undecodable(path: Path, data: npt.NDArray[np.uint8], header: PictureHeader) -> UserError:
    if header.compression:
        return UserError(
            f"{path}: is a TIFF with {header.compression} compression that OpenCV cannot decode",
            "Copy it again, or save it with LZW or Deflate",
        )
    if header.format:
        return UserError(f"{path}: is a {header.format} that OpenCV cannot decode", _remedy(header))
    other = other_format(data)
    return UserError(f"{path}: is {other or 'not a picture'}", _remedy_for(other) if other else _remedy(header))


def _remedy_for(other: str) -> str:
    """Return the remedy for a file of another kind; only pictures can be converted."""
    return next((remedy for kind, remedy in _OTHER_REMEDIES if kind in other), f"Convert it to {_FORMATS}")


def _check_content(path: Path, pixels: Image, header: PictureHeader, has_data: Mask | None) -> None:
    """Refuse pictures of one colour, and lost parts of formats that have no checksum."""
    lost = lost_part(pixels)
    if lost.startswith("all") and header.compression not in ("", *_USUAL_COMPRESSIONS):
        # Without its decoder, libtiff leaves the picture black.
        raise UserError(
            f"{path}: is a TIFF with {header.compression} compression that OpenCV cannot decode",
            "Save it with LZW or Deflate",
        )
    if lost.startswith("all"):
        raise UserError(f"{path}: holds no picture, {lost}", "Leave it out, or copy it again")
    if lost and header.format not in ("JPEG", "PNG", "WebP") and has_data is None:
        raise UserError(f"{path}: is a damaged {header.format or 'picture'}: {lost}", "Copy it again")


def _remedy(header: PictureHeader) -> str:
    return "Copy it again, or save it in another format" if header.format else f"Use {_FORMATS}"


def _check_header(path: Path, header: PictureHeader, stored_bytes: int) -> None:
    if header.pixels > MOST_PIXELS:
        raise UserError(
            f"{path}: has {header.pixels / 1e6:.0f} megapixels, more than the {MOST_PIXELS / 1e6:.0f} that can be read",
            "Cut it into parts",
        )
    if header.pixels > max(_SMALL_PIXELS, _MOST_PIXELS_PER_BYTE * stored_bytes):
        raise UserError(
            f"{path}: holds no picture, {stored_bytes / 1e6:.1f} MB stand for {header.pixels / 1e6:.0f} megapixels",
            "Leave it out, or copy it again",
        )
    needed = header.pixels * _BYTES_PER_PIXEL
    available = available_bytes() if header.pixels > _SMALL_PIXELS else None
    if available is not None and needed > available:
        raise UserError(
            f"{path}: has {header.pixels / 1e6:.0f} megapixels, which need {needed / 1e9:.1f} GB of memory; "
            f"{available / 1e9:.1f} GB are free",
            "Cut it into parts",
        )
    if header.is_thumbnail_first:
        raise UserError(
            f"{path}: has a reduced copy ({header.width_px} x {header.height_px} px) before its picture",
            "Save the full picture as a file of its own",
        )
    if header.unusual:
        raise UserError(f"{path}: is {header.unusual}", "Save it as a JPEG of 8 bits in RGB, or as PNG or TIFF")
    if header.damage:
        raise UserError(f"{path}: is a damaged {header.format or 'picture'}: {header.damage}", "Copy it again")
    if header.is_animated:
        raise UserError(f"{path}: is an animation", "Save each of its pictures as a file of its own")
    if header.bits == 1:
        raise UserError(f"{path}: has only black and white pixels (1 bit)", "Give the picture in grey or in colour")
    if header.pixels and min(header.width_px, header.height_px) < LEAST_SIDE_PX:
        raise UserError(
            f"{path}: is too small to show a crack ({header.width_px} x {header.height_px} px)",
            f"Give pictures of {LEAST_SIDE_PX} px a side or more",
        )
    if header.is_float:
        raise UserError(f"{path}: has float samples", "Convert it to 8-bit colour")
    if header.format == "TIFF":
        if header.channels not in (1, 3, 4):  # of two, OpenCV drops the second, which may be an alpha channel
            raise UserError(f"{path}: has {header.channels} bands", "Convert it to 8-bit colour")
        if header.bits > 16:
            raise UserError(f"{path}: has {header.bits} bits a sample", "Convert it to 8-bit colour")
        if header.pages > 1:
            raise UserError(f"{path}: has {header.pages} pages", "Save each page as a file of its own")


def _decode_other(data: npt.NDArray[np.uint8], has_exif: bool) -> npt.NDArray[Any] | None:
    """A picture that is no JPEG, with its alpha channel and its depth, the orientation tag applied."""
    decoded: npt.NDArray[Any] | None = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    has_alpha = (
        decoded is not None and decoded.ndim == 3 and decoded.shape[2] == 4 and decoded.dtype in (np.uint8, np.uint16)
    )
    if has_alpha and not has_exif:
        return decoded
    # Palettes, subsampled colours and orientation tags are resolved on this way only.
    again = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if again is None:
        return None
    return _turned_as(np.asarray(again), decoded) if has_alpha and decoded is not None else np.asarray(again)


def _turned_as(colours: npt.NDArray[Any], decoded: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a picture with alpha (H, W, 4) turned and mirrored like its colours, (H, W, 3) or (W, H, 3)."""
    for picture in (decoded, decoded.transpose(1, 0, 2)):
        for turned in (picture, picture[::-1], picture[:, ::-1], picture[::-1, ::-1]):
            if np.array_equal(turned[..., :3], colours):
                return np.ascontiguousarray(turned)
    return decoded


def _data_mask(path: Path, decoded: npt.NDArray[Any], header: PictureHeader) -> Mask | None:
    """(H, W) where a decoded picture holds data; None where all of it does."""
    if decoded.ndim == 3 and decoded.shape[2] == 4:
        has_data = decoded[..., 3] > 0
        if not has_data.any():
            raise UserError(f"{path}: is transparent all over", "Export it with its picture, or leave it out")
    else:
        has_data = ~no_data_border(decoded)
    if header.no_data is not None:
        is_void = decoded == header.no_data
        has_data = has_data & ~(is_void.all(axis=2) if is_void.ndim == 3 else is_void)
    return None if has_data.all() or not has_data.any() else has_data


def no_data_border(pixels: npt.NDArray[Any]) -> Mask:
    """(H, W) where large areas of pure black or pure white touch the edge of a picture, as in orthophotos.

    Args:
        pixels: (H, W) or (H, W, 3), 8 or 16 bit; other types have no such border.
    """
    border = np.zeros(pixels.shape[:2], np.bool_)
    if pixels.dtype not in (np.uint8, np.uint16) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        return border
    for level in (0, int(np.iinfo(pixels.dtype).max)):
        # Corners decide quickly for nearly every picture: a mosaic's outline leaves at least one of them empty.
        if not any((pixels[y, x] == level).all() for y in (0, -1) for x in (0, -1)):
            continue
        flat = cv2.inRange(pixels, (level,) * 4, (level,) * 4)
        count, labels, statistics, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
        edges = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        is_large = statistics[:, cv2.CC_STAT_AREA] >= _LEAST_BORDER_SHARE * border.size
        chosen = np.zeros(count, np.bool_)
        chosen[edges] = is_large[edges]
        chosen[0] = False
        border |= chosen[labels]
    return border


def _developed(path: Path) -> Image:
    """A camera raw file as (H, W, 3) BGR, developed with the camera's white balance.

    Raises:
        UserError: rawpy is not installed or cannot read the file.
    """
    remedy = "Develop it to JPEG or 16-bit TIFF"
    try:
        import rawpy
    except ImportError as error:
        raise UserError(f"{path}: is a camera raw file", f"{remedy}, or install rawpy") from error
    try:
        with rawpy.imread(str(path)) as raw:
            developed = raw.postprocess(use_camera_wb=True, output_bps=8)
    except Exception as error:  # rawpy's own errors have no common base that is not Exception
        raise UserError(f"{path}: is a camera raw file that rawpy cannot read ({error})", remedy) from error
    return np.ascontiguousarray(developed[..., ::-1], np.uint8)
