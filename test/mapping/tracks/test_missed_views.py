# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of existence evidence: confirmation, loss and return of a crack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from map_observations import WIDE_VIEW, frame, only, segment, show, states

from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.settings import MapSettings

NAN = float("nan")


def test_evidence_confirmed_by_three_views_not_one_moment() -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 0.1, 0.2], segment((0, 0), (1, 0)))
    assert states(crack_map) == {1: CrackState.NEW}
    show(crack_map, [0.4], segment((0, 0), (1, 0)))
    assert states(crack_map) == {1: CrackState.CONFIRMED}


def test_evidence_false_alarm_removed_after_misses() -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0], segment((0, 0), (0.3, 0)))
    assert not show(crack_map, [1.0])[0].removed
    assert show(crack_map, [2.0])[0].removed == {1}
    assert len(crack_map) == 0
    show(crack_map, [3.0], segment((0, 0), (0.3, 0)))
    assert only(crack_map).id == 2


def test_evidence_lost_crack_returns_with_id() -> None:
    crack_map = GrowingMap(MapSettings(lost_after_misses=4))
    show(crack_map, [0.0, 1.0, 2.0, 3.0], segment((0, 0), (1, 0)))
    show(crack_map, [4.0, 5.0, 6.0])
    assert states(crack_map) == {1: CrackState.CONFIRMED}
    show(crack_map, [7.0])
    assert states(crack_map) == {1: CrackState.LOST}
    assert only(crack_map).misses == 4
    show(crack_map, [8.0 + number for number in range(20)])
    assert only(crack_map).length_m == pytest.approx(1.0, abs=0.03)
    show(crack_map, [30.0], segment((0, 0), (1, 0)))
    assert states(crack_map) == {1: CrackState.CONFIRMED}
    assert only(crack_map).misses == 0


def test_evidence_burst_of_misses_counts_once() -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)))
    show(crack_map, [3.0 + 0.01 * number for number in range(10)])
    assert states(crack_map) == {1: CrackState.CONFIRMED}


@pytest.mark.parametrize(
    "footprint",
    [
        np.zeros((0, 3)),
        WIDE_VIEW + np.array([0.0, 0, 1]),
        WIDE_VIEW + np.array([6.0, 0, 0]),
        WIDE_VIEW[:, [2, 0, 1]],
        2 * WIDE_VIEW,
    ],
    ids=["unknown", "another depth", "not inside", "another wall", "coarser than ever seen"],
)
def test_evidence_frame_without_view_no_miss(footprint: np.ndarray) -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)))
    for time_s in range(3, 20):
        crack_map.add(frame(time_s, footprint_m=footprint))
    assert states(crack_map) == {1: CrackState.CONFIRMED}
    assert only(crack_map).misses == 0


def test_evidence_missing_part_removed() -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 1.0], segment((0, 0), (1.5, 0)))
    show(crack_map, [2.0 + number for number in range(8)], segment((0, 0), (1, 0)))
    assert only(crack_map).length_m == pytest.approx(1.0, abs=0.05)


def test_evidence_incomplete_frame_no_miss() -> None:
    crack_map = GrowingMap(MapSettings(lost_after_misses=4))
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)))
    for time_s in range(3, 20):
        crack_map.add(replace(frame(time_s), is_complete=False))
    assert states(crack_map) == {1: CrackState.CONFIRMED}
    assert only(crack_map).misses == 0
    show(crack_map, [20.0, 21.0, 22.0, 23.0])
    assert states(crack_map) == {1: CrackState.LOST}
