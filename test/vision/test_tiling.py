# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of tiling: tiles cover a frame up to its edges with the requested overlap."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.vision.tiling import COLOUR, GREY, cut_tiles, in_channels, pad_to_tile, plan_tiles, reduced

SIDES_PX = st.integers(1, 700)
TILES_PX = st.integers(1, 128)
OVERLAPS = st.floats(0.0, 0.9)


def numbered(width_px: int, height_px: int) -> np.ndarray:
    """Return an image with pairwise different pixels (up to 256 x 256)."""
    y, x = np.mgrid[:height_px, :width_px]
    return np.stack([x % 256, y % 256, (x // 256 + 3 * (y // 256)) % 256], axis=-1).astype(np.uint8)


def test_grid_full_hd_eight_by_five_tiles() -> None:
    grid = plan_tiles(1920, 1080, 256)
    assert grid.lefts_px == (0, 238, 475, 713, 951, 1189, 1426, 1664)
    assert grid.tops_px == (0, 206, 412, 618, 824)
    assert (grid.columns, grid.rows, grid.count) == (8, 5, 40)


def test_grid_whole_tiles_no_overlap() -> None:
    grid = plan_tiles(512, 768, 256)
    assert grid.lefts_px == (0, 256)
    assert grid.tops_px == (0, 256, 512)


def test_grid_half_overlap_half_stride() -> None:
    assert plan_tiles(256, 64, 64, overlap=0.5).lefts_px == (0, 32, 64, 96, 128, 160, 192)


def test_grid_fractional_stride_keeps_overlap() -> None:
    # 30 % of 256 px are 76.8 px: at least 77 px overlap.
    lefts = plan_tiles(1920, 256, 256, overlap=0.3).lefts_px
    assert max(np.diff(lefts)) <= 256 - 77


@settings(deadline=None)
@given(SIDES_PX, SIDES_PX, TILES_PX, OVERLAPS)
def test_grid_reaches_edges_with_overlap(width: int, height: int, tile: int, overlap: float) -> None:
    grid = plan_tiles(width, height, tile, overlap)
    for length, origins in ((width, grid.lefts_px), (height, grid.tops_px)):
        assert origins[0] == 0
        if length <= tile:
            assert origins == (0,)
            continue
        assert origins[-1] == length - tile
        strides = np.diff(origins)
        assert np.all(strides >= 1)
        assert np.all(tile - strides >= overlap * tile - 1e-6) or tile * (1 - overlap) < 1


@settings(deadline=None)
@given(SIDES_PX, TILES_PX, OVERLAPS)
def test_grid_number_of_tiles_minimal(length: int, tile: int, overlap: float) -> None:
    count = plan_tiles(length, 1, tile, overlap).columns
    if count > 1:
        widest_stride = max(1, np.floor(tile * (1 - overlap) + 1e-9))
        assert (count - 2) * widest_stride < length - tile


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 48), st.floats(0.0, 0.7))
def test_grid_boxes_cover_exactly_frame(width: int, height: int, tile: int, overlap: float) -> None:
    grid = plan_tiles(width, height, tile, overlap)
    covered = np.zeros((height, width), np.bool_)
    for left, top, right, bottom in grid.boxes():
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        covered[top:bottom, left:right] = True
    assert covered.all()


def test_grid_boxes_row_by_row_inside_frame() -> None:
    boxes = plan_tiles(100, 40, 64).boxes()
    assert boxes.dtype == np.int32
    assert boxes.tolist() == [[0, 0, 64, 40], [36, 0, 100, 40]]


@pytest.mark.parametrize(
    ("width", "height", "tile", "overlap"),
    [(0, 10, 8, 0.0), (10, 0, 8, 0.0), (10, 10, 0, 0.0), (10, 10, 8, -0.1), (10, 10, 8, 0.91), (10, 10, 8, np.nan)],
)
def test_grid_invalid_values_refused(width: int, height: int, tile: int, overlap: float) -> None:
    with pytest.raises(ValueError, match="tile"):
        plan_tiles(width, height, tile, overlap)


@pytest.mark.parametrize("size", [(200, 150), (64, 64), (65, 64), (63, 200), (10, 7), (1, 1)])
@pytest.mark.parametrize("overlap", [0.0, 0.4])
def test_cut_tiles_equal_pixels_of_boxes(size: tuple[int, int], overlap: float) -> None:
    image = numbered(*size)
    grid = plan_tiles(*size, 64, overlap)
    tiles = cut_tiles(image, grid)
    assert tiles.shape == (grid.count, 64, 64, 3)
    for tile, (left, top, right, bottom) in zip(tiles, grid.boxes(), strict=True):
        assert np.array_equal(tile[: bottom - top, : right - left], image[top:bottom, left:right])


def test_cut_small_frame_mirrored() -> None:
    image = numbered(3, 2)
    tile = cut_tiles(image, plan_tiles(3, 2, 8))[0]
    columns, rows = [0, 1, 2, 2, 1, 0, 0, 1], [0, 1, 1, 0, 0, 1, 1, 0]
    assert np.array_equal(tile, image[np.ix_(rows, columns)])


def test_cut_padding_only_missing_side() -> None:
    image = numbered(70, 20)
    padded = pad_to_tile(image, 64)
    assert padded.shape == (64, 70, 3)
    assert np.array_equal(padded[:20], image)
    assert pad_to_tile(padded, 64) is padded


def test_cut_writes_into_given_batch() -> None:
    image = numbered(128, 64)
    grid = plan_tiles(128, 64, 64)
    batch = np.full((5, 64, 64, 3), 7, np.uint8)
    tiles = cut_tiles(image, grid, batch)
    assert np.shares_memory(tiles, batch)
    assert np.array_equal(np.concatenate(list(tiles), axis=1), image)
    assert np.all(batch[2:] == 7)


def test_cut_strided_or_read_only_frame_accepted() -> None:
    stored = numbered(200, 100)
    stored.flags.writeable = False
    view = stored[:, 10:140]
    tiles = cut_tiles(view, plan_tiles(130, 100, 64))
    assert np.array_equal(tiles[0], stored[:64, 10:74])


@pytest.mark.parametrize("shape", [(64, 128), (64, 128, 2), (64, 128, 4), (128, 64, 3)])
def test_cut_other_frame_size_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        cut_tiles(np.zeros(shape, np.uint8), plan_tiles(128, 64, 64))


def test_cut_every_pixel_in_a_tile() -> None:
    width, height = 301, 173
    image = numbered(width, height)
    grid = plan_tiles(width, height, 64, 0.2)
    rebuilt = np.zeros_like(image)
    for tile, (top, left) in zip(cut_tiles(image, grid), itertools.product(grid.tops_px, grid.lefts_px), strict=True):
        rebuilt[top : top + 64, left : left + 64] = tile
    assert np.array_equal(rebuilt, image)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_grey_equals_opencv_luminance(width: int, height: int, count: int, seed: int) -> None:
    colours = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3)).astype(np.uint8)
    grey = in_channels(colours, GREY)
    assert (grey.shape, grey.dtype) == ((count, height, width, 1), np.uint8)
    exact = colours @ np.array([0.114, 0.587, 0.299])
    assert np.abs(grey[..., 0] - exact).max() <= 0.51
    for tile, single in zip(grey, colours, strict=True):
        assert np.array_equal(tile, in_channels(single, GREY))
        assert np.array_equal(tile[..., 0], cv2.cvtColor(single, cv2.COLOR_BGR2GRAY).reshape(height, width))


