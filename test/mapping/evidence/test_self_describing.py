# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A photograph's record in its JPEG: read back whole, seen by no decoder, and refused where anything is wrong."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from map_cracks import jpeg_of, photograph_of_crack

from crack_perception.mapping.evidence.photograph import PhotographedLine, plain_photograph
from crack_perception.mapping.evidence.self_describing import MAX_RECORD_BYTES, photograph_in, record_bytes, with_record

APP9 = b"\xff\xe9"
FIRST_OF_ONE = b"crack_perception\x00\x00\x01\x00\x01"


def plain_jpeg(width: int = 640, height: int = 480) -> bytes:
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def with_many_vertices(count: int) -> PhotographedLine:
    return PhotographedLine(
        np.column_stack([np.linspace(0, 639, count), np.full(count, 240.123)]),
        np.linspace(0.1, 0.9, count),
        np.full(count, np.nan),
        np.column_stack([np.linspace(0, 1, count), np.zeros(count), np.ones(count)]),
    )


@pytest.mark.parametrize("vertices", [2, 400, 3000])
def test_record_is_read_back_whole(vertices: int) -> None:
    photograph = photograph_of_crack(lines=(with_many_vertices(vertices),))
    data = with_record(plain_jpeg(), photograph)
    assert len(data) == len(plain_jpeg()) + record_bytes(photograph)
    found = photograph_in(data)
    assert found.crack_id == 0
    expected = plain_photograph(photograph) | {"crack_id": 0}
    assert plain_photograph(found) | {"file": photograph.file} == expected
    assert data.count(b"crack_perception\x00") == (1 if vertices < 1000 else 4), "a segment holds 64 KiB at most"


def test_record_leaves_the_picture_as_it_is() -> None:
    before = plain_jpeg()
    data = with_record(before, photograph_of_crack())
    decoded = [cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR) for each in (before, data)]
    np.testing.assert_array_equal(*decoded)
    assert data[:4] == b"\xff\xd8\xff\xe0", "JFIF's segment comes first"


def test_record_has_neither_file_nor_crack() -> None:
    data = with_record(plain_jpeg(), photograph_of_crack(crack_id=7, file="elsewhere.jpg"))
    assert b"elsewhere" not in data and b'"crack_id":0' in data


def test_record_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        with_record(plain_jpeg(), photograph_of_crack(lines=(with_many_vertices(20_000),)))


def changed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) == 1 and len(old) == len(new)
    return data.replace(old, new)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "no JPEG"),
        (lambda data: b"\x89PNG" + data, "no JPEG"),
        (lambda data: data[:300], "damaged"),
        (lambda data: data[:-2], "truncated"),
        (lambda data: plain_jpeg(), "no record"),
        (lambda data: changed(data, b'{"file"', b'["file"'), "no JSON"),
        (lambda data: changed(data, b'"size_px":[640,480]', b'"size_px":[641,480]'), "its record"),
        (lambda data: changed(data, b'"stamp_ns"', b'"stamp__s"'), "stamp_ns"),
        (lambda data: changed(data, FIRST_OF_ONE, FIRST_OF_ONE[:-1] + b"\x02"), "complete"),
        (lambda data: changed(data, FIRST_OF_ONE, FIRST_OF_ONE[:-3] + b"\x00\x00\x01"), "complete"),
        (lambda data: twice(data), "twice"),
    ],
)
def test_record_damaged_is_refused(damage: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        photograph_in(damage(jpeg_of(photograph_of_crack())))  # type: ignore[operator]


def twice(data: bytes) -> bytes:
    at = data.index(APP9)
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data[:end] + data[at:]


def test_record_nested_deeply_is_refused() -> None:
    data = jpeg_of(photograph_of_crack())
    at = data.index(APP9)
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    content = FIRST_OF_ONE + b"[" * 60_000
    bomb = APP9 + (len(content) + 2).to_bytes(2, "big") + content
    with pytest.raises(ValueError, match="JSON"):
        photograph_in(data[:at] + bomb + data[end:])


def test_record_in_too_many_parts_is_refused() -> None:
    data = jpeg_of(photograph_of_crack())
    part = b"crack_perception\x00%b\x00\x09" + b" " * 65_000
    parts = []
    for number in range(1, 2 + MAX_RECORD_BYTES // 65_000 + 1):
        content = part % number.to_bytes(2, "big")
        parts.append(APP9 + (len(content) + 2).to_bytes(2, "big") + content)
    with pytest.raises(ValueError, match="more than"):
        photograph_in(data[:2] + b"".join(parts) + data[2:])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_record_any_damage_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(jpeg_of(photograph_of_crack(size_px=(64, 48), lines=(with_many_vertices(3),))))
    head = 2 + whole.index(b"\xff\xda")
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, head))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for each in (bytes(whole), bytes(whole[:cut])):
        try:
            assert photograph_in(each).size_px
        except ValueError as error:
            assert str(error)


def test_photograph_lines_of_unequal_length_are_refused() -> None:
    line = photograph_of_crack().lines[0]
    uneven = photograph_of_crack(lines=(replace(line, points_m=line.points_m[:2]),))
    with pytest.raises(ValueError, match="in the map"):
        photograph_in(with_record(plain_jpeg(), uneven))
