"""JPEG bytes that are cut off are told from whole ones, whatever stands before and after the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from crack_perception.vision.jpeg import is_cut_off


def jpeg(*options: int) -> np.ndarray:
    picture = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", picture, list(options))[1].ravel()


def with_segment(data: np.ndarray, content: bytes) -> np.ndarray:
    """The JPEG with an application segment (APP1, where cameras keep a thumbnail) after its start marker."""
    segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content
    return np.frombuffer(data[:2].tobytes() + segment + data[2:].tobytes(), np.uint8)


VARIANTS = {
    "baseline": (),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restart markers": (cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_only_whole_jpegs_pass(options: tuple[int, ...]) -> None:
    data = jpeg(*options)
    assert not is_cut_off(data)
    lengths = np.linspace(2, data.size - 1, 200).astype(int)
    assert all(is_cut_off(data[:length]) for length in lengths)


def test_end_of_a_thumbnail_is_not_that_of_the_picture() -> None:
    data = with_segment(jpeg(), b"Exif\0\0" + jpeg()[:2000].tobytes() + b"\xff\xd9")
    assert not is_cut_off(data)
    assert is_cut_off(data[: data.size - 1000])


def test_padding_and_a_second_picture_may_follow() -> None:
    data = jpeg()
    assert not is_cut_off(np.append(data, np.zeros(10_000, np.uint8)))
    assert not is_cut_off(np.concatenate([data, data[:500]]))


def test_fill_bytes_before_a_marker_are_skipped() -> None:
    data = np.insert(jpeg(), 2, [0xFF, 0xFF])
    assert not is_cut_off(data)
    assert is_cut_off(data[:-2])


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x89PNG\r\n\x1a\n", b"BM"])
def test_other_formats_are_left_to_the_decoder(content: bytes) -> None:
    assert not is_cut_off(np.frombuffer(content, np.uint8))
