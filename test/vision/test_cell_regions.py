# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of regions of cells: extent, connection, confirmation, and the tiles that they belong to."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.vision.cell_regions import build_cell_regions
from crack_perception.vision.regions import Region
from crack_perception.vision.tiling import TileGrid, plan_tiles

THRESHOLD = 0.5
LOW, HIGH = 0.5, 0.9
GRID = plan_tiles(1024, 768, 256)


def regions_of(cracked: dict[int, list[tuple[int, int, float]]], grid: TileGrid = GRID) -> list[Region]:
    """Return the regions of cracked tiles with the given cells (row, column, score)."""
    scores = np.full(grid.count, 0.1, np.float32)
    cells = np.full((grid.count, 64), np.nan, np.float32)
    for tile, found in cracked.items():
        scores[tile] = 0.8 + tile / 1000
        cells[tile] = 0.1
        for row, column, score in found:
            cells[tile, 8 * row + column] = score
    return build_cell_regions(grid, scores, THRESHOLD, cells, (LOW, HIGH))


def painted(regions: list[Region], grid: TileGrid = GRID) -> np.ndarray:
    """Return how many areas cover each pixel."""
    count = np.zeros((grid.frame_height_px, grid.frame_width_px), int)
    for region in regions:
        assert region.areas is not None
        for left, top, right, bottom in region.areas:
            count[top:bottom, left:right] += 1
    return count


def test_cell_regions_no_cracked_tile_empty() -> None:
    assert regions_of({}) == []


def test_cell_regions_one_cell_has_margin_of_one_cell() -> None:
    (region,) = regions_of({5: [(3, 4, 0.95)]})
    covered = painted([region])
    expected = np.zeros_like(covered)
    expected[256 + 64 : 256 + 160, 256 + 96 : 256 + 192] = 1
    np.testing.assert_array_equal(covered, expected)
    assert region.tiles.tolist() == [5]
    assert region.score == pytest.approx(0.805)
    np.testing.assert_allclose(region.box.centre_px, [256 + 144 - 0.5, 256 + 112 - 0.5])
    assert (region.box.length_px, region.box.width_px) == pytest.approx((96, 96))


def test_cell_regions_line_through_two_tiles_is_one_region() -> None:
    line = [(4, column, 0.95) for column in range(8)]
    (region,) = regions_of({4: line, 5: line})
    assert region.tiles.tolist() == [4, 5]
    assert (region.box.length_px, region.box.width_px) == pytest.approx((512, 96))
    assert painted([region]).sum() == 512 * 96


def test_cell_regions_weak_cells_need_a_connected_clear_one() -> None:
    weak = [(row, 1, 0.6) for row in range(2, 6)]
    (region,) = regions_of({5: [*weak, (6, 1, 0.95), (3, 6, 0.6)]})
    covered = painted([region])[256:512, 256:512]
    assert covered[32:, :96].all()
    assert not covered[:, 96:].any()


def test_cell_regions_tiles_without_clear_cell_keep_strongest() -> None:
    (region,) = regions_of({5: [(3, 4, 0.3), (6, 0, 0.2)]})
    assert painted([region])[256 + 112, 256 + 144] == 1
    assert painted([region]).sum() == 96 * 96


def test_cell_regions_unconfirmed_tile_beside_a_crack_is_dropped() -> None:
    (region,) = regions_of({5: [(3, 4, 0.95)], 6: [(3, 6, 0.6)]})
    assert region.tiles.tolist() == [5]


def test_cell_regions_two_cracks_of_a_tile_are_two_regions_strongest_tile_first() -> None:
    regions = regions_of({0: [(1, 1, 0.95), (6, 6, 0.95)], 7: [(4, 4, 0.95)]})
    assert [region.tiles.tolist() for region in regions] == [[7], [0], [0]]
    assert painted(regions).max() == 1


def test_cell_regions_bent_crack_is_cut_into_narrow_boxes() -> None:
    column = [(row, 1, 0.95) for row in range(8)]
    row = [(4, column, 0.95) for column in range(8)]
    regions = regions_of({0: column, 4: column, 8: [*column, *row], 9: row, 10: row, 11: row})
    assert len(regions) > 1
    assert all(region.box.width_px <= 512 for region in regions)
    covered = painted(regions)
    assert covered.max() == 1
    assert covered[:, 32:64].all() and covered[512 + 128 : 512 + 160].all()


@pytest.mark.parametrize(("width", "height", "overlap", "reduction"), [(1920, 1080, 0.0, 1), (700, 500, 0.3, 1)])
def test_cell_regions_overlapping_tiles_cover_the_crack_once(
    width: int, height: int, overlap: float, reduction: int
) -> None:
    grid = plan_tiles(width, height, 256, overlap, reduction)
    x, y = 0.61 * width, np.arange(height)
    cracked: dict[int, list[tuple[int, int, float]]] = {}
    for tile, (left, top, right, bottom) in enumerate(grid.boxes()):
        if left <= x < right:
            cracked[tile] = [(int(row - top) // 32, int(x - left) // 32, 0.95) for row in range(top, bottom)]
    regions = regions_of(cracked, grid)
    covered = painted(regions, grid)
    assert covered.max() == 1
    assert covered[y, int(x)].all()
    assert covered[y[:, None], int(x) + np.arange(-16, 17)].all(), "the margin is at least half a cell"
    assert covered.sum() <= 160 * height


def test_cell_regions_reduced_frame_cells_are_larger() -> None:
    grid = plan_tiles(1024, 1024, 256, 0.0, 2)
    (region,) = regions_of({3: [(3, 4, 0.95)]}, grid)
    assert painted([region], grid).sum() == 192 * 192
