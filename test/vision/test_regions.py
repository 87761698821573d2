# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of regions: adjacent cracked tiles form regions with oriented boxes along the crack."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from crack_perception.vision.regions import OrientedBox, Region, build_regions
from crack_perception.vision.tiling import TileGrid, plan_tiles

TILE_PX = 64
PATTERNS = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0.0, 0.2, 0.6, 0.9])
)
THRESHOLD = 0.5


def grid_of(rows: int, columns: int) -> TileGrid:
    """Return a grid of adjacent tiles."""
    return plan_tiles(columns * TILE_PX, rows * TILE_PX, TILE_PX)


def regions_of(*pattern: str) -> list[Region]:
    """Return the regions of a drawing in which ``#`` is a cracked tile."""
    flags = np.array([[tile == "#" for tile in row] for row in pattern])
    return build_regions(grid_of(*flags.shape), flags.ravel().astype(np.float64), THRESHOLD)


def degrees(box: OrientedBox) -> float:
    return float(np.rad2deg(box.angle_rad))


def cells_of(region: Region, columns: int) -> set[tuple[int, int]]:
    """Return (row, column) of a region's tiles."""
    return {(int(tile) // columns, int(tile) % columns) for tile in region.tiles}


def test_regions_single_tile_is_its_box() -> None:
    (region,) = regions_of("...", ".#.")
    assert region.tiles.tolist() == [4]
    # The tile covers pixels 64..127, whose outer edges are at 63.5 and 127.5.
    assert region.box.centre_px == pytest.approx([95.5, 95.5], abs=1e-3)
    assert (region.box.length_px, region.box.width_px) == pytest.approx((64, 64), abs=1e-3)


def test_regions_row_of_tiles_one_long_box() -> None:
    (region,) = regions_of("....", "####", "....")
    assert degrees(region.box) == pytest.approx(0, abs=1e-3)
    assert (region.box.length_px, region.box.width_px) == pytest.approx((256, 64), abs=1e-3)
    assert region.box.centre_px == pytest.approx([127.5, 95.5], abs=1e-3)


def test_regions_column_of_tiles_axis_down() -> None:
    (region,) = regions_of(".#", ".#", ".#")
    assert abs(degrees(region.box)) == pytest.approx(90, abs=1e-3)
    assert region.box.length_px == pytest.approx(192, abs=1e-3)


def test_regions_diagonal_chain_one_rotated_box() -> None:
    (falling,) = regions_of("#.....", ".#....", "..#...", "...#..", "....#.", ".....#")
    assert degrees(falling.box) == pytest.approx(45, abs=0.01)
    assert falling.box.length_px == pytest.approx(6 * TILE_PX * np.sqrt(2), rel=1e-4)
    assert falling.box.width_px == pytest.approx(TILE_PX * np.sqrt(2), rel=1e-4)
    (rising,) = regions_of("...#", "..#.", ".#..", "#...")
    assert degrees(rising.box) == pytest.approx(-45, abs=0.01)


def test_regions_shallow_chain_box_follows_slope() -> None:
    (region,) = regions_of("##......", "..##....", "....##..", "......##")
    assert degrees(region.box) == pytest.approx(np.rad2deg(np.arctan2(1, 2)), abs=3)


@pytest.mark.parametrize(
    "pattern",
    [
        ("#....", "#....", "#....", "#....", "#####"),
        ("....#", "....#", "....#", "....#", "#####"),
        ("#####", "#....", "#....", "#....", "#...."),
        ("#####", "....#", "....#", "....#", "....#"),
    ],
)
def test_regions_l_shape_split_into_arms(pattern: tuple[str, ...]) -> None:
    boxes = sorted((region.box for region in regions_of(*pattern)), key=lambda box: abs(box.angle_rad))
    assert [abs(round(degrees(box))) for box in boxes] == [0, 90]
    assert [box.length_px for box in boxes] == pytest.approx([5 * TILE_PX, 4 * TILE_PX], abs=1e-3)
    assert [box.width_px for box in boxes] == pytest.approx([TILE_PX, TILE_PX], abs=1e-3)


def test_regions_two_rows_whole_three_split() -> None:
    (region,) = regions_of("......", ".####.", ".####.", "......")
    assert len(region.tiles) == 8
    regions = regions_of(".....", ".###.", ".###.", ".###.")
    assert sorted(len(region.tiles) for region in regions) == [3, 6]
    assert all(region.box.width_px <= 2 * TILE_PX + 1e-3 for region in regions)


def test_regions_all_cracked_slender_boxes() -> None:
    regions = regions_of(*["########"] * 5)
    assert sum(len(region.tiles) for region in regions) == 40
    assert max(region.box.width_px for region in regions) <= 2.5 * TILE_PX


def test_regions_tiles_join_at_edges_and_corners() -> None:
    assert len(regions_of("##")) == 1
    assert len(regions_of("#.", ".#")) == 1
    assert len(regions_of("#.#")) == 2
    assert len(regions_of("#..", "..#")) == 2


def test_regions_ordered_by_highest_score() -> None:
    scores = [0.6, 0.55, 0.0, 0.8, 0.0, 0.97]
    regions = build_regions(grid_of(1, 6), scores, THRESHOLD)
    assert [region.score for region in regions] == [0.97, 0.8, 0.6]
    assert [region.tiles.tolist() for region in regions] == [[5], [3], [0, 1]]


def test_regions_score_at_threshold_cracked() -> None:
    grid = grid_of(1, 1)
    assert len(build_regions(grid, [0.5], 0.5)) == 1
    assert build_regions(grid, [np.nextafter(0.5, 0)], 0.5) == []


def test_regions_intact_frame_none() -> None:
    assert build_regions(grid_of(4, 5), np.zeros(20), THRESHOLD) == []


def test_regions_overlapping_tiles_one_box() -> None:
    grid = plan_tiles(160, 64, TILE_PX, overlap=0.5)
    (region,) = build_regions(grid, np.ones(grid.count), THRESHOLD)
    assert region.box.length_px == pytest.approx(160, abs=1e-3)


def test_regions_small_frame_box_clipped() -> None:
    (region,) = build_regions(plan_tiles(40, 30, TILE_PX), [1.0], THRESHOLD)
    assert region.box.centre_px == pytest.approx([19.5, 14.5], abs=1e-3)
    assert (region.box.length_px, region.box.width_px) == pytest.approx((40, 30), abs=1e-3)


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((2, 2)), np.zeros(0)])
def test_regions_wrong_number_of_scores_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="4 tiles"):
        build_regions(grid_of(2, 2), scores, THRESHOLD)


