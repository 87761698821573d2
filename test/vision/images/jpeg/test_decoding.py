# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of JPEG decoding: refusal of damaged files, with simplejpeg and with OpenCV only."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from crack_perception.vision.images.jpeg import decoding as module
from crack_perception.vision.images.jpeg.decoding import DamagedJpeg, decode_jpeg, missing_decoder
from crack_perception.vision.images.jpeg.segments import read_header

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


def scans_of(data: np.ndarray) -> list[int]:
    """Return the positions of the scans of a JPEG, with the Huffman tables before them."""
    raw = data.tobytes()
    found = [match.start() for match in re.finditer(rb"\xff\xda", raw)]
    tables = [match.start() for match in re.finditer(rb"\xff\xc4", raw)]
    before = [-1, *found[:-1]]
    return [
        min([place for place in tables if last < place < scan] or [scan])
        for last, scan in zip(before, found, strict=True)
    ]


@pytest.mark.parametrize("kept", [1, 3, -1])
def test_decode_jpeg_without_its_last_scans_is_refused(library: str, kept: int) -> None:
    whole = jpeg(*VARIANTS["progressive"])
    scans = scans_of(whole)
    assert len(scans) > 4
    assert decode_jpeg(whole) is not None
    with pytest.raises(DamagedJpeg, match=r"a part of its data is missing \(scans\)"):
        decode_jpeg(as_array(whole[: scans[kept]].tobytes() + b"\xff\xd9"))


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
def test_decode_jpeg_lost_or_repeated_part_is_refused(library: str, options: tuple[int, ...]) -> None:
    before, middle, after = halves(jpeg(*options))
    for damaged in (before + middle + middle + after, before + after):
        with pytest.raises(DamagedJpeg):
            decode_jpeg(as_array(damaged))


@pytest.mark.parametrize("surplus", [1, 4, 32])
def test_decode_jpeg_few_surplus_bytes_before_a_marker_are_accepted(library: str, surplus: int) -> None:
    data = jpeg()
    padded = as_array(data[:-2].tobytes() + bytes(surplus) + data[-2:].tobytes())
    assert np.array_equal(decode_jpeg(padded), decode_jpeg(data))


