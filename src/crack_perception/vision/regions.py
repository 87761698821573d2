"""Connected cracked tiles become regions with an oriented box."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.tiling import TileGrid

Floats = npt.NDArray[np.float64]

# A box that would be mostly sound concrete, or wide enough for several cracks side by side, is cut in two, so that
# boxes follow bent, branching and neighbouring cracks. A straight diagonal chain of tiles fills half of its box and is
# 1.4 tiles wide: it stays whole, as do two rows of tiles.
_MIN_FILL = 0.4
_MAX_WIDTH_TILES = 2.5


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
        """Which of the points (N, 2) lie inside or on the edge."""
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
    """

    box: OrientedBox
    tiles: npt.NDArray[np.int64]
    score: float


def build_regions(grid: TileGrid, scores: npt.ArrayLike, threshold: float) -> list[Region]:
    """Regions of tiles with a score at or above the threshold that touch by an edge or a corner; strongest first.

    Args:
        scores: (grid.count,) crack scores, row by row.

    Raises:
        ValueError: The number of scores is not that of the tiles.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (grid.count,):
        raise ValueError(f"{values.shape} scores for {grid.count} tiles")
    boxes = grid.boxes()
    regions = []
    for tiles in _components(grid, np.flatnonzero(values >= threshold)):
        for part in _split(grid, boxes, tiles):
            regions.append(Region(_box_around(boxes[part]), part, float(values[part].max())))
    return sorted(regions, key=lambda region: -region.score)


def _components(grid: TileGrid, tiles: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The tiles in groups that touch by an edge or a corner, each in ascending order."""
    mask = np.zeros(grid.count, np.uint8)
    mask[tiles] = 1
    count, labels = cv2.connectedComponents(mask.reshape(grid.rows, grid.columns), connectivity=8)
    return [np.flatnonzero(labels.ravel() == label) for label in range(1, count)]


def _corners(boxes: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Corner points (4 K, 2) of tiles; a tile covers its pixels wholly, so its edges lie half a pixel outside them."""
    left, top, right, bottom = boxes.T - 0.5
    corners = np.concatenate(
        [np.stack(pair, axis=1) for pair in ((left, top), (right, top), (right, bottom), (left, bottom))]
    )
    return corners.astype(np.float32)


def _box_around(boxes: npt.NDArray[np.int32]) -> OrientedBox:
    (x, y), (width, height), degrees = cv2.minAreaRect(_corners(boxes))
    angle = np.deg2rad(degrees)
    if height > width:
        width, height, angle = height, width, angle + np.pi / 2
    # Fold into (-pi/2, pi/2]: an axis has no sense of direction.
    angle = np.pi / 2 - (np.pi / 2 - angle) % np.pi
    return OrientedBox(np.array([x, y], dtype=np.float64), float(width), float(height), float(angle))


def _union_area(boxes: npt.NDArray[np.int32]) -> int:
    left, top = boxes[:, 0].min(), boxes[:, 1].min()
    covered = np.zeros((boxes[:, 3].max() - top, boxes[:, 2].max() - left), np.bool_)
    for x0, y0, x1, y1 in boxes:
        covered[y0 - top : y1 - top, x0 - left : x1 - left] = True
    return int(covered.sum())


def _split(grid: TileGrid, boxes: npt.NDArray[np.int32], tiles: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Connected parts of a component with slender, well filled boxes, cut across the middle of the long side."""
    if len(tiles) < 3:
        return [tiles]
    box = _box_around(boxes[tiles])
    slender = box.width_px <= _MAX_WIDTH_TILES * grid.tile_px
    if slender and _union_area(boxes[tiles]) >= _MIN_FILL * box.length_px * box.width_px:
        return [tiles]
    centres = (boxes[tiles, :2] + boxes[tiles, 2:]) / 2
    along = (centres - centres.mean(axis=0)) @ box.axis()
    # Tiles in line with the cut stay together, hence the half pixel for rounding. Such a box is never a single line
    # of tiles across its long side, so that both sides hold some and the recursion ends.
    near = along < np.median(along) + 0.5
    if np.all(near):
        near = along < np.median(along) - 0.5
    parts = [part for side in (tiles[near], tiles[~near]) for part in _components(grid, side)]
    return [piece for part in parts for piece in _split(grid, boxes, part)]