@settings(deadline=None)
@given(PATTERNS)
def test_regions_each_cracked_tile_in_one_region(pattern: np.ndarray) -> None:
    regions = build_regions(grid_of(*pattern.shape), pattern.ravel(), THRESHOLD)
    tiles = [tile for region in regions for tile in region.tiles.tolist()]
    assert sorted(tiles) == np.flatnonzero(pattern.ravel() >= THRESHOLD).tolist()
    assert [region.score for region in regions] == [pattern.ravel()[region.tiles].max() for region in regions]


@settings(deadline=None)
@given(PATTERNS)
def test_regions_boxes_contain_tiles_and_are_filled(pattern: np.ndarray) -> None:
    grid = grid_of(*pattern.shape)
    for region in build_regions(grid, pattern.ravel(), THRESHOLD):
        box, tiles = region.box, grid.boxes()[region.tiles]
        assert np.all(box.contains((tiles[:, :2] + tiles[:, 2:] - 1) / 2))
        assert 0 < box.width_px <= box.length_px
        assert -np.pi / 2 < box.angle_rad <= np.pi / 2
        outline = np.round(box.corners() * 8).astype(np.int32)
        for left, top, right, bottom in tiles:
            for corner in ((left, top), (right - 1, top), (right - 1, bottom - 1), (left, bottom - 1)):
                assert cv2.pointPolygonTest(outline, tuple(8.0 * coordinate for coordinate in corner), True) > -4
        if len(tiles) > 2:
            assert len(tiles) * TILE_PX**2 >= 0.399 * box.length_px * box.width_px


@settings(deadline=None)
@given(PATTERNS)
def test_regions_tiles_of_region_connected(pattern: np.ndarray) -> None:
    for region in build_regions(grid_of(*pattern.shape), pattern.ravel(), THRESHOLD):
        cells = cells_of(region, pattern.shape[1])
        reached, frontier = set(), {next(iter(cells))}
        while frontier:
            reached |= frontier
            near = {(row + i, column + j) for row, column in frontier for i in (-1, 0, 1) for j in (-1, 0, 1)}
            frontier = (near & cells) - reached
        assert reached == cells


def test_box_corners_ends_and_axis_consistent() -> None:
    box = OrientedBox(np.array([10.0, 20.0]), 8.0, 2.0, np.pi / 6)
    along = np.array([np.sqrt(3) / 2, 0.5])
    assert box.axis() == pytest.approx(along)
    assert box.ends() == pytest.approx(np.array([[10, 20] - 4 * along, [10, 20] + 4 * along]))
    corners = box.corners()
    assert corners.mean(axis=0) == pytest.approx(box.centre_px)
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    assert sides == pytest.approx([8, 2, 8, 2])
    assert (corners[0] + corners[3]) / 2 == pytest.approx(box.ends()[0])


def test_box_contains_edge_but_nothing_outside() -> None:
    box = OrientedBox(np.array([0.0, 0.0]), 4.0, 2.0, np.pi / 2)
    assert box.contains([[0, 2], [1, 0], [0, 0], [-1, -2]]).tolist() == [True] * 4
    assert box.contains([[2, 0], [0, 2.1], [1.1, 0]]).tolist() == [False] * 3


def test_box_direction_known_only_if_slender() -> None:
    uniform_rad = np.std(np.linspace(-np.pi / 2, np.pi / 2, 100_001))
    sigmas = [OrientedBox(np.zeros(2), length, 64.0, 0.0).direction_sigma_rad() for length in (64.0, 128.0, 6400.0)]
    assert sigmas[0] == pytest.approx(uniform_rad, rel=1e-3)
    # Within the box of two tiles a crack may run up to 26 degrees off the axis, within that of 100 tiles 0.6 degrees.
    assert sigmas[1:] == pytest.approx([0.453, 0.00907], rel=2e-3)
