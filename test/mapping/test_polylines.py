# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of polylines in space: lengths, directions, resampling."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.mapping.polylines import (
    arc_lengths,
    cross,
    even_positions,
    hairpins,
    interpolated,
    inverses,
    joined_tangents,
    largest_eigenvalue,
    nearest_squares,
    runs,
    tangents,
)

CORNER = np.array([[0.0, 0, 0], [3, 0, 0], [3, 4, 0]])


def test_lengths_accumulate_along_line() -> None:
    assert arc_lengths(CORNER).tolist() == [0, 3, 7]


def test_even_positions_are_evenly_spaced_with_ends() -> None:
    along = arc_lengths(CORNER)
    points = interpolated(CORNER, even_positions(along, 0.5))
    assert len(points) == 15
    assert points[[0, -1]] == pytest.approx(CORNER[[0, -1]])
    # The corner lies on the grid, so the steps are straight.
    assert np.diff(arc_lengths(points)) == pytest.approx(0.5)


def test_even_positions_short_line_two_vertices() -> None:
    assert len(even_positions(np.array([0.0, 0.001]), 0.02)) == 2


def test_interpolation_beyond_ends_constant() -> None:
    values = np.array([[1.0, 10.0], [3.0, 30.0]])
    assert interpolated(values, np.array([-5.0, 0.5, 9.0])).tolist() == [[1, 10], [2, 20], [3, 30]]


def test_tangents_coinciding_vertices_follow_line() -> None:
    straight = np.arange(6)[:, None] * np.array([[0.0, 0.6, 0.8]])
    assert tangents(straight) == pytest.approx(np.tile([0, 0.6, 0.8], (6, 1)))
    folded = np.array([[0.0, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert np.linalg.norm(tangents(folded), axis=1) == pytest.approx(1.0)


def test_cross_equals_numpy() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 7, 3))
    assert cross(a, b) == pytest.approx(np.cross(a, b))
    assert cross(a, b[0]) == pytest.approx(np.cross(a, b[0]))


def test_runs_are_half_open() -> None:
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(np.zeros(3, dtype=bool)) == []


def test_distances_far_from_origin_exact() -> None:
    far = np.array([5e5, 4e6, 0.0])
    line = far + np.arange(20)[:, None] * np.array([[0.02, 0, 0]])
    beside = line + np.array([0, 0.1, 0])
    assert np.sqrt(nearest_squares(line, beside)) == pytest.approx(np.full(20, 0.1), abs=1e-3)


def test_hairpins_line_turning_back_found() -> None:
    there = np.stack([np.arange(30) * 0.02, np.zeros(30), np.zeros(30)], axis=1)
    back = there[::-1][1:] + [0, 0.01, 0]
    (turn,) = hairpins(np.vstack([there, back]), 5)
    assert turn == pytest.approx(29, abs=2)
    assert len(hairpins(there, 5)) == 0
    assert len(hairpins(there[:4], 5)) == 0
    # A right angle is not a hairpin.
    corner = np.vstack([there, [[0.58, 0.02 * k, 0] for k in range(1, 30)]])
    assert len(hairpins(corner, 5)) == 0


def test_nearest_squares_either_axis_same_table() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(7, 3)) + 1e5, rng.normal(size=(5, 3)) + 1e5
    squares = np.square(a[:, None] - b).sum(axis=2)
    assert nearest_squares(a, b) == pytest.approx(squares.min(axis=1), abs=1e-6)
    assert nearest_squares(a, b, axis=0) == pytest.approx(squares.min(axis=0), abs=1e-6)


def test_joined_tangents_equal_separate_tangents() -> None:
    rng = np.random.default_rng(2)
    lines = [np.cumsum(rng.normal(size=(count, 3)), axis=0) for count in (2, 3, 9)]
    lines.append(np.zeros((4, 3)))
    sizes = [len(line) for line in lines]
    first = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    last = first + np.repeat(sizes, sizes) - 1
    joined = joined_tangents(np.concatenate(lines), first, last)
    np.testing.assert_array_equal(joined, np.concatenate([tangents(line) for line in lines]))
    assert np.linalg.norm(joined, axis=1) == pytest.approx(np.ones(sum(sizes)))


def test_largest_eigenvalue_equals_numpy() -> None:
    rng = np.random.default_rng(5)
    for scale in (1e-6, 1.0, 1e6):
        for _ in range(100):
            root = rng.normal(size=(3, int(rng.integers(1, 4))))
            matrix = scale * root @ root.T
            assert largest_eigenvalue(matrix) == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-6)
    assert largest_eigenvalue(np.zeros((3, 3))) == 0.0
    assert largest_eigenvalue(2.0 * np.eye(3)) == 2.0
    assert largest_eigenvalue(np.diag([1.0, 3.0, 3.0])) == pytest.approx(3.0)


def test_inverses_closed_form_equals_numpy() -> None:
    roots = np.random.default_rng(0).normal(size=(20, 3, 3))
    matrices = roots @ roots.transpose(0, 2, 1) + 0.01 * np.eye(3)
    assert inverses(matrices) == pytest.approx(np.linalg.inv(matrices), rel=1e-9)
