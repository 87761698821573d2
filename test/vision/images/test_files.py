# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of reading image files as BGR frames, and of the errors for unusable files."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.vision.images import files as module
from crack_perception.vision.images.files import (
    as_picture,
    read_masked_picture,
    read_picture,
    read_stored_picture,
    to_bgr,
)
from crack_perception.vision.images.headers import read_picture_header
from crack_perception.vision.images.video import is_video

PICTURE = np.random.default_rng(5).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def write(path: Path, pixels: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path


def smooth(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([2 * x, 3 * y, x + y], axis=-1).clip(0, 255).astype(np.uint8)


def orientation_segment(value: int) -> bytes:
    """Return an Exif segment with only the orientation tag."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, value, 0)
    content = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


@pytest.mark.parametrize("suffix", ["png", "tiff", "bmp"])
def test_read_picture_lossless_exact(tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(read_picture(write(tmp_path / f"wall.{suffix}", PICTURE)), PICTURE)


def test_read_picture_format_from_content_not_name(tmp_path: Path) -> None:
    path = write(tmp_path / "wall.png", PICTURE).rename(tmp_path / "Wand – Süd.dat")
    assert np.array_equal(read_picture(path), PICTURE)


def test_read_picture_jpeg_within_loss(tmp_path: Path) -> None:
    image = smooth(64, 48)
    read = read_picture(write(tmp_path / "wall.jpg", image))
    assert np.abs(read.astype(int) - image).max() <= 6


def test_read_picture_grey_alpha_and_deep_become_bgr(tmp_path: Path) -> None:
    grey = PICTURE[..., 0]
    as_bgr = np.repeat(grey[..., None], 3, axis=2)
    assert np.array_equal(read_picture(write(tmp_path / "grey.png", grey)), as_bgr)
    alpha = np.dstack([PICTURE, np.full((20, 30), 9, np.uint8)])
    assert np.array_equal(read_picture(write(tmp_path / "alpha.png", alpha)), PICTURE)
    deep = PICTURE.astype(np.uint16) << 8 | 0x5A
    assert np.array_equal(read_picture(write(tmp_path / "deep.png", deep)), PICTURE)
    assert np.array_equal(read_picture(write(tmp_path / "deep_grey.png", deep[..., 0])), as_bgr)


def test_read_picture_orientation_tag_applied(tmp_path: Path) -> None:
    image = smooth(64, 48)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + orientation_segment(6) + data[2:])
    read = read_picture(path)
    assert read.shape == (64, 48, 3)
    assert np.abs(read.astype(int) - cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)).max() <= 6


def png(width: int, height: int, rows: bytes, bits: int = 8, colours: int = 2, animation: bool = False) -> bytes:
    """Return a PNG of filtered rows, with the chunk of an animation if wanted."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0))
    header += chunk(b"acTL", struct.pack(">II", 2, 0)) if animation else b""
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not a picture"),
        (b"path,crack_score\n", "is not a picture"),
        (cv2.imencode(".jpg", PICTURE)[1].tobytes()[:-200], "is a damaged JPEG: it is truncated"),
        (cv2.imencode(".png", PICTURE)[1].tobytes()[:-200], "is a damaged PNG: it is truncated"),
        (png(100_000, 100_000, b""), "has 10000 megapixels"),
    ],
    ids=["empty", "text", "truncated JPEG", "truncated PNG", "too large"],
)
def test_read_picture_bad_file_named_with_remedy(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_picture(path)
    assert caught.value.problem.startswith(f"{path}: {problem}")
    assert caught.value.remedy


def test_read_picture_missing_file_or_folder_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jpg: cannot be read \(No such file or directory\)"):
        read_picture(tmp_path / "nowhere.jpg")
    with pytest.raises(UserError, match="cannot be read"):
        read_picture(tmp_path)


def test_to_bgr_bgr_not_copied() -> None:
    assert to_bgr(PICTURE) is PICTURE


def test_to_bgr_one_channel_repeated() -> None:
    grey = PICTURE[..., :1]
    assert np.array_equal(to_bgr(grey), np.repeat(grey, 3, axis=2))
    assert np.array_equal(to_bgr(grey[..., 0]), to_bgr(grey))


@pytest.mark.parametrize(
    ("pixels", "problem"),
    [
        (np.zeros((4, 4), np.float32), "8 or 16 bits"),
        (np.zeros((4, 4, 2), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((4, 4, 5), np.uint16), "1, 3 or 4 channels"),
        (np.zeros(4, np.uint8), "1, 3 or 4 channels"),
    ],
)
def test_to_bgr_other_shape_or_depth_refused(pixels: np.ndarray, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        to_bgr(pixels)


def tiff_bytes(*directories: dict[int, tuple[int, int]], data: bytes = b"") -> bytes:
    """Return a little-endian TIFF of directories of tag -> (type, value); pixel data starts at byte 8."""
    content = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    for number, tags in enumerate(directories):
        entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(tags.items()))
        after = len(content) + 2 + len(entries) + 4
        following = 0 if number == len(directories) - 1 else after
        content += struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return content


def grey_directory(bits: int = 8, **tags: int) -> dict[int, tuple[int, int]]:
    """Return the tags of an image of 16 x 16 px in one strip; keyword arguments such as ``t262=0`` set others."""
    values = {256: 16, 257: 16, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: 16 * 16 * bits // 8}
    values.update({int(name[1:]): value for name, value in tags.items()})
    return {tag: (4 if tag in (273, 279, 330) else 3, value) for tag, value in values.items()}


def animated_webp() -> bytes:
    """Return the beginning of an animated WebP."""
    content = b"WEBPVP8X" + struct.pack("<IB", 10, 2) + bytes(3) + b"\x1d\0\0\x13\0\0"
    return b"RIFF" + struct.pack("<I", len(content)) + content


def odd_jpeg(at: int, value: int) -> bytes:
    """Return a JPEG in which a byte of the frame header is changed, counted from its marker."""
    data = bytearray(cv2.imencode(".jpg", PICTURE)[1].tobytes())
    data[data.index(b"\xff\xc0") + at] = value
    return bytes(data)


def one_bit_bmp() -> bytes:
    """Return a BMP of 32 x 16 px with one bit a pixel."""
    header = struct.pack("<IiiHHIIiiII", 40, 32, 16, 1, 1, 0, 64, 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", 126, 0, 0, 62) + header + b"\0\0\0\0\xff\xff\xff\0" + bytes(range(64))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (tiff_bytes(grey_directory(), grey_directory(), data=bytes(256)), "has 2 pages"),
        (tiff_bytes(grey_directory(32, t339=3), data=bytes(1024)), "has float samples"),
        (tiff_bytes(grey_directory(t277=5), data=bytes(1280)), "has 5 bands"),
        (tiff_bytes(grey_directory(t277=2), data=bytes(512)), "has 2 bands"),
        (tiff_bytes(grey_directory(t259=50002), data=bytes(256)), "is a TIFF with JPEG XL compression"),
        (tiff_bytes(grey_directory(t279=5000), data=bytes(256)), "is a damaged TIFF: it is truncated"),
        (tiff_bytes(grey_directory(t254=1, t330=8), data=bytes(256)), "is a camera raw file"),
        (tiff_bytes(grey_directory(t50706=1), data=bytes(256)), "is a camera raw file"),
        (
            tiff_bytes(grey_directory(t254=1), grey_directory(), data=bytes(256)),
            "has a reduced copy (16 x 16 px) before",
        ),
        (b"\0\0\0\x18ftypheic" + bytes(90), "is a HEIC picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (bytes(4096), "is full of zeros"),
        (cv2.imencode(".bmp", PICTURE)[1].tobytes()[:-200], "is a damaged BMP: it is truncated"),
        (animated_webp(), "is an animation"),
        (png(16, 16, bytes(16 * 49), animation=True), "is an animation"),
        (png(16, 16, bytes(16 * 3), bits=1, colours=0), "has only black and white pixels"),
        (one_bit_bmp(), "has only black and white pixels"),
        (tiff_bytes(grey_directory(1), data=bytes(32)), "has only black and white pixels"),
        (b"GIF89a\x10\0\x10\0" + bytes(40), "is a GIF picture"),
        (cv2.imencode(".ppm", PICTURE)[1].tobytes(), "is a PNM picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "is a JPEG 2000 picture"),
        (odd_jpeg(at=4, value=12), "is a JPEG of 12 bits"),
        (odd_jpeg(at=1, value=0xC3), "is a lossless JPEG"),
        (odd_jpeg(at=1, value=0xF7), "is a JPEG-LS picture"),
        (odd_jpeg(at=6, value=0), "is a damaged JPEG: its header has no size"),
        (odd_jpeg(at=9, value=4), "is a CMYK JPEG that does not say whether its inks are inverted"),
        (b"\n <!DOCTYPE html>", "is a web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "is an XML document"),
        (cv2.imencode(".png", PICTURE[:1, :1])[1].tobytes(), "is too small to show a crack (1 x 1 px)"),
        (cv2.imencode(".webp", PICTURE)[1].tobytes()[:-50], "is a damaged WebP: it is truncated"),
    ],
    ids=[
        *(
            "pages",
            "float",
            "bands",
            "grey and alpha",
            "TIFF of JPEG XL",
            "truncated TIFF",
            "thumbnail",
            "DNG",
            "reduced copy",
            "HEIC",
            "LFS",
            "zeros",
        ),
        *("truncated BMP", "animated WebP", "animated PNG", "1-bit PNG", "1-bit BMP", "1-bit TIFF"),
        *("GIF", "PNM", "JPEG 2000", "12-bit JPEG", "lossless JPEG", "JPEG-LS", "no lines", "CMYK", "HTML", "SVG"),
        *("tiny", "truncated WebP"),
    ],
)
def test_read_picture_unusable_file_is_refused_with_its_reason(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "picture.dat"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_picture(path)
    assert caught.value.problem.startswith(f"{path}: {problem}")
    assert caught.value.remedy


def test_read_picture_reduced_pages_of_a_tiff_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "overviews.tif"
    path.write_bytes(tiff_bytes(grey_directory(), grey_directory(t254=1), data=bytes(range(256))))
    assert np.array_equal(read_picture(path)[..., 0], np.arange(256).reshape(16, 16))


@pytest.mark.parametrize("bits", [8, 16])
def test_read_picture_white_is_zero_is_inverted(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "inverted.tif"
    values = np.arange(256, dtype=np.uint16 if bits == 16 else np.uint8) * (257 if bits == 16 else 1)
    path.write_bytes(tiff_bytes(grey_directory(bits, t262=0), data=values.tobytes()))
    assert np.array_equal(read_picture(path)[..., 0], 255 - np.arange(256).reshape(16, 16))


def test_read_picture_overwritten_png_is_refused(tmp_path: Path) -> None:
    data = bytearray(cv2.imencode(".png", PICTURE)[1].tobytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "flipped.png"
    path.write_bytes(data)
    with pytest.raises(UserError, match="is a damaged PNG: a part of its data is overwritten"):
        read_picture(path)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_read_picture_few_bits_in_16_are_scaled(tmp_path: Path, bits: int) -> None:
    path = write(tmp_path / "deep.png", PICTURE.astype(np.uint16) << (bits - 8))
    assert np.array_equal(read_picture(path), PICTURE)


def test_read_masked_picture_transparent_pixels_hold_no_data(tmp_path: Path) -> None:
    pixels = np.dstack([PICTURE, np.full((20, 30), 255, np.uint8)])
    pixels[:, :10, 3] = 0
    picture = read_masked_picture(write(tmp_path / "ortho.png", pixels))
    assert picture.has_data is not None
    assert np.array_equal(picture.has_data, pixels[..., 3] > 0)
    assert np.array_equal(picture.pixels[:, 10:], PICTURE[:, 10:])
    assert np.ptp(picture.pixels[:, :10], axis=(0, 1)).max() == 0


@pytest.mark.parametrize("level", [0, 255])
def test_read_masked_picture_border_of_one_level_holds_no_data(tmp_path: Path, level: int) -> None:
    pixels = np.clip(PICTURE, 1, 254)
    pixels[:, :10] = level
    pixels[10, 20] = level
    picture = read_masked_picture(write(tmp_path / "ortho.png", pixels))
    assert picture.has_data is not None
    assert picture.has_data.sum() == 20 * 20
    np.testing.assert_array_equal(read_stored_picture(tmp_path / "ortho.png").pixels, pixels)
    with pytest.raises(UserError, match="holds no picture, all of its pixels have the same colour"):
        read_masked_picture(write(tmp_path / "blank.png", np.full_like(PICTURE, level)))
    assert read_masked_picture(write(tmp_path / "usual.png", PICTURE)).has_data is None


@pytest.mark.parametrize("level", [0, 65535])
def test_read_masked_picture_border_does_not_decide_about_the_bits(tmp_path: Path, level: int) -> None:
    deep = np.clip(PICTURE, 1, 254).astype(np.uint16) << 4
    deep[:, :10] = level
    picture = read_masked_picture(write(tmp_path / "ortho.png", deep))
    assert np.array_equal(picture.pixels[:, 10:], np.clip(PICTURE, 1, 254)[:, 10:])


def test_read_masked_picture_no_data_value_of_gdal_holds_no_data(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8)
    values[100:120] = 77
    directory = grey_directory() | {42113: (2, int.from_bytes(b"77\0\0", "little"))}
    path = tmp_path / "gdal.tif"
    path.write_bytes(
        tiff_bytes(directory, data=values.tobytes()).replace(b"\x81\xa4\2\0\1\0\0\0", b"\x81\xa4\2\0\3\0\0\0")
    )
    picture = read_masked_picture(path)
    assert picture.has_data is not None
    assert np.array_equal(~picture.has_data.ravel(), values == 77)


COMPRESSIONS = {"LZW": 5, "Deflate": 8, "JPEG": 7}


@pytest.mark.parametrize("damage", ["zeros", "noise", "half zeros"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_read_picture_overwritten_strip_of_a_tiff_is_refused(tmp_path: Path, compression: str, damage: str) -> None:
    random = np.random.default_rng(2)
    texture = cv2.GaussianBlur(random.integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 1.5)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, COMPRESSIONS[compression], cv2.IMWRITE_TIFF_ROWSPERSTRIP, 64]
    path = tmp_path / "strips.tif"
    data = cv2.imencode(".tif", texture, options)[1].tobytes()
    path.write_bytes(data)
    assert np.abs(read_picture(path).astype(int) - texture).mean() < 10
    start, length = len(data) // 3, 2000 if damage != "half zeros" else len(data) // 2
    content = random.bytes(length) if damage == "noise" else bytes(length)
    path.write_bytes(data[:start] + content + data[start + length :])
    with pytest.raises(UserError, match="is a damaged TIFF"):
        read_picture(path)


@pytest.mark.parametrize("suffix", [".bmp", ".tif"])
def test_read_picture_lost_rows_without_a_checksum_are_refused(tmp_path: Path, suffix: str) -> None:
    picture = np.repeat(PICTURE, 3, axis=0)
    picture[20:40] = 0
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if suffix == ".tif" else []
    path = tmp_path / f"lost{suffix}"
    cv2.imwrite(str(path), picture, options)
    with pytest.raises(UserError, match="rows 20 to 39 have the same colour"):
        read_picture(path)


@pytest.mark.parametrize("options", [[cv2.IMWRITE_WEBP_QUALITY, 90], [cv2.IMWRITE_WEBP_QUALITY, 101]])
def test_read_picture_webp_overwritten_with_zeros_is_refused(tmp_path: Path, options: list[int]) -> None:
    texture = np.random.default_rng(2).integers(0, 256, (120, 160, 3), np.uint8)
    data = bytearray(cv2.imencode(".webp", texture, options)[1].tobytes())
    path = tmp_path / "zeros.webp"
    path.write_bytes(data)
    read_picture(path)
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(UserError, match="is a damaged WebP: a part of its data is overwritten with zeros"):
        read_picture(path)


def test_read_picture_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match="not a regular file"):
        read_picture(pipe)
    assert not is_video(pipe)


def test_read_picture_deflated_zeros_do_not_fill_the_memory(tmp_path: Path) -> None:
    size, packer = 12_000, zlib.compressobj(9)
    strip = b"".join(packer.compress(bytes(size)) for _ in range(size)) + packer.flush()
    tags = grey_directory(t256=size, t257=size, t259=8, t278=size, t279=len(strip))
    path = tmp_path / "bomb.tif"
    path.write_bytes(tiff_bytes({tag: (4, value) for tag, (_, value) in tags.items()}, data=strip))
    header = read_picture_header(np.fromfile(path, np.uint8))
    assert (header.pixels, header.damage) == (size * size, "")


def test_read_picture_few_bytes_of_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(30_000, 30_000, bytes(1_000_000)))
    with pytest.raises(UserError, match=r"holds no picture, 0\.0 MB stand for 900 megapixels"):
        read_picture(path)


def test_read_picture_larger_than_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, random = tmp_path / "large.png", np.random.default_rng(1)
    path.write_bytes(png(20_000, 20_000, random.bytes(2_000_000)))
    monkeypatch.setattr(module, "available_bytes", lambda: 2_000_000_000)
    with pytest.raises(UserError, match=r"has 400 megapixels, which need 4\.0 GB of memory; 2\.0 GB are free"):
        read_picture(path)


def test_read_masked_picture_orientation_tag_turns_the_alpha_channel_too(tmp_path: Path) -> None:
    pixels = np.dstack([PICTURE, np.full((20, 30), 255, np.uint8)])
    pixels[:5, :, 3] = 0
    data = cv2.imencode(".png", pixels)[1].tobytes()
    exif = orientation_segment(6)[10:]
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    path = tmp_path / "turned.png"
    path.write_bytes(data[:33] + chunk + data[33:])
    if read_picture_header(np.fromfile(path, np.uint8)).has_exif is False or cv2.imread(str(path)).shape[0] == 20:
        pytest.skip("this OpenCV does not apply orientation tags of PNG")
    picture = read_masked_picture(path)
    assert picture.has_data is not None
    assert np.array_equal(picture.has_data, np.rot90(pixels[..., 3] > 0, -1))


def test_as_picture_transparent_or_masked_pixels_of_an_array_hold_no_data() -> None:
    has_data = np.ones(PICTURE.shape[:2], np.bool_)
    has_data[:, :10] = False
    with_alpha = np.dstack([PICTURE, np.where(has_data, 255, 0).astype(np.uint8)])
    masked = np.ma.masked_array(PICTURE, np.repeat(~has_data[..., None], 3, axis=2))
    for given in (with_alpha, masked, masked[..., 0]):
        picture = as_picture(given)
        assert picture.has_data is not None
        assert np.array_equal(picture.has_data, has_data)
        assert np.ptp(picture.pixels[:, :10].reshape(-1, 3), axis=0).max() == 0
    assert as_picture(PICTURE).has_data is None
    assert as_picture(np.dstack([PICTURE, np.full(has_data.shape, 255, np.uint8)])).has_data is None


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros((30, 30, 3), np.uint8), "holds no picture"),
        (PICTURE[:15], "too small to show a crack"),
        (np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)]), "transparent or masked all over"),
        (np.ma.masked_array(PICTURE, True), "transparent or masked all over"),
    ],
)
def test_as_picture_array_without_a_picture_is_refused_as_a_file_is(image: np.ndarray, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        as_picture(image)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "Download the picture itself"),
        (bytes(5000), "Copy it again from its source"),
        (b"PK\3\4" + bytes(range(200)), "Unpack it"),
        (b"%PDF-1.7\n" + bytes(range(200)), "Export its pictures as JPEG"),
        (b"GIF89a" + bytes(range(200)), "Convert it to JPEG"),
    ],
)
def test_read_picture_file_of_another_kind_names_what_to_do_with_it(
    tmp_path: Path, content: bytes, remedy: str
) -> None:
    path = tmp_path / "wall.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=remedy):
        read_picture(path)
