# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Coverage of all surfaces: the views of frames, each on the grid of its surface, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.coverage.surface_grid import (
    Cells,
    SurfaceCoverage,
    SurfaceFrame,
    SurfaceGrid,
    TileKey,
)
from crack_perception.mapping.coverage.view import CameraGeometry, InspectedView

Array = npt.NDArray[np.float64]

CELL_M = 0.1
"""Side of a cell."""

# Views on one surface: their normals agree, and nothing lies between their planes over this distance, plus a share of
# the surface's extent, by which a small error of its direction moves far points (as for the facets of the plan).
_SAME_DIRECTION = math.cos(math.radians(25))
_GAP_M = 0.5
_GAP_SHARE = 0.03

_MOST_SURFACES = 100
# 16 MB; 40,000 square metres in cells of 0.1 m.
_MOST_TILES = 1000
# Ratio from which sizes and focal lengths belong to different cameras; rounding changes them from view to view.
_OTHER_CAMERA = 1.03


@dataclass(eq=False)
class CoverageChanges:
    """Changes of a coverage that are to be saved.

    Attributes:
        frames: Axes and planes of changed surfaces, by id.
        tiles: GSD of changed tiles, by surface, row and column.
        camera: Geometry of the camera; None where it has not changed.
    """

    frames: dict[int, SurfaceFrame] = field(default_factory=dict)
    tiles: dict[tuple[int, int, int], Cells] = field(default_factory=dict)
    camera: CameraGeometry | None = None

    def __bool__(self) -> bool:
        return bool(self.tiles or self.camera)

    def add(self, newer: CoverageChanges) -> None:
        """Add changes; they take precedence over earlier ones."""
        self.frames |= newer.frames
        self.tiles |= newer.tiles
        self.camera = newer.camera or self.camera


