# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the footprint: the points inside the part of the surface that a frame covers."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry import rotations
from crack_perception.mapping.footprint import Footprint

# An L, so that the outline is not convex.
CORNERS = np.array([[0.0, 0, 0], [4, 0, 0], [4, 2, 0], [2, 2, 0], [2, 4, 0], [0, 4, 0]])
POINTS = np.array([[1.0, 1, 0], [3, 3, 0], [3, 1, 0], [1.95, 3, 0], [1, 1, 0.2], [9, 9, 0]])


def test_footprint_patch_area_and_normal() -> None:
    patch = Footprint.of(CORNERS)
    assert patch is not None
    assert patch.area_m2 == pytest.approx(12.0)
    assert np.abs(patch.normal).tolist() == pytest.approx([0, 0, 1])


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.4, -1.2, 2.0)])
def test_footprint_shows_only_inner_points_near_plane(turn: tuple[float, float, float]) -> None:
    rotation = rotations.to_matrix(rotations.from_rotation_vector(turn))
    shift = np.array([500.0, -200.0, 30.0])
    patch = Footprint.of(CORNERS @ rotation.T + shift)
    assert patch is not None
    shown = patch.shows(POINTS @ rotation.T + shift, margin_m=0.1, depth_m=0.1)
    assert shown.tolist() == [True, False, True, False, False, False]


@pytest.mark.parametrize(
    "corners",
    [
        np.zeros((0, 3)),
        np.zeros((4, 3)),
        CORNERS[:2],
        np.full((4, 3), np.nan),
        np.array([[0.0, 0, 0], [1, 1, 1], [2, 2, 2]]),
    ],
)
def test_footprint_degenerate_outline_none(corners: np.ndarray) -> None:
    assert Footprint.of(corners) is None


def test_footprint_corner_on_side_same_points() -> None:
    rng = np.random.default_rng(1)
    corners = np.array([[0.0, 0, 1], [3, 0.5, 1], [2.5, 2, 1], [0.2, 1.8, 1]])
    more = np.insert(corners, 1, 0.5 * (corners[0] + corners[1]), axis=0)
    one, other = Footprint.of(corners), Footprint.of(more)
    assert one is not None and other is not None
    points = rng.uniform([-1, -1, 0.8], [4, 3, 1.2], (2000, 3))
    shown = one.shows(points, 0.1, 0.1)
    assert 100 < shown.sum() < 1000
    np.testing.assert_array_equal(shown, other.shows(points, 0.1, 0.1))
    clockwise = Footprint.of(corners[::-1])
    assert clockwise is not None
    np.testing.assert_array_equal(shown, clockwise.shows(points, 0.1, 0.1))
