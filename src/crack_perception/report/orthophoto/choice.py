# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice of the image that each cell of an orthophoto comes from: the sharpest and closest, in large pieces."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.line_lifting import outline_on_surface
from crack_perception.geometry.poses.pose import Pose
from crack_perception.geometry.surface.plane import SurfacePlane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.report.orthophoto.raster import Raster
from crack_perception.report.orthophoto.surface import FacetSurface
from crack_perception.vision.sharpness import sharpness

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int32]

LEAST_SHARPNESS = 0.15
"""Images below this sharpness are not used: blur of several pixels hides fine cracks."""
MOST_OBLIQUITY_DEG = 60.0
"""Surface that is seen at a flatter angle is not used."""

# Sharpness is the median over 3 x 3 patches of this side.
_PATCH_PX = 192
# An image is good enough for a cell where it has this share of the best quality there: larger pieces, fewer seams.
_GOOD_SHARE = 0.8
# Quality falls to this share at the image's border, where lens errors and attitude errors are largest.
_BORDER_QUALITY = 0.5
_BORDER_SHARE = 0.15
# Quality of cells that the image's border cuts: used where no other image shows them.
_CUT_QUALITY = 0.05
# An image that is good for fewer cells than this share of those it shows is taken only where others are much worse.
_LEAST_PIECE = 0.05
_FAIR_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class FrameView:
    """View of a facet in one image.

    Attributes:
        cells: (N,) flat indices of the cells whose middle it shows.
        quality: (N,) float32, pixels per millimetre, reduced by blur, an oblique view and the distance to the border.
        gsd_mm_per_px: (N,) float32, the coarser of the two directions.
        obliquity_deg: Mean angle between the lines of sight and the surface normal.
    """

    cells: Index
    quality: npt.NDArray[np.float32]
    gsd_mm_per_px: npt.NDArray[np.float32]
    obliquity_deg: float


def frame_sharpness(picture: Image) -> float:
    """Median sharpness, 0 (blurred) to 1, of patches spread over an image (H, W, 3)."""
    height_px, width_px = picture.shape[:2]
    side_px = min(_PATCH_PX, height_px, width_px)
    values = [
        sharpness(picture[top : top + side_px, left : left + side_px])
        for top in np.linspace(0, height_px - side_px, 3).astype(int).tolist()
        for left in np.linspace(0, width_px - side_px, 3).astype(int).tolist()
    ]
    return float(np.median(values))


def footprint_m(camera: CameraModel, pose: Pose, surface: FacetSurface) -> Array:
    """Part of a facet that an image shows, as a polygon (M, 2) in facet coordinates; (0, 2) where it shows none."""
    normal = surface.normal @ pose.rotation
    distance_m = float((surface.origin_m - pose.position_m) @ surface.normal)
    if distance_m >= 0:  # from behind
        return np.empty((0, 2))
    plane = SurfacePlane(RangeReading(-distance_m, 0.0, "map_plane"), normal, 0.0, True, distance_m * normal)
    outline_m = outline_on_surface(camera, plane).points_m
    if len(outline_m) < 3 or not np.isfinite(outline_m).all():
        return np.empty((0, 2))
    return surface.to_flat(pose.transform(outline_m))


