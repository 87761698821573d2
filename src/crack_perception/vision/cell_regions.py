# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Regions of connected cells, which follow a crack more closely than whole tiles do."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.regions import OrientedBox, Region, split
from crack_perception.vision.tiling import TileGrid, runs

Mask = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

# Cells of overlapping tiles do not align. They are drawn on a raster of this many steps a cell, which moves their edges
# by at most half a step, less than the margin.
_STEPS_A_CELL = 2
_MARGIN_CELLS = np.ones((3, 3), np.uint8)
# Parts of a crack that are no farther apart than two cells form one region.
_JOINING_STEPS = np.ones((2 * _STEPS_A_CELL + 1, 2 * _STEPS_A_CELL + 1), np.uint8)
# A box is cut in two if it is longer and wider than this and mostly intact surface, so that boxes follow bent and
# branching cracks.
_MIN_FILL = 0.45
_SHORT_TILES, _SLENDER_TILES, _MAX_WIDTH_TILES = 1.0, 0.6, 1.0


def build_cell_regions(
    grid: TileGrid,
    scores: npt.NDArray[np.float32],
    threshold: float,
    cell_scores: npt.NDArray[np.float32],
    cell_threshold: float,
) -> list[Region]:
    """Build regions of the cells that hold a crack, in tiles with scores at or above the threshold; strongest first.

    Each cell is extended by a margin of one cell inside its tile, so that no crack is cut off. A cracked tile without
    any cell above the threshold keeps its strongest one.

    Args:
        grid: The tiles.
        scores: (grid.count,) crack scores of the tiles.
        threshold: Crack score that flags a tile.
        cell_scores: (grid.count, N * N) scores of the cells of each tile, row by row.
        cell_threshold: Score from which a cell holds a crack.
    """
    cracked = np.flatnonzero(scores >= threshold)
    if not len(cracked):
        return []
    side = round(np.sqrt(cell_scores.shape[1]))
    raster = _raster(grid, side)
    drawn = np.zeros((raster.rows, raster.columns), np.uint8)
    marks = {
        int(tile): _mark(grid, raster, int(tile), cell_scores[tile].reshape(side, side), cell_threshold)
        for tile in cracked
    }
    for rows, columns, cells in marks.values():
        drawn[rows, columns] |= cells[: drawn[rows, columns].shape[0], : drawn[rows, columns].shape[1]]

    def is_whole(box: OrientedBox, cells: Indices) -> bool:
        return _is_whole(box, cells, raster.tile_px, grid.tile_px)

    boxes = raster.boxes()
    joined = cv2.connectedComponents(cv2.dilate(drawn, _JOINING_STEPS), connectivity=8)[1]
    part_of = np.zeros(raster.count, np.int32)
    found: list[tuple[Indices, OrientedBox]] = []
    labels = (joined * drawn).ravel()
    for label in range(1, int(labels.max()) + 1):
        found += split(raster, boxes, np.flatnonzero(labels == label), is_whole)
    for number, (cells, _) in enumerate(found, start=1):
        part_of[cells] = number
    parts = part_of.reshape(drawn.shape)
    tiles_of: list[list[int]] = [[] for _ in found]
    for tile, (rows, columns, cells) in marks.items():
        own = parts[rows, columns]
        for number in np.unique(own[cells[: own.shape[0], : own.shape[1]] > 0]):
            tiles_of[number - 1].append(tile)
    x, y = (
        np.append(origins, end)
        for origins, end in ((raster.lefts_px, grid.frame_width_px), (raster.tops_px, grid.frame_height_px))
    )
    regions = [
        Region(box, np.array(tiles), float(scores[tiles].max()), runs(parts == number, x, y))
        for number, ((_, box), tiles) in enumerate(zip(found, tiles_of, strict=True), start=1)
    ]
    return sorted(regions, key=lambda region: -region.score)


def _raster(grid: TileGrid, side: int) -> TileGrid:
    """Return the squares of the raster as a grid without overlap."""
    step = grid.tile_px // (side * _STEPS_A_CELL)
    width, height = grid.frame_width_px, grid.frame_height_px
    return TileGrid(width, height, step, tuple(range(0, width, step)), tuple(range(0, height, step)))


def _mark(
    grid: TileGrid, raster: TileGrid, tile: int, scores: npt.NDArray[np.float32], threshold: float
) -> tuple[slice, slice, Mask]:
    """Return the rows and columns of a tile in the raster, and its cells with a margin, 1 each."""
    active = (scores >= min(threshold, float(scores.max()))).astype(np.uint8)
    with_margin = np.asarray(cv2.dilate(active, _MARGIN_CELLS), np.uint8)
    squares = with_margin.repeat(_STEPS_A_CELL, axis=0).repeat(_STEPS_A_CELL, axis=1)
    row, column = divmod(tile, grid.columns)
    top, left = (round(origin / raster.tile_px) for origin in (grid.tops_px[row], grid.lefts_px[column]))
    return slice(top, top + len(squares)), slice(left, left + len(squares)), squares


def _is_whole(box: OrientedBox, cells: Indices, step_px: int, tile_px: int) -> bool:
    """Return whether a box around squares of the raster is short, slender or full enough to stay in one piece."""
    if box.length_px <= _SHORT_TILES * tile_px or box.width_px <= _SLENDER_TILES * tile_px:
        return True
    is_full = len(cells) * step_px**2 >= _MIN_FILL * box.length_px * box.width_px
    return is_full and box.width_px <= _MAX_WIDTH_TILES * tile_px
