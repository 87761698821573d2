# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cell head: fitted on located cracks and on labels of whole tiles; threshold for a share of the crack cells."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.training.data.cell_tiles import CRACK, INTACT, UNKNOWN
from crack_perception.training.heads.cells import fit_cells, searched, threshold_for

CHANNELS, SIDE = 6, 8


def synthetic(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return maps whose channel 2 is high in crack cells, the labels of all cells, and those of the tiles."""
    rng = np.random.default_rng(seed)
    cells = np.zeros((count, SIDE, SIDE), np.int8)
    for tile in range(0, count, 2):
        cells[tile, :, rng.integers(SIDE)] = CRACK
    maps = rng.normal(0, 1, (count, CHANNELS, SIDE, SIDE)) + 3
    maps[:, 2] += 4 * cells
    return maps.astype(np.float16), cells, (cells == CRACK).any(axis=(1, 2))


def separation(maps: np.ndarray, cells: np.ndarray, logits: np.ndarray) -> float:
    return float(np.mean(logits[cells == CRACK] > np.quantile(logits[cells == INTACT], 0.98)))


@pytest.mark.parametrize("located_share", [1.0, 0.0])
def test_fit_cells_finds_cells_of_unseen_tiles(located_share: float) -> None:
    maps, cells, is_cracked = synthetic(240, 1)
    labels = cells.copy()
    labels[is_cracked & (np.arange(240) >= 240 * located_share)] = UNKNOWN
    head = fit_cells(maps, labels, is_cracked, 3)
    unseen, truth, _ = synthetic(100, 2)
    assert separation(unseen, truth, head.logits(unseen)) > 0.9
    assert int(np.argmax(np.abs(head.weights))) == 2
    again = fit_cells(maps, labels, is_cracked, 3)
    np.testing.assert_array_equal(again.weights, head.weights)


def test_threshold_for_searches_the_share_of_crack_cells() -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 1, (60, SIDE, SIDE)).astype(np.float32)
    cells = np.where(rng.random(logits.shape) < 0.1, CRACK, INTACT).astype(np.int8)
    for recall in (0.5, 0.95):
        threshold = threshold_for(logits, cells, recall)
        assert searched(logits, threshold)[cells == CRACK].mean() == pytest.approx(recall, abs=0.01)


def test_searched_extends_by_one_cell() -> None:
    logits = np.full((1, SIDE, SIDE), -1.0, np.float32)
    logits[0, 0, 3] = 1.0
    expected = np.zeros((SIDE, SIDE), bool)
    expected[:2, 2:5] = True
    np.testing.assert_array_equal(searched(logits, 0.0)[0], expected)
