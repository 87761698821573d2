# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of image encodings: decoding of each supported encoding, and errors for invalid data."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.vision.images.encodings import (
    SUPPORTED_ENCODINGS,
    BadImage,
    decode_compressed,
    decode_depth,
    decode_raw,
    encode_jpeg,
)
from crack_perception.vision.images.samples import SampleScaler

Store = Callable[[np.ndarray], np.ndarray]

YUV = ("uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21", "i420", "nv24")
GREY = ("mono8", "8UC1", "mono16")


def picture(width: int, height: int) -> np.ndarray:
    """Return a smooth BGR image with three different channels, so that swapped or shifted channels are detected."""
    y, x = np.mgrid[:height, :width]
    blue, green, red = 40 + 2 * x, 190 - 2 * y, 60 + x + y
    return np.clip(np.stack([blue, green, red], axis=-1), 0, 255).astype(np.uint8)


def luma_and_chroma(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Y, U, V in studio range (ITU-R BT.601)."""
    blue, green, red = np.moveaxis(image.astype(np.float64), -1, 0)
    luma = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    return luma, u, v


def bytes_of(values: np.ndarray) -> np.ndarray:
    return np.round(values).astype(np.uint8)


def with_alpha(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image, np.full((*image.shape[:2], 1), 77, np.uint8)], axis=2)


def interleaved_422(image: np.ndarray, order: str) -> np.ndarray:
    """Two pixels in four bytes, in an order such as ``uyvy``."""
    luma, u, v = luma_and_chroma(image)
    values = {"u": (u[:, ::2] + u[:, 1::2]) / 2, "v": (v[:, ::2] + v[:, 1::2]) / 2}
    lumas = iter((luma[:, ::2], luma[:, 1::2]))
    stored = [next(lumas) if name == "y" else values[name] for name in order]
    return bytes_of(np.stack(stored, axis=-1)).reshape(len(image), -1)


def planar_420(image: np.ndarray, first: str) -> np.ndarray:
    """A plane of Y, then rows of U and V in turn at half the resolution."""
    luma, u, v = luma_and_chroma(image)
    height, width = luma.shape
    halves = [plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for plane in (u, v)]
    pairs = np.stack(halves if first == "u" else halves[::-1], axis=-1).reshape(height // 2, width)
    return bytes_of(np.concatenate([luma, pairs]))


def mosaic(image: np.ndarray, pattern: str) -> np.ndarray:
    """Return the samples behind a Bayer filter, which is named by its first and second row."""
    raw = np.empty(image.shape[:2], np.uint8)
    for index, colour in enumerate(pattern):
        rows, columns = slice(index // 2, None, 2), slice(index % 2, None, 2)
        raw[rows, columns] = image[rows, columns, "bgr".index(colour)]
    return raw


def samples_16_bit(image: np.ndarray) -> np.ndarray:
    """Rows of native 16-bit samples: grey in the high byte, noise in the low one."""
    grey = image[..., 0].astype(np.uint16)
    return np.ascontiguousarray(grey << 8 | (grey * 7 + 3) % 256).view(np.uint8)


def deep(image: np.ndarray) -> np.ndarray:
    """Rows of native 16-bit samples whose high byte is the picture."""
    return np.ascontiguousarray(image.astype(np.uint16) * 257).view(np.uint8)


def separate_planes(image: np.ndarray) -> np.ndarray:
    """A plane of Y, then planes of U and V at half the resolution."""
    luma, u, v = luma_and_chroma(image)
    height, width = luma.shape
    halves = [plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)).ravel() for plane in (u, v)]
    return bytes_of(np.concatenate([luma.ravel(), *halves]).reshape(-1, width))


def full_chroma(image: np.ndarray) -> np.ndarray:
    """A plane of Y, then rows of U and V in turn at full resolution."""
    luma, u, v = luma_and_chroma(image)
    return bytes_of(np.concatenate([luma, np.stack([u, v], axis=-1).reshape(2 * len(luma), -1)]))


STORES: dict[str, Store] = {
    "bgr8": lambda image: image,
    "8UC3": lambda image: image,
    "rgb8": lambda image: image[..., ::-1],
    "bgra8": with_alpha,
    "8UC4": with_alpha,
    "rgba8": lambda image: with_alpha(image[..., ::-1]),
    "mono8": lambda image: image[..., 0],
    "8UC1": lambda image: image[..., 0],
    "mono16": samples_16_bit,
    "uyvy": lambda image: interleaved_422(image, "uyvy"),
    "yuv422": lambda image: interleaved_422(image, "uyvy"),
    "yuyv": lambda image: interleaved_422(image, "yuyv"),
    "yuv422_yuy2": lambda image: interleaved_422(image, "yuyv"),
    "nv12": lambda image: planar_420(image, "u"),
    "nv21": lambda image: planar_420(image, "v"),
    "bayer_rggb8": lambda image: mosaic(image, "rggb"),
    "bayer_bggr8": lambda image: mosaic(image, "bggr"),
    "bayer_gbrg8": lambda image: mosaic(image, "gbrg"),
    "bayer_grbg8": lambda image: mosaic(image, "grbg"),
    "i420": separate_planes,
    "nv24": full_chroma,
    "bgr16": deep,
    "rgb16": lambda image: deep(image[..., ::-1]),
    "bgra16": lambda image: deep(with_alpha(image)),
    "rgba16": lambda image: deep(with_alpha(image[..., ::-1])),
    "bayer_rggb16": lambda image: deep(mosaic(image, "rggb")),
    "bayer_bggr16": lambda image: deep(mosaic(image, "bggr")),
    "bayer_gbrg16": lambda image: deep(mosaic(image, "gbrg")),
    "bayer_grbg16": lambda image: deep(mosaic(image, "grbg")),
}
"""Encoding -> function that stores an image row by row, written from the definition of the encoding."""


def stored_rows(image: np.ndarray, encoding: str) -> np.ndarray:
    """Return the bytes (rows, bytes) of an image in an encoding."""
    stored = np.ascontiguousarray(STORES[encoding](image))
    return stored.reshape(len(stored), -1)


def padded(rows: np.ndarray, padding: int, is_last_padded: bool = True) -> np.ndarray:
    """Return the bytes of a message with random padding after each row."""
    rubbish = np.full((len(rows), padding), 0xA5, np.uint8)
    data = np.concatenate([rows, rubbish], axis=1).ravel()
    return data if is_last_padded else data[: data.size - padding]


def expected(image: np.ndarray, encoding: str) -> np.ndarray:
    return np.repeat(image[..., :1], 3, axis=2) if encoding in GREY else image


def loss(encoding: str) -> int:
    """Return the largest error [grey levels] of an encoding on the smooth image."""
    if encoding in YUV:
        return 5
    return 4 if encoding.startswith("bayer") else 0


def decoder_of(encoding: str) -> SampleScaler | None:
    """Return a scaler with full range, so that the result does not depend on the brightest pixel."""
    return SampleScaler(16) if "16" in encoding else None


def sizes(encoding: str) -> list[tuple[int, int]]:
    """Draw width and height; odd values where the encoding allows them."""
    if encoding.startswith(("nv", "i420")):
        return [(48, 32), (2, 2)]
    return [(48, 32), (46, 31), (2, 1)] if encoding in YUV else [(48, 32), (47, 31), (46, 31), (47, 32)]


def largest_error(frame: np.ndarray, image: np.ndarray, border: int) -> int:
    inside = np.s_[border : len(image) - border, border : image.shape[1] - border]
    return int(np.abs(frame[inside].astype(int) - image[inside]).max())


def test_encodings_all_supported_are_tested() -> None:
    assert set(SUPPORTED_ENCODINGS) == set(STORES)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_decode_round_trip(encoding: str, padding: int) -> None:
    for width, height in sizes(encoding):
        image = picture(width, height)
        rows = stored_rows(image, encoding)
        frame = decode_raw(
            padded(rows, padding), width, height, rows.shape[1] + padding, encoding, False, decoder_of(encoding)
        )
        assert frame.shape == (height, width, 3)
        assert frame.dtype == np.uint8
        # The outermost pixels behind a Bayer filter have no neighbours to be interpolated from.
        border = 1 if encoding.startswith("bayer") else 0
        assert largest_error(frame, expected(image, encoding), border) <= loss(encoding)


@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_decode_last_row_without_padding_accepted(encoding: str) -> None:
    image = picture(48, 32)
    rows = stored_rows(image, encoding)
    whole = decode_raw(padded(rows, 8), 48, 32, rows.shape[1] + 8, encoding)
    short = decode_raw(padded(rows, 8, is_last_padded=False), 48, 32, rows.shape[1] + 8, encoding)
    assert np.array_equal(whole, short)


@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_decode_missing_byte_refused(encoding: str) -> None:
    rows = stored_rows(picture(48, 32), encoding)
    data = padded(rows, 8, is_last_padded=False)
    with pytest.raises(BadImage, match="truncated"):
        decode_raw(data[:-1], 48, 32, rows.shape[1] + 8, encoding)


@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_decode_step_shorter_than_row_refused(encoding: str) -> None:
    rows = stored_rows(picture(48, 32), encoding)
    with pytest.raises(BadImage, match=rf"step is {rows.shape[1] - 2} bytes but 48 px need {rows.shape[1]}"):
        decode_raw(rows.ravel(), 48, 32, rows.shape[1] - 2, encoding)


@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
@pytest.mark.parametrize(("width", "height"), [(0, 32), (48, 0), (0, 0)])
def test_decode_empty_image_refused(encoding: str, width: int, height: int) -> None:
    with pytest.raises(BadImage, match="empty"):
        decode_raw(np.zeros(0, np.uint8), width, height, 0, encoding)


@settings(deadline=None)
@given(st.data(), st.sampled_from(["bgr8", "8UC3", "rgb8", "bgra8", "8UC4", "rgba8", *GREY]))
def test_decode_unsubsampled_encodings_lossless(data: st.DataObject, encoding: str) -> None:
    width, height, padding = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40)), data.draw(st.integers(0, 9))
    padding *= 2
    seed = data.draw(st.integers(0, 2**32 - 1))
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows = stored_rows(image, encoding)
    frame = decode_raw(
        padded(rows, padding), width, height, rows.shape[1] + padding, encoding, False, decoder_of(encoding)
    )
    assert np.array_equal(frame, expected(image, encoding))


@pytest.mark.parametrize("is_bigendian", [False, True])
def test_decode_mono16_byte_order_applied(is_bigendian: bool) -> None:
    grey = np.array([[0x1234, 0xFE01, 0x00FF]], ">u2" if is_bigendian else "<u2")
    data = np.frombuffer(grey.tobytes() + b"??", np.uint8)
    frame = decode_raw(data, 3, 1, 8, "mono16", is_bigendian, SampleScaler(16))
    assert frame[0, :, 0].tolist() == [0x12, 0xFE, 0x00]


def test_decode_step_of_partial_samples_refused() -> None:
    with pytest.raises(BadImage, match="multiple of the 2-byte samples"):
        decode_raw(np.zeros(100, np.uint8), 4, 4, 9, "mono16")


def test_decode_bgr_is_view_of_message() -> None:
    data = np.frombuffer(picture(48, 32).tobytes(), np.uint8)
    assert np.shares_memory(decode_raw(data, 48, 32, 144, "bgr8"), data)


def test_decode_unknown_encoding_lists_known() -> None:
    with pytest.raises(BadImage) as caught:
        decode_raw(np.zeros(100, np.uint8), 4, 4, 12, "rgb12")
    assert "'rgb12'" in str(caught.value)
    assert all(name in str(caught.value) for name in SUPPORTED_ENCODINGS)


@pytest.mark.parametrize("encoding", [name for name in YUV if name != "nv24"])
def test_decode_shared_column_chroma_odd_width_refused(encoding: str) -> None:
    with pytest.raises(BadImage, match=r"needs .*even .*47"):
        decode_raw(np.zeros(10_000, np.uint8), 47, 32, 94, encoding)


@pytest.mark.parametrize("encoding", ["nv12", "nv21", "i420"])
def test_decode_shared_row_chroma_odd_height_refused(encoding: str) -> None:
    with pytest.raises(BadImage, match="even sizes, got 48x31"):
        decode_raw(np.zeros(10_000, np.uint8), 48, 31, 48, encoding)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_decode_compressed_round_trip(suffix: str) -> None:
    image = picture(47, 31)
    data = cv2.imencode(suffix, image, [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix == ".jpg" else [])[1]
    frame = decode_compressed(np.frombuffer(data.tobytes(), np.uint8))
    assert largest_error(frame, image, 0) <= (6 if suffix == ".jpg" else 0)


def test_decode_compressed_grey_16_bit_png_becomes_bgr() -> None:
    grey = np.array([[0x1280, 0xFE80]], np.uint16)
    frame = decode_compressed(cv2.imencode(".png", grey)[1].ravel(), scaler=SampleScaler(16))
    assert frame.shape == (1, 2, 3)
    assert frame[0, :, 1].astype(int) == pytest.approx([0x12, 0xFE], abs=1)


def test_decode_compressed_jpeg_without_end_marker_refused() -> None:
    data = encode_jpeg(picture(320, 240), 90)
    for length in (data.size - 2, data.size // 2, 30):
        with pytest.raises(BadImage, match=r"truncated.*check the link"):
            decode_compressed(data[:length])


def test_decode_compressed_padded_jpeg_accepted() -> None:
    image = picture(320, 240)
    data = encode_jpeg(image, 90)
    assert np.array_equal(decode_compressed(np.append(data, np.zeros(4096, np.uint8))), decode_compressed(data))


def test_decode_compressed_truncated_png_refused() -> None:
    data = cv2.imencode(".png", picture(64, 48))[1].ravel()
    with pytest.raises(BadImage, match=r"PNG is damaged: it is truncated.*check the link"):
        decode_compressed(data[: data.size // 2])


@pytest.mark.parametrize("content", [b"not a picture at all", b"II*", b"\0" * 200])
def test_decode_compressed_other_content_refused(content: bytes) -> None:
    with pytest.raises(BadImage, match="publish jpeg or png"):
        decode_compressed(np.frombuffer(content, np.uint8))


def test_decode_compressed_video_packet_names_its_format() -> None:
    packet = np.frombuffer(b"\0\0\0\1\x67" + bytes(range(200)), np.uint8)
    with pytest.raises(BadImage, match="its format is 'h264'; publish jpeg or png"):
        decode_compressed(packet, "h264")
    gif = np.frombuffer(b"GIF89a" + bytes(range(60)), np.uint8)
    with pytest.raises(BadImage, match="it is a GIF picture; publish jpeg or png"):
        decode_compressed(gif)


def test_decode_compressed_empty_message_refused() -> None:
    with pytest.raises(BadImage, match="empty"):
        decode_compressed(np.zeros(0, np.uint8))


def test_decode_compressed_huge_picture_is_refused_before_decoding() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(BadImage, match="has 10000 megapixels, more than the 268"):
        decode_compressed(np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_decode_compressed_announced_bayer_is_demosaiced(suffix: str) -> None:
    image = picture(48, 32)
    data = cv2.imencode(suffix, mosaic(image, "rggb"), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].ravel()
    frame = decode_compressed(data, "bayer_rggb8; jpeg compressed ")
    assert largest_error(frame, image, 1) <= 8
    assert largest_error(decode_compressed(data), image, 1) > 50


def test_decode_compressed_announced_bayer_that_is_coloured_already_is_kept() -> None:
    image = picture(48, 32)
    data = cv2.imencode(".png", image)[1].ravel()
    assert np.array_equal(decode_compressed(data, "bayer_rggb8; png compressed bgr8"), image)


def test_decode_compressed_unknown_bayer_and_depth_are_refused() -> None:
    data = cv2.imencode(".png", picture(48, 32)[..., 0])[1].ravel()
    with pytest.raises(BadImage, match="'bayer_rgbw8', which is not supported"):
        decode_compressed(data, "bayer_rgbw8; png compressed ")
    with pytest.raises(BadImage, match="is a depth image"):
        decode_compressed(data, "16UC1; compressedDepth png")


@pytest.mark.parametrize(("encoding", "dtype"), [("16UC1", "u2"), ("mono16", "u2"), ("32FC1", "f4")])
@pytest.mark.parametrize("is_bigendian", [False, True])
def test_decode_depth_as_stored(encoding: str, dtype: str, is_bigendian: bool) -> None:
    depth = np.array([[0, 1500, 65000], [3, 2, 1]])
    stored = depth.astype((">" if is_bigendian else "<") + dtype)
    rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(2, -1)
    decoded = decode_depth(padded(rows, 4), 3, 2, rows.shape[1] + 4, encoding, is_bigendian)
    assert decoded.dtype == np.dtype(dtype)
    assert np.array_equal(decoded, depth)


def test_decode_depth_colour_encoding_refused() -> None:
    with pytest.raises(BadImage, match=r"'bgr8'.*16UC1.*32FC1"):
        decode_depth(np.zeros(100, np.uint8), 4, 4, 12, "bgr8")


def test_decode_depth_truncated_refused() -> None:
    with pytest.raises(BadImage, match="truncated"):
        decode_depth(np.zeros(31, np.uint8), 4, 4, 8, "16UC1")


def test_encode_jpeg_lower_quality_smaller_and_less_similar() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    coarse, fine = encode_jpeg(image, 20), encode_jpeg(image, 95)
    assert coarse.size < fine.size
    errors = [np.abs(decode_compressed(data).astype(int) - image).mean() for data in (coarse, fine)]
    assert errors[1] < errors[0]
