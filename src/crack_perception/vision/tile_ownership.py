"""Which part of a frame belongs to which group of tiles: tiles overlap, but a crack should be measured once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crack_perception.vision.tiling import TileGrid

Boxes = npt.NDArray[np.int32]


def owned_boxes(grid: TileGrid, groups: Sequence[npt.NDArray[np.int64]]) -> list[Boxes]:
    """Disjoint boxes that together cover the tiles of all groups.

    What lies in tiles of several groups goes to the tile whose middle is nearest, and where that is in no group, to the
    group that comes first.

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
    return [_runs(owner == group, x, y) for group in range(len(groups))]


def _cuts(origins_px: tuple[int, ...], tile_px: int, frame_px: int) -> npt.NDArray[np.int64]:
    """Half-way between the middles of neighbouring tiles, and the edges of the frame."""
    origins = np.array(origins_px)
    return np.concatenate([[0], (origins[:-1] + origins[1:] + tile_px) // 2, [frame_px]])


def _runs(mask: npt.NDArray[np.bool_], x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> Boxes:
    """Boxes of what is set in a grid of cells with these edges, as wide as they can be."""
    steps = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, left = np.nonzero(steps > 0)
    right = np.nonzero(steps < 0)[1]
    return np.column_stack([x[left], y[row], x[right], y[row + 1]]).astype(np.int32)
