# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Ground truth of tiles of resampled photographs, and their figures."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.training.evaluation.reading_scale import (
    ScoredTiles,
    is_cracked,
    photograph_figures,
    resampled,
)
from crack_perception.vision.tiling import plan_tiles

SQUARES = np.array([[False, True, False, False], [False, False, False, False]])


def test_is_cracked_same_scale_is_the_label_of_the_square() -> None:
    grid = plan_tiles(40, 20, 10)
    assert is_cracked(grid, SQUARES, 10.0).tolist() == SQUARES.ravel().tolist()


def test_is_cracked_larger_tiles_hold_the_square() -> None:
    grid = plan_tiles(40, 20, 10, reduction=2)
    assert is_cracked(grid, SQUARES, 10.0).tolist() == [True, False]


def test_is_cracked_smaller_tiles_lie_in_the_square() -> None:
    grid = plan_tiles(40, 20, 5)
    expected = np.kron(SQUARES, np.ones((2, 2), bool))
    assert is_cracked(grid, SQUARES, 10.0).tolist() == expected.ravel().tolist()


@pytest.mark.parametrize(("zoom", "shape"), [(2.0, (40, 60, 3)), (1.0, (20, 30, 3)), (0.5, (10, 15, 3))])
def test_resampled_size_follows_zoom(zoom: float, shape: tuple[int, ...]) -> None:
    assert resampled(np.full((20, 30, 3), 170, np.uint8), zoom).shape == shape


def test_photograph_figures_count_hits_and_false_alarms() -> None:
    cracked = np.array([True, True, False, False, False])
    scores = np.array([0.9, 0.2, 0.8, 0.1, 0.1])
    figures = photograph_figures([ScoredTiles("a", cracked, scores), ScoredTiles("b", cracked, scores)], 0.5)
    assert (figures["tiles"], figures["recall"], figures["f1"]) == (10, 0.5, 0.5)
    assert figures["far"] == pytest.approx(1 / 3, abs=1e-3)
