# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of JPEG decoding: refusal of damaged files, with simplejpeg and with OpenCV only."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from crack_perception.vision.images import jpeg as module
from crack_perception.vision.images.jpeg import DamagedJpeg, decode_jpeg, read_header

VARIANTS = {
    "baseline": (),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restart markers": (cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
}


@pytest.fixture(params=["simplejpeg", "OpenCV alone"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test once with each decoder."""
    if request.param == "simplejpeg":
        pytest.importorskip("simplejpeg")
    else:
        monkeypatch.setattr(module, "simplejpeg", None)
    return str(request.param)


def texture(width: int = 640, height: int = 480) -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def jpeg(*options: int, picture: np.ndarray | None = None) -> np.ndarray:
    return cv2.imencode(".jpg", texture() if picture is None else picture, list(options))[1].ravel()


def with_segment(data: np.ndarray, content: bytes) -> np.ndarray:
    """Insert an application segment (APP1, where cameras store a thumbnail) after the start marker of a JPEG."""
    segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    return as_array(data[:2].tobytes() + segment + data[2:].tobytes())


def as_array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def halves(data: np.ndarray) -> tuple[bytes, bytes, bytes]:
    """Return the bytes before, in and after the middle eighth of the image data."""
    raw, start = data.tobytes(), read_header(data).data_start
    length = (len(raw) - start) // 8
    begin = start + 3 * length
    return raw[:begin], raw[begin : begin + length], raw[begin + length :]


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_decode_jpeg_whole_gives_the_pixels_of_opencv(library: str, options: tuple[int, ...]) -> None:
    data = jpeg(*options)
    assert np.array_equal(decode_jpeg(data), cv2.imdecode(data, cv2.IMREAD_COLOR))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_decode_jpeg_truncated_anywhere_is_refused(library: str, options: tuple[int, ...]) -> None:
    data = jpeg(*options)
    for length in np.linspace(2, data.size - 1, 100).astype(int):
        with pytest.raises(DamagedJpeg, match="truncated"):
            decode_jpeg(data[:length])


@pytest.mark.parametrize("damage", ["lost", "zeros", "ones", "noise", "end marker early"])
@pytest.mark.parametrize("variant", ["baseline", "restart markers", "optimised"])
def test_decode_jpeg_damaged_in_the_middle_is_refused(library: str, variant: str, damage: str) -> None:
    before, middle, after = halves(jpeg(*VARIANTS[variant]))
    noise = np.random.default_rng(1).bytes(len(middle))
    damaged = {
        "lost": before + after,
        "zeros": before + bytes(len(middle)) + after,
        "ones": before + b"\xff" * len(middle) + after,
        "noise": before + noise + after,
        "end marker early": before + b"\xff\xd9",
    }[damage]
    with pytest.raises(DamagedJpeg):
        decode_jpeg(as_array(damaged))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_decode_jpeg_repeated_or_progressive_damage_needs_simplejpeg(options: tuple[int, ...]) -> None:
    pytest.importorskip("simplejpeg")
    before, middle, after = halves(jpeg(*options))
    for damaged in (before + middle + middle + after, before + after):
        with pytest.raises(DamagedJpeg):
            decode_jpeg(as_array(damaged))


@pytest.mark.parametrize("surplus", [1, 4, 32])
def test_decode_jpeg_few_surplus_bytes_before_a_marker_are_accepted(library: str, surplus: int) -> None:
    data = jpeg()
    padded = as_array(data[:-2].tobytes() + bytes(surplus) + data[-2:].tobytes())
    assert np.array_equal(decode_jpeg(padded), decode_jpeg(data))


def test_decode_jpeg_padding_or_second_picture_after_the_end_is_accepted(library: str) -> None:
    data = jpeg()
    for following in (np.zeros(10_000, np.uint8), data[:500]):
        assert np.array_equal(decode_jpeg(np.concatenate([data, following])), decode_jpeg(data))


def test_decode_jpeg_end_marker_of_a_thumbnail_does_not_count(library: str) -> None:
    data = with_segment(jpeg(), b"Exif\0\0" + jpeg()[:2000].tobytes() + b"\xff\xd9")
    assert decode_jpeg(data) is not None
    with pytest.raises(DamagedJpeg, match="truncated"):
        decode_jpeg(data[: data.size - 1000])


def test_decode_jpeg_fill_bytes_before_a_marker_are_skipped(library: str) -> None:
    data = np.insert(jpeg(), 2, [0xFF, 0xFF])
    assert decode_jpeg(data) is not None
    with pytest.raises(DamagedJpeg):
        decode_jpeg(data[:-2])


@pytest.mark.parametrize("level", [0, 127, 128, 255])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_decode_jpeg_flat_picture_is_accepted(
    library: str, level: int, options: tuple[int, ...], channels: int
) -> None:
    flat = np.full((480, 640, channels), level, np.uint8)
    assert decode_jpeg(jpeg(*options, picture=flat)) is not None
    lower_half = texture()
    lower_half[240:] = level
    assert decode_jpeg(jpeg(*options, picture=lower_half)) is not None


def test_decode_jpeg_lost_restart_interval_is_refused(library: str) -> None:
    data = jpeg(*VARIANTS["restart markers"]).tobytes()
    first, second = data.index(b"\xff\xd3"), data.index(b"\xff\xd4")
    with pytest.raises(DamagedJpeg):
        decode_jpeg(as_array(data[:first] + data[second:]))


def test_read_header_gives_size_units_and_start_of_data() -> None:
    header = read_header(jpeg(*VARIANTS["restart markers"]))
    assert (header.width_px, header.height_px, header.components) == (640, 480, 3)
    assert (header.mcu_px, header.restart_interval, header.is_baseline) == ((16, 16), 2, True)
    assert not read_header(jpeg(*VARIANTS["progressive"])).is_baseline


def test_decode_jpeg_zeros_in_a_quantisation_table_are_refused(library: str) -> None:
    data = jpeg()
    start = data.tobytes().index(b"\xff\xdb") + 5
    data[start : start + 20] = 0
    with pytest.raises(DamagedJpeg, match="zeros in a quantisation table"):
        decode_jpeg(data)


def test_decode_jpeg_repeated_scans_with_restart_markers_are_refused(library: str) -> None:
    data = jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 4, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert decode_jpeg(data) is not None
    start = read_header(data).data_start
    middle, quarter = (start + data.size) // 2, (start + data.size) // 4
    with pytest.raises(DamagedJpeg):
        decode_jpeg(np.concatenate([data[:middle], data[quarter:]]))
