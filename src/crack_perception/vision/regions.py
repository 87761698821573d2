# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Regions of connected cracked tiles with oriented boxes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.tiling import Boxes, TileGrid

Floats = npt.NDArray[np.float64]

# A box that would be mostly intact concrete, or wide enough for several parallel cracks, is cut in two, so that
# boxes follow bent, branching and neighbouring cracks. A straight diagonal chain of tiles fills half of its box and is
# 1.4 tiles wide: it stays whole, as do two rows of tiles.
_MIN_FILL = 0.4
_MAX_WIDTH_TILES = 2.5

# The corners of a box of left, top, right and bottom: which of these are x and y of each.
_CORNERS = np.array([[0, 1], [2, 1], [2, 3], [0, 3]])


@dataclass(frozen=True)
class OrientedBox:
    """A rotated rectangle in image pixels.

    Attributes:
        centre_px: (2,) x, y.
        length_px, width_px: Long and short side.
        angle_rad: From the image's x axis to the long side, clockwise as seen (y points down), in (-pi/2, pi/2].
    """

    centre_px: Floats
    length_px: float
    width_px: float
    angle_rad: float

    def axis(self) -> Floats:
        """(2,) unit vector along the long side."""
        return np.array([np.cos(self.angle_rad), np.sin(self.angle_rad)])

    def direction_sigma_rad(self) -> float:
        """Standard deviation of the crack's direction: any direction in a square, less the more slender the box."""
        any_direction_rad = np.pi / np.sqrt(12)
        return float(any_direction_rad * self.width_px / self.length_px)

    def ends(self) -> Floats:
        """(2, 2) the middles of the two short sides."""
        half = self.axis() * self.length_px / 2
        return np.stack([self.centre_px - half, self.centre_px + half])

    def corners(self) -> Floats:
        """(4, 2) in order around the box."""
        along = self.axis() * self.length_px / 2
        across = np.array([-self.axis()[1], self.axis()[0]]) * self.width_px / 2
        c = self.centre_px
        return np.stack([c - along - across, c + along - across, c + along + across, c - along + across])

    def contains(self, points_px: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which of the points (N, 2) lie inside or on the edge, (N,) bool."""
        offset = np.asarray(points_px, dtype=np.float64).reshape(-1, 2) - self.centre_px
        axis = self.axis()
        along = np.abs(offset @ axis)
        across = np.abs(offset @ np.array([-axis[1], axis[0]]))
        return np.asarray((along <= self.length_px / 2 + 1e-6) & (across <= self.width_px / 2 + 1e-6))


@dataclass(frozen=True)
class Region:
    """One cracked area of a frame.

    Attributes:
        box: Its oriented box.
        tiles: (K,) indices of its tiles in the grid.
        score: Strongest crack score among its tiles.
        areas: (M, 4) disjoint left, top, right, bottom in pixels, right and bottom exclusive: the part of the tiles
            that holds the crack; None where the model does not locate it inside its tiles.
    """

    box: OrientedBox
    tiles: npt.NDArray[np.int64]
    score: float
    areas: Boxes | None = None


def build_regions(grid: TileGrid, scores: npt.ArrayLike, threshold: float) -> list[Region]:
    """Build regions of adjacent tiles (edge or corner) with scores at or above the threshold; strongest first.

    Args:
        scores: (grid.count,) crack scores, row by row.

    Raises:
        ValueError: The number of scores is not that of the tiles.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (grid.count,):
        raise ValueError(f"{values.shape} scores for {grid.count} tiles")
    cracked = np.flatnonzero(values >= threshold)
    if not len(cracked):
        return []
    boxes = grid.boxes()

    def is_whole(box: OrientedBox, tiles: npt.NDArray[np.int64]) -> bool:
        slender = box.width_px <= _MAX_WIDTH_TILES * grid.tile_px
        return len(tiles) < 3 or (slender and _union_area(boxes[tiles]) >= _MIN_FILL * box.length_px * box.width_px)

    parts = [part for tiles in components(grid, cracked) for part in split(grid, boxes, tiles, is_whole)]
    regions = [Region(box, tiles, float(values[tiles].max())) for tiles, box in parts]
    return sorted(regions, key=lambda region: -region.score)


def components(grid: TileGrid, tiles: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Group tiles, in ascending order, that touch at an edge or a corner; each group is in ascending order."""
    mask = np.zeros(grid.count, np.uint8)
    mask[tiles] = 1
    count, labels = cv2.connectedComponents(mask.reshape(grid.rows, grid.columns), connectivity=8)
    if count == 2:
        return [tiles]
    of_tile = labels.ravel()[tiles]
    return [tiles[of_tile == label] for label in range(1, count)]


def _box_around(boxes: Boxes) -> OrientedBox:
    """Return the smallest box around boxes (K, 4) that are in order, row by row."""
    # The first and the last one of every row have all corners of the convex hull.
    begins = np.flatnonzero(np.diff(boxes[:, 1], prepend=-1))
    outer = np.concatenate([boxes[begins], boxes[np.append(begins[1:], len(boxes)) - 1]])
    # A tile covers its pixels wholly, so its edges lie half a pixel outside them.
    corners = (outer.T[_CORNERS] - 0.5).transpose(0, 2, 1).reshape(-1, 2).astype(np.float32)
    (x, y), (width, height), degrees = cv2.minAreaRect(corners)
    angle = math.radians(degrees)
    if height > width:
        width, height, angle = height, width, angle + math.pi / 2
    # Fold into (-pi/2, pi/2]: an axis has no sense of direction.
    angle = math.pi / 2 - (math.pi / 2 - angle) % math.pi
    return OrientedBox(np.array([x, y]), width, height, angle)


def _union_area(boxes: npt.NDArray[np.int32]) -> int:
    """Square pixels that boxes cover together, counted in the cells between their edges."""
    given = boxes.tolist()
    columns = sorted({x for left, _, right, _ in given for x in (left, right)})
    rows = sorted({y for _, top, _, bottom in given for y in (top, bottom)})
    column, row = ({edge: index for index, edge in enumerate(edges)} for edges in (columns, rows))
    covered = np.zeros((len(rows) - 1, len(columns) - 1), np.int64)
    for left, top, right, bottom in given:
        covered[row[top] : row[bottom], column[left] : column[right]] = 1
    return int(np.diff(rows) @ covered @ np.diff(columns))


def split(
    grid: TileGrid,
    boxes: Boxes,
    tiles: npt.NDArray[np.int64],
    is_whole: Callable[[OrientedBox, npt.NDArray[np.int64]], bool],
) -> list[tuple[npt.NDArray[np.int64], OrientedBox]]:
    """Cut a component across the middle of the long side until every part is accepted; parts are connected.

    Args:
        grid: The tiles.
        boxes: (grid.count, 4) their boxes.
        tiles: (K,) indices of the component.
        is_whole: Whether a part with this box stays in one piece; always for a single tile.

    Returns:
        Tiles and box of every part.
    """
    box = _box_around(boxes[tiles])
    if is_whole(box, tiles):
        return [(tiles, box)]
    along = (boxes[tiles, :2] + boxes[tiles, 2:]) @ (0.5 * box.axis())
    middle = np.median(along)
    # Tiles in line with the cut stay together, hence the half pixel for rounding. Such a box is never a single line
    # of tiles across its long side, so that both sides hold some and the recursion ends.
    near = along < middle + 0.5
    if near.all():
        near = along < middle - 0.5
    parts = [part for side in (tiles[near], tiles[~near]) for part in components(grid, side)]
    return [piece for part in parts for piece in split(grid, boxes, part, is_whole)]
