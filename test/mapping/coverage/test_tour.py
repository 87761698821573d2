# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the order in which poses are flown."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from crack_perception.mapping.coverage.tour import short_tour, tour_length_m


def test_tour_line_is_flown_from_end_to_end() -> None:
    points = np.column_stack([np.random.default_rng(3).permutation(30), np.zeros(30), np.zeros(30)]).astype(np.float64)
    order = short_tour(points, np.array([-1.0, 0, 0]))
    assert points[order, 0].tolist() == list(range(30))


@pytest.mark.parametrize("seed", range(8))
def test_tour_is_near_the_shortest(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 10, (7, 3))
    start = np.zeros(3)
    order = short_tour(points, start)
    assert sorted(order) == list(range(7))
    best = min(tour_length_m(np.vstack([start, points[list(each)]])) for each in permutations(range(7)))
    assert tour_length_m(np.vstack([start, points[order]])) <= 1.15 * best


def test_tour_of_nothing_and_of_one_point() -> None:
    assert short_tour(np.zeros((0, 3))) == []
    assert short_tour(np.ones((1, 3))) == [0]
    assert short_tour(np.ones((5, 3)), np.zeros(3)) == sorted(short_tour(np.ones((5, 3))))
