# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Places of labels: beside their boxes, inside the frame, never one on another."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.vision.label_places import place_labels

FRAME = (640, 480)
coordinates = st.floats(-100, 700)


def overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_place_labels_single_box_label_stands_above_it() -> None:
    assert place_labels([(100, 200, 180, 240)], [(60, 20)], FRAME) == [(100, 180)]


def test_place_labels_box_at_the_top_label_stands_below_it() -> None:
    assert place_labels([(100, 0, 180, 30)], [(60, 20)], FRAME) == [(100, 30)]


def test_place_labels_place_above_taken_by_a_box_label_avoids_it() -> None:
    (place, _) = place_labels([(100, 200, 180, 240), (90, 150, 190, 195)], [(60, 20), (1, 1)], FRAME)
    assert place == (100, 240)


def test_place_labels_caption_is_not_covered() -> None:
    (place,) = place_labels([(0, 30, 50, 60)], [(60, 20)], FRAME, [(0, 0, 200, 25)])
    assert place is not None and place[1] >= 27


def test_place_labels_frame_without_room_gives_none() -> None:
    places = place_labels([(0, 0, 50, 50)] * 3, [(90, 45)] * 3, (100, 100))
    assert places[:2].count(None) == 0 and places[2] is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(coordinates, coordinates, st.integers(1, 200), st.integers(1, 60)), max_size=12))
def test_place_labels_any_boxes_labels_stay_in_the_frame_and_apart(found: list[tuple[float, float, int, int]]) -> None:
    boxes = [(x, y, x + 80, y + 30) for x, y, _, _ in found]
    sizes = [(width, height) for *_, width, height in found]
    places = place_labels(boxes, sizes, FRAME)
    rectangles = [
        (x, y, x + width, y + height)
        for (x, y), (width, height) in ((p, s) for p, s in zip(places, sizes, strict=True) if p is not None)
    ]
    assert all(r[0] >= 0 and r[1] >= 0 and r[2] <= FRAME[0] and r[3] <= FRAME[1] for r in rectangles)
    assert not any(overlap(one, other) for one, other in itertools.combinations(rectangles, 2))