def test_cut_colour_pixels_unchanged() -> None:
    frame = numbered(50, 40)
    assert in_channels(frame, COLOUR) is frame


@pytest.mark.parametrize(
    "view", [np.s_[:, :, ::-1], np.s_[::-1], np.s_[::2, 3:91:3]], ids=["RGB", "flipped", "strided"]
)
def test_grey_of_view_equals_grey_of_copy(view: tuple[slice, ...]) -> None:
    stored = numbered(120, 90)
    stored.flags.writeable = False
    assert np.array_equal(in_channels(stored[view], GREY), in_channels(stored[view].copy(), GREY))


@pytest.mark.parametrize("size", [(200, 150), (63, 20)])
def test_cut_grey_frame_equals_grey_tiles(size: tuple[int, int]) -> None:
    image = numbered(*size)
    grid = plan_tiles(*size, 64)
    batch = np.empty((grid.count, 64, 64, GREY), np.uint8)
    tiles = cut_tiles(in_channels(image, GREY), grid, batch)
    assert np.shares_memory(tiles, batch)
    assert np.array_equal(tiles, in_channels(cut_tiles(image, grid), GREY))


@pytest.mark.parametrize("view", [np.s_[:], np.s_[:, :, ::-1], np.s_[::-1], np.s_[:, :, :1]])
def test_reduced_blocks_averaged(view: tuple[slice, ...]) -> None:
    image = numbered(40, 30)[view]
    averaged = image.reshape(15, 2, 20, 2, -1).astype(np.float64).mean(axis=(1, 3))
    result = reduced(image, 2)
    assert (result.shape, result.dtype) == (averaged.shape, np.uint8)
    assert np.abs(result - averaged).max() <= 0.51


def test_reduced_incomplete_blocks_repeat_edge() -> None:
    image = numbered(41, 31)
    result = reduced(image, 4)
    assert result.shape == (8, 11, 3)
    assert np.abs(result[-1, -1] - image[28:, 40].astype(np.float64).mean(axis=0)).max() <= 0.51


def test_reduced_by_one_is_image_itself() -> None:
    image = numbered(41, 31)
    assert reduced(image, 1) is image


@pytest.mark.parametrize("size", [(1920, 1080), (301, 203), (129, 1000)])
@pytest.mark.parametrize("reduction", [2, 3])
def test_plan_reduced_tiles_cover_frame(size: tuple[int, int], reduction: int) -> None:
    grid = plan_tiles(*size, 64, reduction=reduction)
    covered = np.zeros(size[::-1], bool)
    for left, top, right, bottom in grid.boxes():
        covered[top:bottom, left:right] = True
    assert covered.all()
    assert (grid.tile_px, grid.reduction) == (64 * reduction, reduction)


def test_cut_reduced_tiles_show_their_boxes() -> None:
    frame = numbered(300, 256)
    grid = plan_tiles(300, 256, 64, reduction=2)
    tiles = cut_tiles(reduced(frame, 2), grid)
    assert tiles.shape == (grid.count, 64, 64, 3)
    for tile, (left, top, right, bottom) in zip(tiles, grid.boxes(), strict=True):
        assert np.array_equal(tile, reduced(frame[top:bottom, left:right], 2))


def test_cut_frame_not_reduced_raises() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        cut_tiles(numbered(300, 256), plan_tiles(300, 256, 64, reduction=2))
