# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Grid on one flat surface: the finest ground sampling distance (GSD) at which images have shown each cell.

The grid grows in square tiles, so that memory and what is saved follow the inspected area and not its extent. The axes
stay as they were when the first view founded the grid; the plane along them is fitted to the outlines of all views, so
that an error of the first one does not separate what is one surface.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.coverage.view import InspectedView
from crack_perception.mapping.export.plan.facets import squared

Array = npt.NDArray[np.float64]
Cells = npt.NDArray[np.float32]
TileKey = tuple[int, int]

TILE_CELLS = 64
"""Cells along the side of a tile."""

MOST_TILES_AWAY = 32
"""Tiles from the first view in each direction; what is farther away becomes another surface."""

# Cells of the box around one view; larger ones reach to the horizon, where the resolution is useless anyway.
_MOST_CELLS_OF_VIEW = 250_000
# A view that is finer by less than this changes nothing: hovering would rewrite the file for ever.
_LEAST_GAIN = 0.98
# Standard deviation of a view's plane, and of the slopes of the true surface against the axes; they weigh the fit.
_OFFSET_SIGMA_M = 0.05
_SLOPE_SIGMA = 0.1
# Above this the plane is a floor or a ceiling rather than a wall.
_STEEP = math.cos(math.radians(45))
# Keeps the fit defined where an outline has fewer corners than a quadratic polynomial has coefficients.
_RIDGE = 1e-9


