# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Footprints are thinned out, but nothing that was seen is forgotten."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.inspected_areas import InspectedAreas

CORNERS = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.0, 1.5], [0.0, 0.0, 1.5]])


def test_areas_hover_is_one_and_flight_is_covered_without_gaps() -> None:
    seen = InspectedAreas()
    for _ in range(200):
        seen.add(CORNERS + np.random.default_rng(1).normal(0, 0.001, 3))
    assert len(seen.polygons_m()) == 1
    for step in range(500):
        seen.add(CORNERS + [0.02 * step, 0.0, 0.0])
    assert 20 <= len(seen.polygons_m()) < 150
    areas = [Footprint.of(polygon) for polygon in seen.polygons_m()]
    along = np.column_stack([np.linspace(0.1, 11.7, 200), np.zeros(200), np.full(200, 0.75)])
    assert np.any([area.shows(along, 0.0, 0.1) for area in areas if area], axis=0).all()


def test_areas_other_direction_or_distance_are_kept_apart() -> None:
    seen = InspectedAreas()
    seen.add(CORNERS)
    seen.add(CORNERS[:, [1, 0, 2]] + [1.0, -1.0, 0.0])
    middle = CORNERS.mean(axis=0)
    seen.add(middle + 0.3 * (CORNERS - middle))
    assert len(seen.polygons_m()) == 3
    seen.clear()
    assert seen.polygons_m() == ()


@pytest.mark.parametrize("corners", [np.zeros((0, 3)), np.zeros((4, 3)), np.full((4, 3), np.nan), CORNERS[:2]])
def test_areas_degenerate_footprint_is_ignored(corners: np.ndarray) -> None:
    seen = InspectedAreas()
    seen.add(corners)
    assert seen.polygons_m() == ()
