# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Grids of tiles that cover a frame up to its edges, and the assignment of pixels to groups of tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.int32]

GREY, COLOUR = 1, 3
"""Input channels that a model may have: luminance of ITU-R BT.601, or BGR."""


@dataclass(frozen=True)
class TileGrid:
    """Position of the tiles of a frame.

    Attributes:
        frame_width_px, frame_height_px: Size of the frame.
        tile_px: Side of a tile in the frame.
        lefts_px, tops_px: Left edge of every column and top edge of every row, ascending.
        reduction: Pixels of the frame per pixel of a tile, in both directions.
    """

    frame_width_px: int
    frame_height_px: int
    tile_px: int
    lefts_px: tuple[int, ...]
    tops_px: tuple[int, ...]
    reduction: int = 1

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return len(self.lefts_px)

    @property
    def rows(self) -> int:
        """Tiles in a column."""
        return len(self.tops_px)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return self.rows * self.columns

    def boxes(self) -> npt.NDArray[np.int32]:
        """(count, 4) left, top, right, bottom in pixels, right and bottom exclusive, cut at the frame; row by row."""
        lefts = np.tile(self.lefts_px, self.rows)
        tops = np.repeat(self.tops_px, self.columns)
        rights = np.minimum(lefts + self.tile_px, self.frame_width_px)
        bottoms = np.minimum(tops + self.tile_px, self.frame_height_px)
        return np.column_stack([lefts, tops, rights, bottoms]).astype(np.int32)


def _origins(length_px: int, tile_px: int, overlap: float) -> tuple[int, ...]:
    if length_px <= tile_px:
        return (0,)
    # Whole pixels: a fractional stride would round to less overlap than asked for.
    stride_px = max(1, math.floor(tile_px * (1.0 - overlap) + 1e-9))
    steps = math.ceil((length_px - tile_px) / stride_px)
    return tuple(round(i * (length_px - tile_px) / steps) for i in range(steps + 1))


def plan_tiles(width_px: int, height_px: int, tile_px: int, overlap: float = 0.0, reduction: int = 1) -> TileGrid:
    """Plan the smallest regular grid of tiles that covers the frame with at least this overlap.

    The first tiles touch the left and top edge, the last ones the right and bottom edge; the remainder is distributed
    evenly as extra overlap. A frame smaller than a tile gets one tile in that direction (padded when cut).

    Args:
        tile_px: Side of a tile of the model, that is of the frame reduced by :func:`reduced`.
        overlap: Share of a tile, 0 to 0.9, that neighbours have in common at least.
        reduction: Pixels of the frame per pixel of a tile.

    Raises:
        ValueError: An empty frame or tile, an overlap outside 0..0.9, or a reduction below 1.
    """
    if width_px < 1 or height_px < 1 or tile_px < 1 or reduction < 1:
        raise ValueError(f"cannot tile {width_px}x{height_px} px, reduced by {reduction}, with tiles of {tile_px} px")
    if not 0.0 <= overlap <= 0.9:
        raise ValueError(f"tile overlap is a share from 0 to 0.9, got {overlap}")
    lefts, tops = (
        tuple(origin * reduction for origin in _origins(_reduced_px(length_px, reduction), tile_px, overlap))
        for length_px in (width_px, height_px)
    )
    return TileGrid(width_px, height_px, tile_px * reduction, lefts, tops, reduction)


def reduced(image: Image, reduction: int) -> Image:
    """Average blocks of ``reduction`` x ``reduction`` pixels of an image (H, W, C).

    Returns:
        (ceil(H / reduction), ceil(W / reduction), C); the last row and column of blocks may reach beyond the image,
        where its edge is repeated. The image itself for 1.
    """
    if reduction == 1:
        return image
    height, width, channels = image.shape
    rows, columns = _reduced_px(height, reduction), _reduced_px(width, reduction)
    missing = rows * reduction - height, columns * reduction - width
    if any(missing):
        image = np.asarray(
            cv2.copyMakeBorder(image, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE), np.uint8
        ).reshape(rows * reduction, columns * reduction, channels)
    averaged = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(averaged, np.uint8).reshape(rows, columns, channels)


