# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of tile ownership: each pixel of cracked tiles belongs to one group, that of the nearest tile centre."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.vision.tiling import owned_boxes, plan_tiles


def painted(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Count the boxes that cover each pixel."""
    counts = np.zeros(shape, int)
    for left, top, right, bottom in boxes:
        counts[top:bottom, left:right] += 1
    return counts


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_tile_ownership_every_pixel_has_one_group(overlap: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = plan_tiles(500, 390, 100, overlap)
    flagged = rng.permutation(grid.count)[: max(3, grid.count // 2)]
    groups = [np.sort(part) for part in np.array_split(flagged, 3)]
    counts = [painted(boxes, (390, 500)) for boxes in owned_boxes(grid, groups)]
    assert max(count.max() for count in counts) == 1
    np.testing.assert_array_equal(sum(counts) == 1, painted(grid.boxes()[flagged], (390, 500)) > 0)
    for count, group in zip(counts, groups, strict=True):
        assert (count <= painted(grid.boxes()[group], (390, 500))).all()


def test_tile_ownership_neighbours_share_single_group_keeps_all() -> None:
    grid = plan_tiles(180, 100, 100)
    left, right = owned_boxes(grid, [np.array([0]), np.array([1])])
    assert left.tolist() == [[0, 0, 90, 100]] and right.tolist() == [[90, 0, 180, 100]]
    (alone,) = owned_boxes(grid, [np.array([1])])
    assert alone.tolist() == [[80, 0, 180, 100]]
    assert owned_boxes(grid, [np.array([1]), np.array([], np.int64)])[0].tolist() == [[80, 0, 180, 100]]