class Coverage:
    """The grids of all surfaces.

    Not safe for use from several threads at once; the arrays that it returns are.

    Args:
        cell_m: Side of the cells of new surfaces.

    Attributes:
        camera: Geometry of the camera with the largest image; None while no view had one.
        refused: Number of views that were not added, because they are too large or the memory is used up.
        viewpoint_m: (3,) position of the camera in the last view; None where it is not known.
        version: A number that grows whenever a cell or the camera changes.
    """

    def __init__(self, cell_m: float = CELL_M) -> None:
        self._cell_m = cell_m
        self._grids: dict[int, SurfaceGrid] = {}
        self._arrays: dict[int, SurfaceCoverage] = {}
        self._saved_camera: CameraGeometry | None = None
        self._next_id = 1
        self._tiles = 0
        self.camera: CameraGeometry | None = None
        self.viewpoint_m: Array | None = None
        self.refused = 0
        self.version = 0

    def __len__(self) -> int:
        return len(self._grids)

    def restore(self, saved: CoverageChanges) -> None:
        """Restore a saved coverage in place of the present one; tiles of unknown surfaces are ignored."""
        self.clear()
        tiles: dict[int, dict[TileKey, Cells]] = {}
        for (surface_id, row, column), tile in saved.tiles.items():
            tiles.setdefault(surface_id, {})[row, column] = tile
        self._grids = {frame.id: SurfaceGrid(frame, tiles.get(frame.id)) for frame in saved.frames.values()}
        self._tiles = sum(map(len, self._grids.values()))
        self._next_id = max(self._grids, default=0) + 1
        self.camera = self._saved_camera = saved.camera

    def add(self, view: InspectedView) -> None:
        """Update the cells that a view shows, on its surface or on a new one."""
        self._note_camera(view.camera)
        self.viewpoint_m = view.viewpoint_m
        grid, local = self._surface_of(view)
        placed = None if grid is None else grid.place(local, view.gsd_mm_per_px)
        if grid is None or placed is None or self._tiles + placed.new_tiles > _MOST_TILES:
            self.refused += 1
            return
        if not grid.add(placed):
            return
        if grid.frame.id not in self._grids:
            self._grids[grid.frame.id] = grid
            self._next_id += 1
        self._tiles = sum(map(len, self._grids.values()))
        self._arrays.pop(grid.frame.id, None)
        self.version += 1

    def surfaces(self) -> tuple[SurfaceCoverage, ...]:
        """Return every surface as an array, by id; an unchanged one is the same object as before."""
        for surface_id, grid in self._grids.items():
            if surface_id not in self._arrays:
                self._arrays[surface_id] = grid.as_array()
        return tuple(self._arrays[surface_id] for surface_id in self._grids)

    def take_changes(self) -> CoverageChanges:
        """Return copies of everything that has changed since the last call."""
        changes = CoverageChanges()
        for surface_id, grid in self._grids.items():
            if grid.changed_tiles:
                changes.frames[surface_id] = replace(grid.frame, moments=grid.frame.moments.copy())
                changes.tiles |= {(surface_id, *key): grid.tile(key) for key in grid.changed_tiles}
                grid.changed_tiles.clear()
        if self.camera != self._saved_camera:
            changes.camera = self._saved_camera = self.camera
        return changes

    def note_emptied(self) -> None:
        """Include everything in the next changes, because what was saved is lost."""
        self._saved_camera = None
        for grid in self._grids.values():
            grid.note_emptied()

    def clear(self) -> None:
        """Remove all surfaces; the numbers of surfaces begin anew."""
        self._grids.clear()
        self._arrays.clear()
        self._tiles, self._next_id = 0, 1
        self.camera = self._saved_camera = self.viewpoint_m = None
        self.version += 1

    def _surface_of(self, view: InspectedView) -> tuple[SurfaceGrid | None, Array]:
        """Return the grid that a view lies on and its outline in that grid's coordinates (M, 3).

        A new grid where there is none, None where there are too many.
        """
        outline_m, normal = view.footprint.corners_m, view.footprint.normal
        nearest: SurfaceGrid | None = None
        least_m, nearest_local = math.inf, outline_m
        for grid in self._grids.values():
            if float(grid.frame.axes[2] @ normal) < _SAME_DIRECTION:
                continue
            local = grid.frame.local(outline_m)
            distance_m = grid.distance_m(local)
            if distance_m is not None and distance_m < min(least_m, _GAP_M + _GAP_SHARE * grid.extent_m):
                nearest, least_m, nearest_local = grid, distance_m, local
        if nearest is None and len(self._grids) < _MOST_SURFACES:
            nearest = SurfaceGrid(SurfaceFrame.founded_by(view, self._next_id, self._cell_m))
            nearest_local = nearest.frame.local(outline_m)
        return nearest, nearest_local

    def _note_camera(self, camera: CameraGeometry | None) -> None:
        before = self.camera
        if camera is None or (before is not None and not _replaces(camera, before)):
            return
        self.camera = camera
        self.version += 1


def _replaces(camera: CameraGeometry, before: CameraGeometry) -> bool:
    """Return whether an image is larger than those before, or of the same size with another zoom."""
    growth = camera.width_px * camera.height_px / (before.width_px * before.height_px)
    zoom = camera.focal_px / before.focal_px
    return growth > _OTHER_CAMERA or (growth > 1 / _OTHER_CAMERA and max(zoom, 1 / zoom) > _OTHER_CAMERA)


def saved_coverage(saved: CoverageChanges, inspected_areas_m: Iterable[Array] = (), cell_m: float = CELL_M) -> Coverage:
    """Return a saved coverage.

    Args:
        saved: All surfaces and tiles.
        inspected_areas_m: Polygons (M, 3) of a map that was saved without a coverage; they count as seen at an unknown
            resolution.
        cell_m: Side of the cells of new surfaces.
    """
    coverage = Coverage(cell_m)
    coverage.restore(saved)
    if not saved.frames:
        for area_m in inspected_areas_m:
            view = InspectedView.of_outline(area_m)
            if view is not None:
                coverage.add(view)
    return coverage
