# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Grid of an orthophoto: pixels in tiles, and cells, each of which comes from one image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TILE_PX = 1024


@dataclass(frozen=True)
class Raster:
    """Pixels over the coordinates (u to the right, v up) of a facet; rows count from the top.

    Attributes:
        left_m, top_m: Coordinates of the upper left corner of the first pixel.
        m_per_px: Size of a pixel.
        width_px, height_px: Size in pixels, whole cells.
        cell_px: Side of a cell; a divisor of ``TILE_PX``.
    """

    left_m: float
    top_m: float
    m_per_px: float
    width_px: int
    height_px: int
    cell_px: int

    @classmethod
    def over(cls, low_m: Array, high_m: Array, m_per_px: float, cell_m: float) -> Raster:
        """Cover the rectangle from ``low_m`` to ``high_m`` (2,), with cells of about ``cell_m``."""
        exponent = round(math.log2(max(cell_m / m_per_px, 1.0)))
        cell_px = int(min(max(2**exponent, 8), TILE_PX))
        # Corners on whole pixels, so that orthophotos of two surveys of one map lie on each other.
        left_m, top_m = math.floor(low_m[0] / m_per_px) * m_per_px, math.ceil(high_m[1] / m_per_px) * m_per_px
        width_px, height_px = (
            max(1, math.ceil(size_m / (m_per_px * cell_px) - 1e-9)) * cell_px
            for size_m in (high_m[0] - left_m, top_m - low_m[1])
        )
        return cls(left_m, top_m, m_per_px, width_px, height_px, cell_px)

    @property
    def cell_m(self) -> float:
        """Side of a cell."""
        return self.cell_px * self.m_per_px

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.height_px // self.cell_px, self.width_px // self.cell_px

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return math.ceil(self.height_px / TILE_PX), math.ceil(self.width_px / TILE_PX)

    def tile_size(self, row: int, column: int) -> tuple[int, int]:
        """Height and width of a tile in pixels; those at the right and at the bottom may be smaller."""
        return min(TILE_PX, self.height_px - row * TILE_PX), min(TILE_PX, self.width_px - column * TILE_PX)

    def flat_m(self, x_px: Array, y_px: Array) -> Array:
        """Facet coordinates (..., 2) of places in pixels; (0, 0) is the centre of the first one."""
        return np.stack(
            [self.left_m + (x_px + 0.5) * self.m_per_px, self.top_m - (y_px + 0.5) * self.m_per_px], axis=-1
        )

    def cell_centres_m(self, first_row: int, stop_row: int, first_column: int, stop_column: int) -> Array:
        """Facet coordinates (rows, columns, 2) of the middles of a block of cells."""
        x_px = (np.arange(first_column, stop_column) + 0.5) * self.cell_px - 0.5
        y_px = (np.arange(first_row, stop_row) + 0.5) * self.cell_px - 0.5
        return self.flat_m(*np.meshgrid(x_px, y_px))

    def to_cells(self, flat_m: Array) -> Array:
        """Columns and rows of cells (..., 2), fractional; (0, 0) is the upper left corner of the first one."""
        return np.stack([flat_m[..., 0] - self.left_m, self.top_m - flat_m[..., 1]], axis=-1) / self.cell_m
