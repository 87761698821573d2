# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the track index: queries by position."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.mapping.tracks.index import BoxIndex


@pytest.fixture
def lines() -> dict[int, np.ndarray]:
    rng = np.random.default_rng(4)
    starts = rng.uniform(-20, 20, (300, 3))
    return {number: start + np.cumsum(rng.normal(0, 0.03, (30, 3)), axis=0) for number, start in enumerate(starts)}


def indexed(lines: dict[int, np.ndarray]) -> BoxIndex:
    index = BoxIndex()
    for number, line in lines.items():
        index.put(number, line)
    return index


def test_index_query_finds_all_within_distance(lines: dict[int, np.ndarray]) -> None:
    index = indexed(lines)
    points = np.array([[0.3, 2.0, -1.0], [-4.0, 5.5, 7.0]])
    for reach_m in (0.5, 2.0):
        near = {
            number
            for number, line in lines.items()
            if np.linalg.norm(line[:, None] - points[None], axis=2).min() <= reach_m
        }
        assert near <= index.in_box(points.min(axis=0) - reach_m, points.max(axis=0) + reach_m)


@pytest.mark.parametrize("half_m", [0.4, 3.0, 1e9])
def test_index_query_finds_all_in_box(lines: dict[int, np.ndarray], half_m: float) -> None:
    index = indexed(lines)
    centre = np.array([1.0, -2.0, 3.0])
    inside = {n for n, line in lines.items() if np.any(np.all(np.abs(line - centre) <= half_m, axis=1))}
    found = index.in_box(centre - half_m, centre + half_m)
    assert inside <= found
    assert len(found) < 40 or half_m == 1e9


def test_index_moved_or_removed_line_not_found() -> None:
    index = BoxIndex()
    here, there = np.zeros((1, 3)), np.full((1, 3), 10.0)
    index.put(7, here)
    index.put(7, there)
    assert index.in_box(here[0] - 0.5, here[0] + 0.5) == set()
    assert index.in_box(there[0] - 0.5, there[0] + 0.5) == {7}
    index.remove(7)
    index.remove(7)
    assert index.in_box(there[0] - 0.5, there[0] + 0.5) == set()
    assert index.in_box(here[0] - 1e9, here[0] + 1e9) == set()


def test_box_index_many_changes_equals_list() -> None:
    rng = np.random.default_rng(8)
    index, kept = BoxIndex(), {}
    for step in range(600):
        number = int(rng.integers(0, 200))
        if step % 3 == 2:
            index.remove(number)
            kept.pop(number, None)
        else:
            kept[number] = rng.uniform(-5, 5, 3) + rng.normal(0, 0.2, (4, 3))
            index.put(number, kept[number])
        low = rng.uniform(-5, 3, 3)
        touching = {n for n, line in kept.items() if np.all((line.min(0) <= low + 2) & (line.max(0) >= low))}
        assert index.in_box(low, low + 2) == touching
