"""Finding lines by place: nothing within reach is missed, little beyond it is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.mapping.tracks.spatial_index import SpatialIndex


@pytest.fixture
def lines() -> dict[int, np.ndarray]:
    rng = np.random.default_rng(4)
    starts = rng.uniform(-20, 20, (300, 3))
    return {number: start + np.cumsum(rng.normal(0, 0.03, (30, 3)), axis=0) for number, start in enumerate(starts)}


def indexed(lines: dict[int, np.ndarray]) -> SpatialIndex:
    index = SpatialIndex(0.5)
    for number, line in lines.items():
        index.put(number, line)
    return index


def test_everything_within_reach_is_found(lines: dict[int, np.ndarray]) -> None:
    index = indexed(lines)
    points = np.array([[0.3, 2.0, -1.0], [-4.0, 5.5, 7.0]])
    for reach_m in (0.5, 2.0):
        near = {
            number
            for number, line in lines.items()
            if np.linalg.norm(line[:, None] - points[None], axis=2).min() <= reach_m
        }
        assert near <= index.near(points, reach_m)


@pytest.mark.parametrize("half_m", [0.4, 3.0, 1e9])
def test_everything_in_a_box_is_found(lines: dict[int, np.ndarray], half_m: float) -> None:
    index = indexed(lines)
    centre = np.array([1.0, -2.0, 3.0])
    inside = {n for n, line in lines.items() if np.any(np.all(np.abs(line - centre) <= half_m, axis=1))}
    found = index.in_box(centre - half_m, centre + half_m)
    assert inside <= found
    assert len(found) < 40 or half_m == 1e9


def test_a_line_that_moved_or_went_is_not_where_it_was() -> None:
    index = SpatialIndex(0.5)
    here, there = np.zeros((1, 3)), np.full((1, 3), 10.0)
    index.put(7, here)
    index.put(7, there)
    assert index.near(here, 0.5) == set()
    assert index.near(there, 0.5) == {7}
    index.remove(7)
    index.remove(7)
    assert index.near(there, 0.5) == set()
    assert index.in_box(here[0] - 1e9, here[0] + 1e9) == set()
