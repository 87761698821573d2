# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of tile coverage: counters over frames, and the largest rectangle of processed tiles."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.recognition.scheduling import TileCoverage, largest_processed_rectangle
from crack_perception.vision.tiling import plan_tiles

GRID = plan_tiles(1920, 1080, 256)


def test_coverage_counts_sum_to_tiles() -> None:
    coverage = TileCoverage()
    assert coverage.share == 1.0 and not coverage.is_short
    coverage.count(np.array([True, True, False, False]))
    coverage.count(np.array([True, True, True, True]))
    assert (coverage.processed, coverage.skipped, coverage.share) == (6, 2, 0.75)


def test_coverage_shortage_needs_many_frames() -> None:
    coverage = TileCoverage()
    half, whole = np.array([True, False]), np.array([True, True])
    for _ in range(9):
        coverage.count(half)
        assert not coverage.is_short
    coverage.count(half)
    assert coverage.is_short
    for _ in range(30):
        coverage.count(whole)
    assert not coverage.is_short
    coverage.count(half)
    assert not coverage.is_short
    assert coverage.skipped == 11


def test_processed_rectangle_all_tiles_whole_frame() -> None:
    assert largest_processed_rectangle(GRID, np.ones(GRID.count, np.bool_)) == (0, 0, 1920, 1080)


def test_processed_rectangle_whole_rows() -> None:
    looked = np.zeros((GRID.rows, GRID.columns), np.bool_)
    looked[1:3] = True
    looked[3, :4] = True
    expected = (0, GRID.tops_px[1], 1920, GRID.tops_px[2] + 256)
    assert largest_processed_rectangle(GRID, looked.ravel()) == expected


@pytest.mark.parametrize("seed", range(40))
def test_processed_rectangle_is_largest_of_processed_tiles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = plan_tiles(int(rng.integers(64, 500)), int(rng.integers(64, 500)), 64)
    looked = rng.random((grid.rows, grid.columns)) < rng.uniform(0.2, 1.0)
    looked[rng.integers(grid.rows), rng.integers(grid.columns)] = True
    left, top, right, bottom = largest_processed_rectangle(grid, looked.ravel())
    rows = slice(grid.tops_px.index(top), grid.tops_px.index(bottom - 64) + 1)
    columns = slice(grid.lefts_px.index(left), grid.lefts_px.index(right - 64) + 1)
    assert looked[rows, columns].all()
    most = max(
        (r1 - r0) * (c1 - c0)
        for r0 in range(grid.rows)
        for r1 in range(r0 + 1, grid.rows + 1)
        for c0 in range(grid.columns)
        for c1 in range(c0 + 1, grid.columns + 1)
        if looked[r0:r1, c0:c1].all()
    )
    assert looked[rows, columns].size == most


def test_processed_rectangle_small_frame_clipped() -> None:
    grid = plan_tiles(100, 30, 64)
    assert largest_processed_rectangle(grid, np.array([False, True])) == (36, 0, 100, 30)


def test_processed_rectangle_no_tiles_none() -> None:
    with pytest.raises(ValueError, match="no tile"):
        largest_processed_rectangle(GRID, np.zeros(GRID.count, np.bool_))
