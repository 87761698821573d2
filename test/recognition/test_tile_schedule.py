# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the order of tiles for frames that are not processed completely."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.recognition.scheduling import TileSchedule
from crack_perception.vision.tiling import TileGrid, plan_tiles

GRID = plan_tiles(8 * 64, 5 * 64, 64)
BATCH = 4


def mask(grid: TileGrid, *places: tuple[int, int]) -> np.ndarray:
    """Return a mask of the tiles at these (row, column)."""
    chosen = np.zeros((grid.rows, grid.columns), np.bool_)
    for place in places:
        chosen[place] = True
    return chosen.ravel()


def look(schedule: TileSchedule, grid: TileGrid, budget: int, cracked: np.ndarray) -> np.ndarray:
    """Process the first ``budget`` tiles of one frame and return their mask (grid.count,)."""
    order = schedule.order(grid)
    assert sorted(order) == list(range(grid.count)), "every tile once"
    looked = np.zeros(grid.count, np.bool_)
    looked[order[:budget]] = True
    schedule.record(looked, looked & cracked)
    return looked


def test_schedule_first_frame_row_by_row() -> None:
    assert TileSchedule().order(GRID).tolist() == list(range(GRID.count))


def test_schedule_skipped_tiles_next() -> None:
    schedule, nothing = TileSchedule(), np.zeros(GRID.count, np.bool_)
    first = look(schedule, GRID, 24, nothing)
    second = look(schedule, GRID, 16, nothing)
    assert not np.any(first & second) and np.all(first | second)
    assert np.array_equal(look(schedule, GRID, 24, nothing), first)


def test_schedule_known_crack_and_neighbours_first() -> None:
    schedule, crack = TileSchedule(), mask(GRID, (3, 3), (3, 4))
    look(schedule, GRID, GRID.count, crack)
    around = mask(GRID, *((row, column) for row in (2, 3, 4) for column in (2, 3, 4, 5)))
    for _ in range(20):
        # Twelve tiles have priority; every fourth place is for another tile.
        assert np.all(look(schedule, GRID, 16, crack)[around])


def test_schedule_crack_precedes_neighbours() -> None:
    schedule, crack = TileSchedule(), mask(GRID, (0, 0), (2, 5), (4, 7))
    look(schedule, GRID, GRID.count, crack)
    assert np.all(look(schedule, GRID, BATCH, crack)[crack])


def test_schedule_vanished_crack_loses_priority() -> None:
    schedule, nothing = TileSchedule(), np.zeros(GRID.count, np.bool_)
    look(schedule, GRID, GRID.count, mask(GRID, (3, 3)))
    assert look(schedule, GRID, BATCH, nothing)[3 * GRID.columns + 3]
    assert look(schedule, GRID, BATCH, nothing).sum() == BATCH
    # No tile has priority any more: the least recently processed ones follow in order.
    oldest = np.flatnonzero(schedule._last_processed == schedule._last_processed.min())
    assert schedule.order(GRID)[: len(oldest)].tolist() == oldest.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_schedule_every_tile_eventually_processed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = plan_tiles(int(rng.integers(40, 1200)), int(rng.integers(40, 900)), 64)
    schedule = TileSchedule()
    cracked_share = rng.uniform(0, 1)
    unseen_for = np.zeros(grid.count, np.int64)
    for _ in range(3 * grid.count):
        # Cracks appear and disappear; there is time for one or a few tiles.
        looked = look(schedule, grid, int(rng.integers(1, 3 * BATCH)), rng.random(grid.count) < cracked_share)
        unseen_for = np.where(looked, 0, unseen_for + 1)
        assert unseen_for.max() < grid.count


def test_schedule_other_grid_resets() -> None:
    schedule = TileSchedule()
    look(schedule, GRID, GRID.count, mask(GRID, (4, 7)))
    small = plan_tiles(128, 64, 64)
    assert schedule.order(small).tolist() == [0, 1]
    assert schedule.order(GRID).tolist() == list(range(GRID.count))
