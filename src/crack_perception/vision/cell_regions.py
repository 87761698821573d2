# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Regions of connected cells, which follow a crack more closely than whole tiles do."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.regions import OrientedBox, Region, components, split
from crack_perception.vision.tiling import TileGrid, runs

Mask = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

# Cells of overlapping tiles do not align. They are drawn on a raster of this many steps a cell, which moves their edges
# by less than a step, half of the margin.
_STEPS_A_CELL = 2
_MARGIN_CELLS = np.ones((3, 3), np.uint8)
_CLEAR = 2
# A box that is long and wide is cut in two if it is very wide or mostly intact surface, so that boxes follow bent and
# branching cracks. Every further region costs time for measuring: docs/ablations.md.
_MIN_FILL = 0.25
_SHORT_TILES, _SLENDER_TILES, _MAX_WIDTH_TILES = 2.5, 1.0, 2.0


def build_cell_regions(
    grid: TileGrid,
    scores: npt.NDArray[np.float32],
    threshold: float,
    cell_scores: npt.NDArray[np.float32],
    cell_thresholds: tuple[float, float],
) -> list[Region]:
    """Build regions of the cells that hold a crack, in tiles with scores at or above the threshold; strongest first.

    Cells at or above the lower threshold belong to a crack if they are connected with one at or above the higher
    threshold. Adjacent cracked tiles without any such cell keep their strongest one, so that no detection is lost.
    Each cell is extended by a margin of one cell inside its tile, so that no crack is cut off.

    Args:
        grid: The tiles.
        scores: (grid.count,) crack scores of the tiles.
        threshold: Crack score that flags a tile.
        cell_scores: (grid.count, N * N) scores of the cells of each tile, row by row.
        cell_thresholds: Lower and higher score of cells that hold a crack.
    """
    cracked = np.flatnonzero(scores >= threshold)
    if not len(cracked):
        return []
    side = round(np.sqrt(cell_scores.shape[1]))
    raster = _raster(grid, side)
    drawn = np.zeros((raster.rows, raster.columns), np.uint8)
    places = [_place(grid, raster, int(tile), side) for tile in cracked]
    strongest = _strongest_of_group(grid, cracked, cell_scores)
    marks = [
        _marks(cell_scores[tile].reshape(side, side), [min(value, at_most) for value in cell_thresholds])
        for tile, at_most in zip(cracked, strongest, strict=True)
    ]
    for (rows, columns), cells in zip(places, marks, strict=True):
        part = drawn[rows, columns]
        np.maximum(part, cells[: part.shape[0], : part.shape[1]], out=part)
    parts, boxes = _parts(raster, drawn, grid.tile_px)
    numbers = np.zeros(parts.max(initial=0) + 1, np.bool_)
    tiles_of: list[list[int]] = [[] for _ in boxes]
    for tile, (rows, columns), cells in zip(cracked.tolist(), places, marks, strict=True):
        own = parts[rows, columns]
        numbers[:] = False
        numbers[own[cells[: own.shape[0], : own.shape[1]] > 0]] = True
        for number in np.flatnonzero(numbers[1:]).tolist():
            tiles_of[number].append(tile)
    x, y = np.array([*raster.lefts_px, grid.frame_width_px]), np.array([*raster.tops_px, grid.frame_height_px])
    regions = [
        Region(box, np.array(tiles), float(scores[tiles].max()), runs(parts == number, x, y))
        for number, (box, tiles) in enumerate(zip(boxes, tiles_of, strict=True), start=1)
    ]
    return sorted(regions, key=lambda region: -region.score)


def _parts(raster: TileGrid, drawn: Mask, tile_px: int) -> tuple[npt.NDArray[np.int32], list[OrientedBox]]:
    """Group the marked squares (H, W) to regions.

    Returns:
        (H, W) number of the region of every square, 0 for none, and the boxes of the regions 1, 2, ...
    """

    def is_whole(box: OrientedBox, squares: Indices) -> bool:
        return _is_whole(box, squares, raster.tile_px, tile_px)

    square_boxes = raster.boxes()
    parts = np.zeros(raster.count, np.int32)
    boxes: list[OrientedBox] = []
    is_clear = drawn.ravel() == _CLEAR
    for component in components(raster, np.flatnonzero(drawn)):
        if not is_clear[component].any():
            continue
        for squares, box in split(raster, square_boxes, component, is_whole):
            boxes.append(box)
            parts[squares] = len(boxes)
    return parts.reshape(drawn.shape), boxes


@functools.lru_cache(maxsize=4)
def _raster(grid: TileGrid, side: int) -> TileGrid:
    """Return the squares of the raster as a grid without overlap."""
    step = grid.tile_px // (side * _STEPS_A_CELL)
    width, height = grid.frame_width_px, grid.frame_height_px
    return TileGrid(width, height, step, tuple(range(0, width, step)), tuple(range(0, height, step)))


def _place(grid: TileGrid, raster: TileGrid, tile: int, side: int) -> tuple[slice, slice]:
    """Return the rows and columns of a tile in the raster."""
    row, column = divmod(tile, grid.columns)
    steps = side * _STEPS_A_CELL

    def place(origin_px: int, frame_px: int, count: int) -> slice:
        # The last tiles must reach the edge of the frame.
        is_last = origin_px + grid.tile_px >= frame_px
        start = max(0, count - steps) if is_last else round(origin_px / raster.tile_px)
        return slice(start, start + steps)

    return (
        place(grid.tops_px[row], grid.frame_height_px, raster.rows),
        place(grid.lefts_px[column], grid.frame_width_px, raster.columns),
    )


def _strongest_of_group(grid: TileGrid, cracked: Indices, cell_scores: npt.NDArray[np.float32]) -> list[float]:
    """Return for every cracked tile the highest cell score of the adjacent cracked tiles that it belongs to."""
    strongest = np.zeros(grid.count)
    for tiles in components(grid, cracked):
        strongest[tiles] = cell_scores[tiles].max()
    return [float(score) for score in strongest[cracked]]


def _marks(scores: npt.NDArray[np.float32], thresholds: Sequence[float]) -> Mask:
    """Return the searched squares of a tile: ``_CLEAR`` around cells at the higher threshold, else 1."""
    low, high = thresholds
    active = (scores >= low).astype(np.uint8)
    active[scores >= high] = _CLEAR
    squares = np.asarray(cv2.dilate(active, _MARGIN_CELLS), np.uint8)
    return squares.repeat(_STEPS_A_CELL, axis=0).repeat(_STEPS_A_CELL, axis=1)


def _is_whole(box: OrientedBox, cells: Indices, step_px: int, tile_px: int) -> bool:
    """Return whether a box around squares of the raster is short, slender or full enough to stay in one piece."""
    if box.length_px <= _SHORT_TILES * tile_px or box.width_px <= _SLENDER_TILES * tile_px:
        return True
    is_full = len(cells) * step_px**2 >= _MIN_FILL * box.length_px * box.width_px
    return is_full and box.width_px <= _MAX_WIDTH_TILES * tile_px
