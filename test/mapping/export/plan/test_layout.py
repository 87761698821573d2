# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the layout of the sheet: everything inside, no overlap, one scale."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from map_cracks import EAST_WALL, SOFFIT, SOUTH_WALL, cracks_on, straight_crack

from crack_perception.mapping.export.plan.facets import find_facets
from crack_perception.mapping.export.plan.layout import BOTTOM_MM, LEFT_MM, RIGHT_MM, TITLE_MM, Box, PlacedFacet, place

AREA = Box(22.0, 12.0, 276.0, 229.0)


def block(facet: PlacedFacet) -> Box:
    """Return the space of a facet including its title and numbers."""
    box = facet.box
    return Box(
        box.left - LEFT_MM, box.top - TITLE_MM, box.width + LEFT_MM + RIGHT_MM, box.height + TITLE_MM + BOTTOM_MM
    )


@pytest.mark.parametrize("size_m", [(0.6, 0.4), (3, 2), (12, 6), (5, 40), (400, 30), (20000, 100)])
def test_layout_all_facets_on_sheet_at_one_scale(size_m: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    surfaces = (SOUTH_WALL, (np.array([size_m[0], 0, 0]), EAST_WALL[1]), (np.array([0, 0, size_m[1]]), SOFFIT[1]))
    cracks = [
        crack for index, surface in enumerate(surfaces) for crack in cracks_on(surface, rng, 6, size_m, 10 * index)
    ]
    facets = find_facets(cracks, [])
    denominator, placed = place(facets, AREA)
    assert [facet.name for facet in placed] == ["A", "B", "C"]
    blocks = [block(facet) for facet in placed]
    for facet, box in zip(placed, blocks, strict=True):
        assert AREA.left <= box.left + 1e-6
        assert AREA.top <= box.top + 1e-6
        assert box.right <= AREA.right + 1e-6
        assert box.bottom <= AREA.bottom + 1e-6
        for crack in facet.facet.cracks:
            on_paper = facet.on_paper(crack.line_m)
            assert np.all(
                (on_paper >= [facet.box.left, facet.box.top]) & (on_paper <= [facet.box.right, facet.box.bottom])
            )
            flat_m = facet.facet.flat(crack.line_m)
            length_mm = np.linalg.norm(np.diff(on_paper, axis=0), axis=1).sum()
            assert length_mm == pytest.approx(
                1000 / denominator * np.linalg.norm(np.diff(flat_m, axis=0), axis=1).sum()
            )
    for first, second in combinations(blocks, 2):
        apart = first.right <= second.left + 1e-6 or second.right <= first.left + 1e-6
        assert apart or first.bottom <= second.top + 1e-6 or second.bottom <= first.top + 1e-6


def test_layout_scale_is_largest_that_fits() -> None:
    wall_m = np.array([[0.0, 0, 0], [12.0, 0, 5.0]])
    denominator, _ = place(find_facets([straight_crack(line_m=wall_m)], []), AREA)
    assert denominator == 50  # 12.2 m take 244 mm; at 1:40 they would take 305


def test_layout_adjacent_walls_share_heights() -> None:
    low = straight_crack(1, line_m=np.array([[0.0, 0, 0], [3.0, 0, 4.0]]))
    high = straight_crack(2, line_m=np.array([[3.0, 0, 1], [3.0, 3.0, 4.5]]), normal=np.array([1.0, 0, 0]))
    _, placed = place(find_facets([low, high], []), AREA)
    assert len(placed) == 2
    heights = [facet.on_paper(np.array([[3.0, 0, 1.5]]))[0, 1] for facet in placed]
    assert heights[0] == pytest.approx(heights[1])


def test_layout_map_up_is_sheet_up() -> None:
    _, (facet,) = place(find_facets([straight_crack()], []), AREA)
    low, high = facet.on_paper(np.array([[0.0, 0, 1.0], [1.0, 0, 2.0]]))
    assert high[1] < low[1]
    assert high[0] > low[0]


def test_layout_no_facets_empty() -> None:
    assert place([], AREA)[1] == []