def _reduced_px(length_px: int, reduction: int) -> int:
    return -(-length_px // reduction)


def in_channels(pixels: Image, channels: int) -> Image:
    """Convert BGR frames or tiles to the channels of a model.

    Args:
        pixels: (..., H, W, 3) BGR; any strides.
        channels: ``COLOUR``, or ``GREY`` for luminance rounded to whole levels, as OpenCV's BGR2GRAY.

    Returns:
        (..., H, W, channels); ``pixels`` itself for ``COLOUR``.
    """
    if channels == COLOUR:
        return pixels
    rows = pixels.reshape(-1, *pixels.shape[-2:])
    return np.asarray(cv2.cvtColor(rows, cv2.COLOR_BGR2GRAY), np.uint8).reshape(*pixels.shape[:-1], GREY)


def pad_to_tile(image: Image, tile_px: int) -> Image:
    """The image (H, W, C), mirrored outwards at its right and bottom edge until it is at least a tile wide and high.

    Unlike constant padding, mirroring creates no dark border that looks like a crack.
    """
    missing_x, missing_y = max(0, tile_px - image.shape[1]), max(0, tile_px - image.shape[0])
    if not (missing_x or missing_y):
        return image
    return np.pad(image, ((0, missing_y), (0, missing_x), (0, 0)), mode="symmetric")


def cut_tiles(
    image: Image, grid: TileGrid, out: Image | None = None, indices: npt.NDArray[np.int64] | None = None
) -> Image:
    """Copy tiles of a frame into one batch.

    Args:
        image: (H, W, C) of the grid's size, :func:`reduced` by the grid's reduction, C one of ``GREY`` and ``COLOUR``;
            any strides.
        out: Preallocated (N, tile, tile, C) or larger in the first dimension.
        indices: (N,) which tiles, in this order; all of them when None.

    Returns:
        (N, tile, tile, C), a view of ``out`` when given.

    Raises:
        ValueError: The image is not of the grid's size.
    """
    reduction = grid.reduction
    size = (_reduced_px(grid.frame_height_px, reduction), _reduced_px(grid.frame_width_px, reduction))
    if image.shape not in ((*size, GREY), (*size, COLOUR)):
        raise ValueError(f"image {image.shape} does not fit a grid of {size[1]}x{size[0]} px")
    tile = grid.tile_px // reduction
    chosen = range(grid.count) if indices is None else indices.tolist()
    if out is None:
        out = np.empty((len(chosen), tile, tile, image.shape[2]), np.uint8)
    padded = pad_to_tile(image, tile)
    for place, index in enumerate(chosen):
        row, column = divmod(index, grid.columns)
        top, left = grid.tops_px[row] // reduction, grid.lefts_px[column] // reduction
        out[place] = padded[top : top + tile, left : left + tile]
    return out[: len(chosen)]


def owned_boxes(grid: TileGrid, groups: Sequence[npt.NDArray[np.int64]]) -> list[Boxes]:
    """Return disjoint boxes that together cover the tiles of all groups.

    A pixel in tiles of several groups belongs to the tile with the nearest centre; if that tile is in no group, to the
    first group.

    Args:
        grid: The tiles of the frame.
        groups: (K,) indices of tiles each, no tile in two groups.

    Returns:
        For every group (M, 4) left, top, right, bottom in pixels, right and bottom exclusive.
    """
    boxes = grid.boxes()
    if len(groups) == 1:
        return [boxes[groups[0]]]
    rows, columns = np.divmod(np.arange(grid.count), grid.columns)
    cuts_x = _cuts(grid.lefts_px, grid.tile_px, grid.frame_width_px)
    cuts_y = _cuts(grid.tops_px, grid.tile_px, grid.frame_height_px)
    cells = np.column_stack([cuts_x[columns], cuts_y[rows], cuts_x[columns + 1], cuts_y[rows + 1]])
    x, y = (
        np.unique(np.concatenate([boxes[:, ::2], cells[:, ::2]])),
        np.unique(np.concatenate([boxes[:, 1::2], cells[:, 1::2]])),
    )
    owner = np.full((len(y) - 1, len(x) - 1), -1)
    for extents, order in ((boxes, range(len(groups) - 1, -1, -1)), (cells, range(len(groups)))):
        across, down = np.searchsorted(x, extents[:, ::2]), np.searchsorted(y, extents[:, 1::2])
        for group in order:
            for tile in groups[group]:
                owner[down[tile, 0] : down[tile, 1], across[tile, 0] : across[tile, 1]] = group
    return [runs(owner == group, x, y) for group in range(len(groups))]


def _cuts(origins_px: tuple[int, ...], tile_px: int, frame_px: int) -> npt.NDArray[np.int64]:
    """Return the midpoints between the centres of neighbouring tiles, and the edges of the frame."""
    origins = np.array(origins_px)
    return np.concatenate([[0], (origins[:-1] + origins[1:] + tile_px) // 2, [frame_px]])


def runs(mask: npt.NDArray[np.bool_], x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> Boxes:
    """Return the set cells of a grid with these edges as boxes, each as wide as possible."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = padded[:, 1:] - padded[:, :-1]
    row, left = np.nonzero(steps > 0)
    right = np.nonzero(steps < 0)[1]
    return np.column_stack([x[left], y[row], x[right], y[row + 1]]).astype(np.int32)
