# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of label placement: no overlap, no blocked area, inside the sheet, near the anchor."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.mapping.export.plan.labels import LabelSheet, PlacedLabel, Wish
from crack_perception.mapping.export.plan.layout import Box

AREA = Box(20.0, 10.0, 200.0, 150.0)
SIZES = ((26.0, 3.1), (8.0, 3.1))


def overlap(first: Box, second: Box) -> bool:
    return (
        first.left < second.right
        and second.left < first.right
        and first.top < second.bottom
        and second.top < first.bottom
    )


def wishes_at(points: np.ndarray) -> list[Wish]:
    return [Wish(key, (float(x), float(y)), SIZES) for key, (x, y) in enumerate(points)]


def leader_mm(label: PlacedLabel) -> float:
    return float(np.linalg.norm(label.leader_mm[1] - label.leader_mm[0]))


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (30, 1), (300, 2)])
def test_place_labels_inside_sheet_without_overlap(count: int, seed: int) -> None:
    points = np.random.default_rng(seed).uniform([20, 10], [220, 160], (count, 2))
    labels = LabelSheet(AREA).place(wishes_at(points))
    assert len(labels) >= min(count, 120)
    for index, label in enumerate(labels):
        assert (label.box.width, label.box.height) == SIZES[label.form]
        assert label.box.left >= AREA.left
        assert label.box.top >= AREA.top
        assert label.box.right <= AREA.right
        assert label.box.bottom <= AREA.bottom
        assert not any(overlap(label.box, other.box) for other in labels[:index])


def test_leaders_connect_label_and_anchor() -> None:
    points = np.random.default_rng(4).uniform([20, 10], [220, 160], (60, 2))
    for label in LabelSheet(AREA).place(wishes_at(points)):
        start, end = label.leader_mm
        np.testing.assert_array_equal(end, points[label.key])
        assert label.box.left - 1e-9 <= start[0] <= label.box.right + 1e-9
        assert label.box.top - 1e-9 <= start[1] <= label.box.bottom + 1e-9


def test_place_labels_empty_sheet_near_anchor() -> None:
    (label,) = LabelSheet(AREA).place(wishes_at(np.array([[120.0, 80.0]])))
    assert label.form == 0
    assert leader_mm(label) < 4


def test_place_labels_blocked_boxes_kept_free() -> None:
    sheet = LabelSheet(AREA)
    blocked = Box(100.0, 60.0, 40.0, 40.0)
    sheet.block(blocked)
    (label,) = sheet.place(wishes_at(np.array([[120.0, 80.0]])))
    assert not overlap(label.box, blocked)


def test_place_labels_with_room_lines_uncovered() -> None:
    sheet = LabelSheet(AREA)
    for y in np.arange(60.0, 79.0, 1.0):  # everything above the anchor
        sheet.add_line(np.array([[80.0, y], [160.0, y]]))
    (label,) = sheet.place(wishes_at(np.array([[120.0, 80.0]])))
    assert label.box.top >= 80.0


def test_place_labels_full_sheet_shortened_then_omitted() -> None:
    sheet = LabelSheet(Box(0.0, 0.0, 70.0, 12.0))
    labels = sheet.place(wishes_at(np.random.default_rng(6).uniform([0, 0], [70, 12], (60, 2))))
    assert {label.form for label in labels} == {0, 1}
    assert len(labels) < 60


def test_place_labels_first_request_placed_first() -> None:
    labels = LabelSheet(Box(0.0, 0.0, 70.0, 5.0)).place(wishes_at(np.full((5, 2), [35.0, 2.5]))[::-1])
    assert labels[0].key == 4