@dataclass(frozen=True, eq=False)
class SurfaceCoverage:
    """Coverage of one surface as one array, which never changes.

    Attributes:
        id: Positive; surfaces keep their ids.
        corner_m: (3,) outer corner of the cell [0, 0], map frame.
        u_axis, v_axis: (3,) unit vectors along the columns and the rows; right and up as the camera sees a wall.
        normal: (3,) unit vector towards the camera.
        cell_m: Side of a cell.
        gsd_mm_per_px: (rows, columns) finest GSD; ``nan`` where not seen, ``inf`` where seen at an unknown resolution.
    """

    id: int
    corner_m: Array
    u_axis: Array
    v_axis: Array
    normal: Array
    cell_m: float
    gsd_mm_per_px: Cells

    def centres_m(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Array:
        """Centres (N, 3) of cells in the map."""
        u, v = (columns + 0.5) * self.cell_m, (rows + 0.5) * self.cell_m
        return np.asarray(self.corner_m + u[:, None] * self.u_axis + v[:, None] * self.v_axis)

    def gsd_at(self, points_m: Array, deep_m: float) -> Array:
        """Finest GSD (N,) of the cells that points (N, 3) of the map lie in; ``nan`` where not seen or not on it.

        Args:
            deep_m: Largest distance of a point from the surface.
        """
        relative_m = points_m - self.corner_m
        columns = np.floor(relative_m @ self.u_axis / self.cell_m)
        rows = np.floor(relative_m @ self.v_axis / self.cell_m)
        height, width = self.gsd_mm_per_px.shape
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        inside &= np.abs(relative_m @ self.normal) <= deep_m
        gsd = np.full(len(points_m), np.nan)
        gsd[inside] = self.gsd_mm_per_px[rows[inside].astype(int), columns[inside].astype(int)]
        return gsd

    @property
    def cell_area_m2(self) -> float:
        """Area of a cell."""
        return self.cell_m**2


def upright_axes(normal: Array) -> Array:
    """Axes (3, 3) of a surface: rows right, up and normal (3,) as the camera in front of it sees them.

    Up is the map's z on walls and its y on floors and ceilings.
    """
    up = np.array([0.0, 0.0, 1.0]) if abs(normal[2]) < _STEEP else np.array([0.0, 1.0, 0.0])
    right = np.cross(up, normal)
    right /= np.sqrt(right @ right)
    return np.stack([right, np.cross(normal, right), normal])


@dataclass(frozen=True, eq=False)
class SurfaceFrame:
    """Axes and plane of a grid, as they are saved.

    Attributes:
        id: Of the surface.
        cell_m: Side of a cell.
        origin_m: (3,) where the cell coordinates are 0, map frame.
        axes: (3, 3) rows u, v, normal; orthonormal, the normal towards the camera.
        moments: (3, 4) sums of the plane's fit: products of (1, u, v) with (1, u, v, w) over the views.
    """

    id: int
    cell_m: float
    origin_m: Array
    axes: Array
    moments: Array

    @classmethod
    def founded_by(cls, view: InspectedView, surface_id: int, cell_m: float) -> SurfaceFrame:
        """Return the frame of a new surface: upright axes on the plane of a view."""
        axes = upright_axes(squared(view.footprint.normal))
        return cls(surface_id, cell_m, view.footprint.corners_m.mean(axis=0), axes, np.zeros((3, 4)))

    def local(self, points_m: Array) -> Array:
        """Coordinates (N, 3) along u, v and the normal of map points (N, 3)."""
        return np.asarray((points_m - self.origin_m) @ self.axes.T)

    def plane(self) -> Array:
        """Height above the axes' plane at the origin, and its slopes along u and v (3,)."""
        prior = np.diag([1e-9, 1.0, 1.0]) * (_OFFSET_SIGMA_M / _SLOPE_SIGMA) ** 2
        return np.asarray(np.linalg.solve(self.moments[:, :3] + prior, self.moments[:, 3]))


@dataclass(frozen=True, eq=False)
class PlacedView:
    """A view on the cells of a surface.

    Attributes:
        local: (M, 3) its outline along u, v and the normal.
        gsd_mm_per_px: (M,) along the outline.
        u_m, v_m: Centres of the columns and rows of the box around it.
        parts: Tiles under the box, each with its part of the tile and of the box.
        new_tiles: Number of these tiles that do not exist.
    """

    local: Array
    gsd_mm_per_px: Array
    u_m: Array
    v_m: Array
    parts: tuple[tuple[TileKey, tuple[slice, slice], tuple[slice, slice]], ...]
    new_tiles: int


class SurfaceGrid:
    """The growing grid of one surface.

    Args:
        frame: Its axes.
        tiles: GSD of its cells by tile (row, column); they are changed by this grid from now on.

    Attributes:
        frame: Its axes and plane; replaced by every view.
        changed_tiles: Tiles that have changed since the owner last cleared this set.
        extent_m: Length of the longer side of the box around all tiles.
    """

    def __init__(self, frame: SurfaceFrame, tiles: dict[TileKey, Cells] | None = None) -> None:
        self.frame = frame
        self.changed_tiles: set[TileKey] = set()
        self._tiles = tiles or {}
        self._plane = frame.plane()
        self.extent_m = self._extent_m()

    def __len__(self) -> int:
        return len(self._tiles)

    def distance_m(self, local: Array) -> float | None:
        """Distance of an outline (M, 3) in local coordinates from this surface; None where it is too far along it."""
        reach_m = MOST_TILES_AWAY * TILE_CELLS * self.frame.cell_m
        u, v, height = (np.add.reduce(local, axis=0) / len(local)).tolist()
        if not max(abs(u), abs(v)) < reach_m:
            return None
        offset, u_slope, v_slope = self._plane.tolist()
        return abs(height - offset - u_slope * u - v_slope * v)

    def place(self, local: Array, gsd_mm_per_px: Array) -> PlacedView | None:
        """Return the cells that a view touches; None if there are too many.

        Args:
            local: (M, 3) its outline in local coordinates.
            gsd_mm_per_px: (M,) along the outline.
        """
        cell_m = self.frame.cell_m
        column, row, _ = np.floor(np.minimum.reduce(local, axis=0) / cell_m).tolist()
        last_column, last_row, _ = np.floor(np.maximum.reduce(local, axis=0) / cell_m).tolist()
        rows, columns = last_row - row + 1.0, last_column - column + 1.0
        if not rows * columns <= _MOST_CELLS_OF_VIEW:
            return None
        parts = tuple(_parts((int(row), int(column)), (int(rows), int(columns))))
        v_m = (row + np.arange(rows) + 0.5) * cell_m
        u_m = (column + np.arange(columns) + 0.5) * cell_m
        new_tiles = sum(key not in self._tiles for key, _, _ in parts)
        return PlacedView(local, gsd_mm_per_px, u_m, v_m, parts, new_tiles)

    def add(self, view: PlacedView) -> bool:
        """Update the cells that a view shows; return whether any has changed."""
        self._fit_plane(view.local)
        outline = view.local[:, :2]
        gsd = _gsd_at(outline, view.gsd_mm_per_px, view.u_m, view.v_m)
        shown = _inside(outline, view.u_m, view.v_m)
        changed = [self._improve(key, of_tile, gsd[of_view], shown[of_view]) for key, of_tile, of_view in view.parts]
        return any(changed)

    def note_emptied(self) -> None:
        """Count all tiles as changed."""
        self.changed_tiles |= self._tiles.keys()

    def tile(self, key: TileKey) -> Cells:
        """A copy of the cells of a tile (``TILE_CELLS``, ``TILE_CELLS``)."""
        return self._tiles[key].copy()

    def as_array(self) -> SurfaceCoverage:
        """Return the grid as one array, cropped to whole tiles, on the fitted plane."""
        keys = np.array(sorted(self._tiles) or [(0, 0)])
        low, high = keys.min(axis=0), keys.max(axis=0) + 1
        cells = np.full((high - low) * TILE_CELLS, np.nan, np.float32)
        for (row, column), tile in self._tiles.items():
            top, left = (row - low[0]) * TILE_CELLS, (column - low[1]) * TILE_CELLS
            cells[top : top + TILE_CELLS, left : left + TILE_CELLS] = tile
        side_m = TILE_CELLS * self.frame.cell_m
        v_m, u_m = (low * side_m).tolist()
        u_axis, v_axis, normal = self.frame.axes
        height_m, u_slope, v_slope = self._plane.tolist()
        corner_m = self.frame.origin_m + u_m * u_axis + v_m * v_axis
        corner_m = corner_m + (height_m + u_slope * u_m + v_slope * v_m) * normal
        tilted_u = u_axis + u_slope * normal
        tilted_u /= np.sqrt(tilted_u @ tilted_u)
        tilted_n = np.cross(tilted_u, v_axis + v_slope * normal)
        tilted_n /= np.sqrt(tilted_n @ tilted_n)
        return SurfaceCoverage(
            self.frame.id, corner_m, tilted_u, np.cross(tilted_n, tilted_u), tilted_n, self.frame.cell_m, cells
        )

    def _extent_m(self) -> float:
        keys = np.array(list(self._tiles) or [(0, 0)])
        return float((np.ptp(keys, axis=0) + 1).max()) * TILE_CELLS * self.frame.cell_m

    def _fit_plane(self, local: Array) -> None:
        basis = np.column_stack([np.ones(len(local)), local[:, :2]])
        self.frame.moments[:] += basis.T @ np.column_stack([basis, local[:, 2]]) / len(local)
        self._plane = self.frame.plane()

    def _improve(self, key: TileKey, where: tuple[slice, slice], gsd: Cells, shown: npt.NDArray[np.bool_]) -> bool:
        tile = self._tiles.get(key)
        if tile is None:
            if not shown.any():
                return False
            tile = self._tiles[key] = np.full((TILE_CELLS, TILE_CELLS), np.nan, np.float32)
            self.extent_m = self._extent_m()
        cells = tile[where]
        # An unseen cell is nan, which no comparison is true for.
        better = shown & ~(gsd >= _LEAST_GAIN * cells)
        if not better.any():
            return False
        np.copyto(cells, gsd, where=better)
        self.changed_tiles.add(key)
        return True


def _parts(
    first: tuple[int, int], shape: tuple[int, int]
) -> Iterator[tuple[TileKey, tuple[slice, slice], tuple[slice, slice]]]:
    """Tiles under a box of cells, each with its part of the tile and of the box."""
    (row, column), (rows, columns) = first, shape
    for tile_row in range(row // TILE_CELLS, (row + rows - 1) // TILE_CELLS + 1):
        in_tile_v, in_box_v = _overlap(tile_row, row, rows)
        for tile_column in range(column // TILE_CELLS, (column + columns - 1) // TILE_CELLS + 1):
            in_tile_u, in_box_u = _overlap(tile_column, column, columns)
            yield (tile_row, tile_column), (in_tile_v, in_tile_u), (in_box_v, in_box_u)


def _overlap(tile: int, first: int, count: int) -> tuple[slice, slice]:
    start, end = max(first, tile * TILE_CELLS), min(first + count, (tile + 1) * TILE_CELLS)
    return slice(start - tile * TILE_CELLS, end - tile * TILE_CELLS), slice(start - first, end - first)


def _gsd_at(outline: Array, gsd_mm_per_px: Array, u_m: Array, v_m: Array) -> Cells:
    """GSD (rows, columns) at the cells of a grid, from that (M,) along an outline (M, 2).

    The logarithm of the GSD of a flat surface is nearly a quadratic polynomial of the place.
    """
    if not np.isfinite(gsd_mm_per_px).all():
        return np.full((len(v_m), len(u_m)), np.inf, np.float32)
    middle, logs = outline.mean(axis=0), np.log(gsd_mm_per_px)
    scale = float(np.abs(outline - middle).max())
    x, y = ((outline - middle) / scale).T
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    products = basis @ basis.T
    products.flat[::7] += _RIDGE
    c = np.linalg.solve(products, basis @ logs).tolist()
    u, v = ((u_m - middle[0]) / scale).astype(np.float32), ((v_m - middle[1]) / scale).astype(np.float32)
    along_u, along_v = c[0] + u * (c[1] + c[3] * u), v * (c[2] + c[5] * v)
    return np.exp(along_v[:, None] + along_u + (c[4] * v)[:, None] * u)


def _inside(outline: Array, u_m: Array, v_m: Array) -> npt.NDArray[np.bool_]:
    """Which cells (rows, columns) have their centre inside an outline (M, 2) of any shape."""
    ax, ay = outline.T
    bx, by = np.concatenate([outline[1:], outline[:1]]).T
    crosses = (ay > v_m[:, None]) != (by > v_m[:, None])
    rows, edges = np.nonzero(crosses)
    at_u = ax[edges] + (v_m[rows] - ay[edges]) * (bx[edges] - ax[edges]) / (by[edges] - ay[edges])
    # Along a row, every crossing of the outline turns inside to outside, from the first centre beyond it on.
    toggles = np.zeros((len(v_m), len(u_m) + 1), np.uint8)
    np.add.at(toggles, (rows, np.searchsorted(u_m, at_u)), 1)
    return np.asarray(np.bitwise_xor.accumulate(toggles[:, :-1], axis=1) & 1, np.bool_)