def view_of(camera: CameraModel, pose: Pose, sharp: float, surface: FacetSurface, raster: Raster) -> FrameView | None:
    """Return the view of a facet in an image of a given sharpness; None if it is of no use."""
    outline_m = footprint_m(camera, pose, surface)
    if not len(outline_m):
        return None
    rows, columns = raster.cells
    corners = raster.to_cells(outline_m)
    # One cell more on each side, so that the outermost ones are known to be cut.
    low, high = np.floor(corners.min(axis=0)).astype(int) - 1, np.ceil(corners.max(axis=0)).astype(int) + 1
    left, top = np.maximum(low, 0).tolist()
    right, bottom = np.minimum(high, [columns, rows]).tolist()
    if left >= right or top >= bottom:
        return None
    mask = np.zeros((bottom - top, right - left), np.uint8)
    # The middle of the first cell is (0, 0) for OpenCV; coordinates in 1/16 cells.
    cv2.fillPoly(mask, [np.round((corners - [left, top] - 0.5) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    flat_m = raster.cell_centres_m(top, bottom, left, right)
    is_seen = mask.astype(bool)
    points_m = surface.to_map(flat_m[is_seen])
    local_m = (points_m - pose.position_m) @ pose.rotation
    distances_m = np.linalg.norm(local_m, axis=1)
    cosines = ((pose.position_m - points_m) @ surface.normal) / np.maximum(distances_m, 1e-9)
    pixels = camera.project(local_m)
    borders = np.minimum(
        np.minimum(pixels[:, 0], camera.width_px - 1 - pixels[:, 0]) / camera.width_px,
        np.minimum(pixels[:, 1], camera.height_px - 1 - pixels[:, 1]) / camera.height_px,
    )
    usable = (cosines > math.cos(math.radians(MOST_OBLIQUITY_DEG))) & (borders >= 0)
    if not usable.any():
        return None
    is_whole = cv2.erode(mask, np.ones((3, 3), np.uint8))[is_seen] > 0
    y, x = is_seen.nonzero()
    cells = ((y + top) * columns + (x + left)).astype(np.int32)[usable]
    cosines, borders = cosines[usable], borders[usable]
    gsd_mm = 1000.0 * local_m[usable, 2] / camera.focal_px / cosines
    taper = _BORDER_QUALITY + (1 - _BORDER_QUALITY) * np.minimum(borders / _BORDER_SHARE, 1.0)
    quality = (0.25 + 0.75 * sharp) / gsd_mm * cosines * taper * np.where(is_whole[usable], 1.0, _CUT_QUALITY)
    return FrameView(
        cells,
        quality.astype(np.float32),
        gsd_mm.astype(np.float32),
        math.degrees(math.acos(min(1.0, float(cosines.mean())))),
    )


def choose_frames(views: Sequence[FrameView], cells: tuple[int, int]) -> Index:
    """Index (rows, columns) of the view that each cell comes from, -1 where none shows it.

    The image that is good enough for the most cells gets them, then the next for those that are left (a greedy set
    cover): neighbouring cells come from one image as far as possible, and few images must be decoded.
    """
    rows, columns = cells
    best = np.zeros(rows * columns, np.float32)
    for view in views:
        np.maximum.at(best, view.cells, view.quality)
    chosen = np.full(rows * columns, -1, np.int32)
    good = [view.cells[view.quality >= _GOOD_SHARE * best[view.cells]] for view in views]
    taken = _cover(chosen, good, [max(1, round(_LEAST_PIECE * len(view.cells))) for view in views])
    # Slivers between the pieces go to the pieces beside them, as far as those are fair there.
    fairest = np.zeros(rows * columns, np.float32)
    for index in taken:
        view = views[index]
        fair = (view.quality >= _FAIR_SHARE * best[view.cells]) & (view.quality > fairest[view.cells])
        cells_of, quality = view.cells[fair], view.quality[fair]
        open_ones = (chosen[cells_of] < 0) | (fairest[cells_of] > 0)
        chosen[cells_of[open_ones]], fairest[cells_of[open_ones]] = index, quality[open_ones]
    _cover(chosen, good, [1] * len(views))
    return chosen.reshape(rows, columns)


def _cover(chosen: Index, good: Sequence[Index], least: Sequence[int]) -> list[int]:
    """Give cells that have no view to views that are good there, the one for most cells first; return the views.

    Args:
        chosen: (N,) view of each cell, -1 for none; changed.
        good: Cells for which each view is good.
        least: Number of cells from which on a view is taken.
    """
    taken = []
    queue = [(-len(members), index) for index, members in enumerate(good)]
    heapq.heapify(queue)
    while queue:
        promised, index = heapq.heappop(queue)
        left = good[index][chosen[good[index]] < 0]
        if len(left) < least[index]:
            continue
        if len(left) < -promised:  # others took some of them
            heapq.heappush(queue, (-len(left), index))
            continue
        chosen[left] = index
        taken.append(index)
    return taken