def overwritten(data: np.ndarray, seed: int, length: int, fill: int | None = None) -> np.ndarray:
    """Overwrite bytes somewhere in the second or third quarter of the image data; random ones if no value is given."""
    random = np.random.default_rng(seed)
    start = read_header(data).data_start
    size = data.size - start
    place = start + int(random.integers(size // 4, 3 * size // 4))
    damaged = data.copy()
    damaged[place : place + length] = random.integers(0, 256, length) if fill is None else fill
    return damaged


def is_shifted(pixels: np.ndarray, original: np.ndarray) -> bool:
    """Return True if the last eighth of a picture has other edges; its brightness may differ after damage."""
    rows = pixels.shape[0] // 8
    edges = [np.diff(each[-rows:].astype(float).mean(axis=2)).ravel() for each in (pixels, original)]
    return bool(np.corrcoef(*edges)[0, 1] < 0.8)


SUBSAMPLING = {"4:2:0": 0x221111, "4:2:2": 0x211111, "4:4:4": 0x111111}


@pytest.mark.parametrize("factor", SUBSAMPLING.values(), ids=SUBSAMPLING)
@pytest.mark.parametrize(("length", "fill"), [(16, None), (4, None), (1, None), (16, 0), (2, 0xFF)])
def test_decode_jpeg_few_overwritten_bytes_seldom_give_a_shifted_picture(
    library: str, factor: int, length: int, fill: int | None
) -> None:
    picture = texture(320, 240)
    data = jpeg(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor, cv2.IMWRITE_JPEG_QUALITY, 80, picture=picture)
    shifted = refused = 0
    for seed in range(40):
        try:
            pixels = decode_jpeg(overwritten(data, seed, length, fill))
        except DamagedJpeg:
            refused += 1
        else:
            shifted += pixels is not None and is_shifted(pixels, picture)
    # Those that pass have as many units as before, or up to three bytes too many, which libjpeg does not report.
    assert shifted <= 2
    assert refused >= 8


def test_decode_jpeg_surplus_that_can_be_units_is_refused(library: str) -> None:
    data = jpeg()
    surplus = np.random.default_rng(5).integers(1, 255, 40, dtype=np.uint8)
    with pytest.raises(DamagedJpeg, match="extraneous"):
        decode_jpeg(np.concatenate([data[:-2], surplus, data[-2:]]))


@pytest.mark.parametrize("options", [(), VARIANTS["restart markers"]], ids=["at the end", "before restart markers"])
@pytest.mark.parametrize("surplus", [b"\x7f", b"\x12\x34", b"\0\0\0\x01\x02", bytes(range(60, 68))])
def test_decode_jpeg_few_surplus_bytes_are_accepted(library: str, surplus: bytes, options: tuple[int, ...]) -> None:
    data = jpeg(*options)
    start = read_header(data).data_start
    scan = re.sub(rb"(?=\xff[\xd0-\xd7\xd9])", surplus, data[start:].tobytes())
    decoded, expected = decode_jpeg(as_array(data[:start].tobytes() + scan)), decode_jpeg(data)
    assert decoded is not None and expected is not None
    # Two decoders may round differently.
    assert np.abs(decoded.astype(int) - expected).max() <= 3


def test_decode_jpeg_zeros_where_flat_blocks_are_zeros_are_no_padding(library: str) -> None:
    picture = np.full((480, 640), 90, np.uint8)
    picture[200:204, 300:304] = 200
    data = jpeg(*VARIANTS["optimised"], picture=picture)
    assert read_header(data).zeros_are_flat
    with pytest.raises(DamagedJpeg, match="extraneous"):
        decode_jpeg(np.concatenate([data[:-2], np.zeros(40, np.uint8), data[-2:]]))


def test_decode_jpeg_padding_before_restart_markers_is_accepted_and_hides_no_damage(library: str) -> None:
    data = jpeg(*VARIANTS["restart markers"])
    start = read_header(data).data_start
    raw = data.tobytes()
    scan = re.sub(rb"(?=\xff[\xd0-\xd7\xd9])", b"\0\0\0", raw[start:])
    padded = as_array(raw[:start] + scan)
    assert np.array_equal(decode_jpeg(padded), decode_jpeg(data))
    # The first warning is that of the padding.
    middle = padded.size * 3 // 4
    damaged = padded.copy()
    damaged[middle : middle + 24] = np.random.default_rng(2).integers(1, 255, 24)
    with pytest.raises(DamagedJpeg):
        decode_jpeg(damaged)


def test_decode_jpeg_zeros_between_segments_are_accepted(library: str) -> None:
    data = jpeg()
    comment = as_array(b"\xff\xfe\0\4ab")
    padded = np.concatenate([data[:2], comment, np.zeros(608, np.uint8), comment, data[2:]])
    assert np.array_equal(decode_jpeg(padded), decode_jpeg(data))


def test_decode_jpeg_unusual_header_values_are_accepted_and_hide_no_damage(library: str) -> None:
    data = jpeg()
    version = data.tobytes().index(b"JFIF\0") + 5
    parameters = read_header(data).data_start - 3
    for place, values in ((version, (3, 7)), (parameters, (0, 0, 0))):
        unusual = data.copy()
        unusual[place : place + len(values)] = values
        assert np.array_equal(decode_jpeg(unusual), decode_jpeg(data))
        with pytest.raises(DamagedJpeg):
            decode_jpeg(np.delete(unusual, slice(unusual.size // 2, unusual.size * 5 // 8)))


@pytest.mark.parametrize("quality", [30, 75, 95, 100])
@pytest.mark.parametrize("factor", SUBSAMPLING.values(), ids=SUBSAMPLING)
def test_decode_jpeg_intact_pictures_of_any_quality_are_accepted(library: str, quality: int, factor: int) -> None:
    for options in VARIANTS.values():
        words = (*options, cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor)
        data = jpeg(*words, picture=texture(333, 251))
        assert np.array_equal(decode_jpeg(data), cv2.imdecode(data, cv2.IMREAD_COLOR))


def test_missing_decoder_names_the_remedy_only_without_it(library: str) -> None:
    note = missing_decoder()
    assert (note == "") == (library == "simplejpeg")
    if note:
        assert "pip install simplejpeg" in note


def test_decode_jpeg_damaged_prints_nothing(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = jpeg()
    with pytest.raises(DamagedJpeg):
        decode_jpeg(np.delete(data, slice(data.size // 2, data.size * 5 // 8)))
    assert capfd.readouterr().err == ""


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
