# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Messages with photographs: what a mapper accepts from a network, and how long a photograph waits for its crack."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_survey import crack, photograph_message, photograph_of
from map_cracks import jpeg_of

from crack_perception.mapping.evidence.photograph import PhotographedLine, plain_photograph
from crack_perception.mapping.evidence.self_describing import with_record
from crack_perception.ros.mapper.photographs import MAX_BYTES, BadPhotograph, WaitingPhotographs, photograph_of_message

STAMP_NS = 1_700_000_000_000_000_000
LINE = crack()


def test_message_good_is_read_with_its_own_stamp_frame_and_source() -> None:
    sent = photograph_of(LINE, STAMP_NS)
    message = photograph_message(sent)
    message.header.stamp.nanosec += 5
    message.header.frame_id = "other_camera"
    found, jpeg = photograph_of_message(message, "/drone_2/crack_node", "map")
    assert jpeg == message.data.tobytes()
    assert (found.source, found.stamp_ns, found.camera_frame) == ("/drone_2/crack_node", STAMP_NS + 5, "other_camera")
    ignored = {"source", "stamp_ns", "camera_frame", "file", "crack_id"}
    plain, expected = plain_photograph(found), plain_photograph(sent)
    assert {name: plain[name] for name in plain.keys() - ignored} == {
        name: expected[name] for name in expected.keys() - ignored
    }


def test_message_texts_are_printable_and_short() -> None:
    sent = photograph_of(LINE, STAMP_NS, model="\x1b[31m\n" + "x" * 5000, model_sha256="\u202e")
    found, _ = photograph_of_message(photograph_message(sent), "a", "map")
    assert found.model.isprintable() and len(found.model) <= 200 and found.model_sha256 == "?"


def line_with(**changes: Any) -> tuple[PhotographedLine, ...]:
    line = photograph_of(LINE, STAMP_NS).lines[0]
    values = {name: getattr(line, name).copy() for name in ("points_px", "width_mm", "width_sigma_mm", "points_m")}
    for name, value in changes.items():
        values[name][0] = value
    return (PhotographedLine(**values),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map_frame": "odom"}, "in frame 'odom'"),
        ({"gsd_mm_per_px": 0.0}, "ground sampling distance"),
        ({"gsd_mm_per_px": float("nan")}, "ground sampling distance"),
        ({"obliquity_deg": 91.0}, "obliquity"),
        ({"sharpness": 1.5}, "sharpness"),
        ({"completeness": -0.1}, "completeness"),
        ({"score": float("nan")}, "score"),
        ({"intrinsics_px": (1.0, float("nan"), 1.0, 1.0)}, "intrinsics"),
        ({"position_m": np.array([np.nan, 0.0, 0.0])}, "position"),
        ({"position_m": np.array([1e12, 0.0, 0.0])}, "on no map"),
        ({"orientation_xyzw": np.zeros(4)}, "quaternion"),
        ({"lines": ()}, "0 lines"),
        ({"lines": line_with() * 65}, "65 lines"),
        ({"lines": line_with(points_px=[640.5, 0.0])}, "outside the picture"),
        ({"lines": line_with(points_px=[np.nan, 0.0])}, "outside the picture"),
        ({"lines": line_with(points_m=[1e7, 0.0, 0.0])}, "on no map"),
        ({"lines": line_with(points_m=[np.nan, 0.0, 0.0])}, "on no map"),
        ({"lines": line_with(width_mm=-1.0)}, "widths"),
        ({"size_px": (8, 8), "lines": line_with()}, "pixels"),
    ],
)
def test_message_with_impossible_values_is_refused(changes: dict[str, Any], message: str) -> None:
    sent = photograph_of(LINE, STAMP_NS, **changes)
    picture = np.full((sent.size_px[1], sent.size_px[0]), 150, np.uint8)
    jpeg = with_record(cv2.imencode(".jpg", picture)[1].tobytes(), sent)
    with pytest.raises(BadPhotograph, match=message) as refused:
        photograph_of_message(photograph_message(sent, jpeg), "a", "map")
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300


def test_message_too_large_or_no_jpeg_is_refused() -> None:
    sent = photograph_of(LINE, STAMP_NS)
    for jpeg in (jpeg_of(sent) + bytes(MAX_BYTES), b"\x89PNG", b"\xff\xd8"):
        with pytest.raises(BadPhotograph):
            photograph_of_message(photograph_message(sent, jpeg), "a", "map")


class Map:
    """The cracks that lines show, as far as they are mapped."""

    def __init__(self) -> None:
        self.cracks: dict[float, int] = {}

    def __call__(self, line_m: np.ndarray) -> int | None:
        return self.cracks.get(float(line_m[0, 1]))


def test_waiting_photograph_is_placed_when_its_frame_was_mapped() -> None:
    waiting, mapped = WaitingPhotographs(), Map()
    first = photograph_of(crack(1.0), STAMP_NS, crack(1.2), crack(2.0))
    waiting.put(first, b"jpeg", 0.0)
    mapped.cracks = {1.0: 7, 1.2: 7, 2.0: 9}
    assert not waiting.place(0.1, mapped), "the map may know these cracks from earlier frames, at other places"
    waiting.note_mapped(first.source, STAMP_NS)
    ((placed, jpeg),) = waiting.place(0.2, mapped)
    assert placed.crack_id == 7 and jpeg == b"jpeg"
    assert [line.points_m[0, 1] for line in placed.lines] == [1.0, 1.2], "only lines of its own crack"
    assert not waiting.place(9.0, mapped) and waiting.given_up == 0


def test_waiting_photograph_without_a_crack_is_given_up_after_a_while() -> None:
    waiting, mapped = WaitingPhotographs(), Map()
    waiting.put(photograph_of(crack(1.0), STAMP_NS), b"", 0.0)
    waiting.put(photograph_of(crack(2.0), STAMP_NS), b"", 0.0)
    waiting.note_mapped("/crack_node", STAMP_NS)
    assert not waiting.place(0.1, mapped)
    mapped.cracks = {2.0: 4}  # mapped with a later frame only
    assert [placed.crack_id for placed, _ in waiting.place(3.5, mapped)] == [4]
    assert waiting.given_up == 1


def test_waiting_photographs_are_bounded() -> None:
    waiting = WaitingPhotographs()
    for number in range(100):
        waiting.put(photograph_of(crack(1.0), STAMP_NS + number), b"", 0.0)
    assert waiting.given_up == 60
