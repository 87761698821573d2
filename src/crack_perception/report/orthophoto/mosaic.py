# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tiles of an orthophoto: the chosen part of each image, projected onto the facet. Memory is bounded by few tiles.

Every pixel comes from one image. Images are neither averaged nor matched in brightness: where poses disagree, an
average shows a crack twice, and a seam shows the step.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError, file_error
from crack_perception.mapping.storage.atomic_file import write_atomically
from crack_perception.report.orthophoto.choice import Index
from crack_perception.report.orthophoto.raster import TILE_PX, Raster
from crack_perception.report.orthophoto.recorded_frames import PosedFrame
from crack_perception.report.orthophoto.surface import FacetSurface

Image = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

# Pixels are projected exactly at this spacing, and linearly between: less than 0.01 px off for usual lenses.
_NODE_PX = 16
_MOST_OPEN = 24
_COMPRESSION = 3


Place = tuple[str, int, int]
"""Letter of a facet, row and column of a tile."""


class TileFolder:
    """Tiles (H, W, 4) blue, green, red, opacity as PNG files ``A_r000_c000.png``; the last ones used are in memory.

    Args:
        folder: Of the tiles; made where it does not exist.
        rasters: Of each facet by its letter.

    Raises:
        UserError: The folder cannot be made.
    """

    def __init__(self, folder: Path, rasters: Mapping[str, Raster]) -> None:
        self._folder = folder
        self._rasters = rasters
        self._open: OrderedDict[Place, Image] = OrderedDict()
        self._stored: set[Place] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_error(folder, error, "Choose another folder with --out") from error

    def path(self, place: Place) -> Path:
        """File of a tile."""
        letter, row, column = place
        return self._folder / f"{letter}_r{row:03d}_c{column:03d}.png"

    def tile(self, place: Place) -> Image:
        """The tile, to read and to change; transparent where nothing was drawn. Valid until the next call.

        Raises:
            UserError: The disk is full.
        """
        tile = self._open.pop(place, None)
        if tile is None:
            tile = self.stored(place)
        if tile is None:
            letter, row, column = place
            tile = np.zeros((*self._rasters[letter].tile_size(row, column), 4), np.uint8)
        self._open[place] = tile
        while len(self._open) > _MOST_OPEN:
            self._store(*self._open.popitem(last=False))
        return tile

    def close(self) -> None:
        """Write all tiles.

        Raises:
            UserError: The disk is full.
        """
        while self._open:
            self._store(*self._open.popitem(last=False))

    def stored(self, place: Place) -> Image | None:
        """A tile that was written; None where nothing was drawn.

        Raises:
            UserError: Its file was removed or damaged.
        """
        if place not in self._stored:
            return None
        picture = cv2.imread(str(self.path(place)), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise UserError(f"{self.path(place)}: was removed or changed", "Make the orthophoto again")
        return np.asarray(picture, np.uint8)

    def _store(self, place: Place, tile: Image) -> None:
        encoded, data = cv2.imencode(".png", tile, [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION])
        assert encoded
        try:
            write_atomically(self.path(place), data.tobytes())
        except OSError as error:
            raise file_error(self.path(place), error) from error
        self._stored.add(place)


def draw_frame(
    tiles: TileFolder,
    letter: str,
    raster: Raster,
    surface: FacetSurface,
    frame: PosedFrame,
    picture: Image,
    cells: Index,
) -> None:
    """Project the chosen part of an image onto its tiles.

    Args:
        letter: Of the facet.
        picture: (H, W, 3) of the frame.
        cells: (N, 2) rows and columns of the cells that come from it.
    """
    gsd_m = float(np.linalg.norm(surface.to_map(_middle_m(raster, cells)) - frame.pose.position_m))
    factor = max(1, int(raster.m_per_px * frame.camera.focal_px / gsd_m))
    if factor > 1:  # finer than the orthophoto: the mean of the pixels that one of its pixels covers
        picture = np.asarray(
            cv2.resize(
                picture[: picture.shape[0] // factor * factor, : picture.shape[1] // factor * factor],
                None,
                fx=1 / factor,
                fy=1 / factor,
                interpolation=cv2.INTER_AREA,
            ),
            np.uint8,
        )
    per_tile = TILE_PX // raster.cell_px
    for row, column, members in _by_tile(cells, per_tile):
        local = members - [row * per_tile, column * per_tile]
        (top, left), (bottom, right) = local.min(axis=0).tolist(), (local.max(axis=0) + 1).tolist()
        mask = np.zeros((bottom - top, right - left), bool)
        mask[local[:, 0] - top, local[:, 1] - left] = True
        x_px, y_px = (edge * raster.cell_px for edge in (left, top))
        height_px, width_px = mask.shape[0] * raster.cell_px, mask.shape[1] * raster.cell_px
        map_x, map_y = source_px(
            raster, surface, frame, (column * TILE_PX + x_px, row * TILE_PX + y_px), (width_px, height_px), factor
        )
        drawn = cv2.remap(picture, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        is_inside = np.repeat(np.repeat(mask, raster.cell_px, axis=0), raster.cell_px, axis=1)
        is_inside &= (map_x >= -0.5) & (map_x <= picture.shape[1] - 0.5)
        is_inside &= (map_y >= -0.5) & (map_y <= picture.shape[0] - 0.5)
        target = tiles.tile((letter, row, column))[y_px : y_px + height_px, x_px : x_px + width_px]
        target[is_inside, :3] = drawn[is_inside]
        target[is_inside, 3] = 255


def _middle_m(raster: Raster, cells: Index) -> npt.NDArray[np.float64]:
    row, column = (cells.mean(axis=0) + 0.5) * raster.cell_px
    return raster.flat_m(column, row)


def _by_tile(cells: Index, per_tile: int) -> Iterator[tuple[int, int, Index]]:
    """Tiles (row, column) with the cells of a frame on them."""
    owners = cells // per_tile
    for row, column in np.unique(owners, axis=0).tolist():
        yield row, column, cells[(owners == [row, column]).all(axis=1)]


def source_px(
    raster: Raster,
    surface: FacetSurface,
    frame: PosedFrame,
    corner_px: tuple[int, int],
    size_px: tuple[int, int],
    factor: int,
) -> tuple[Float32, Float32]:
    """Places in an image that was reduced by a factor of the pixels of a block of the orthophoto, x and y (H, W)."""
    columns, rows = (size // _NODE_PX + 2 if size % _NODE_PX == 0 else size // _NODE_PX + 3 for size in size_px)
    # Nodes lie in the middles of squares of 16 px, one square beyond each side; a resized picture of the nodes is then
    # linear between them.
    x_px = corner_px[0] + (np.arange(columns) - 0.5) * _NODE_PX - 0.5
    y_px = corner_px[1] + (np.arange(rows) - 0.5) * _NODE_PX - 0.5
    points_m = surface.to_map(raster.flat_m(*np.meshgrid(x_px, y_px)).reshape(-1, 2))
    pixels = frame.camera.project((points_m - frame.pose.position_m) @ frame.pose.rotation)
    nodes = ((pixels + 0.5) / factor - 0.5).reshape(rows, columns, 2).astype(np.float32)
    fine = cv2.resize(nodes, (columns * _NODE_PX, rows * _NODE_PX), interpolation=cv2.INTER_LINEAR)
    inner = fine[_NODE_PX : _NODE_PX + size_px[1], _NODE_PX : _NODE_PX + size_px[0]]
    return np.ascontiguousarray(inner[..., 0]), np.ascontiguousarray(inner[..., 1])
