# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Making of the orthophotos of a map: two passes over the recording, one to choose images, one to draw them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UsageError, UserError
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.mapping.export.plan.layout import extent
from crack_perception.mapping.storage.atomic_file import write_atomically
from crack_perception.paths import write_json
from crack_perception.report.georeference import Georeference
from crack_perception.report.orthophoto.adjustment import (
    Adjustment,
    Patch,
    adjusted,
    comparison_raster,
    measured_shifts,
    patch_of,
)
from crack_perception.report.orthophoto.choice import (
    LEAST_SHARPNESS,
    FrameView,
    Index,
    choose_frames,
    footprint_m,
    frame_sharpness,
    view_of,
)
from crack_perception.report.orthophoto.geotiff import reduced, write_numbers, write_picture
from crack_perception.report.orthophoto.index import FORMAT, INDEX, TILES, VERSION
from crack_perception.report.orthophoto.joined_frames import JoinedFrames
from crack_perception.report.orthophoto.mosaic import TileFolder, draw_frame
from crack_perception.report.orthophoto.place import earth_place, facet_place
from crack_perception.report.orthophoto.raster import TILE_PX, Raster
from crack_perception.report.orthophoto.recorded_frames import PosedFrame
from crack_perception.report.orthophoto.surface import FacetSurface, fit_surface

Image = npt.NDArray[np.uint8]

_OVERVIEW_PX = 2400
# A cell is so small that an image covers about this many.
_CELLS_PER_IMAGE = 1500
_LEAST_CELL_M = 0.01
_MOST_CELLS = 4_000_000
_MOST_PIXELS = 20_000_000_000
_PIXEL_LIMITS_MM = (0.05, 100.0)
_FIRST_STEPS, _STEPS = 25, 100


@dataclass(frozen=True, eq=False)
class _Sheet:
    """Orthophoto of a facet while it is made."""

    letter: str
    facet: Facet
    surface: FacetSurface
    raster: Raster
    views: list[FrameView]
    owners: list[int]  # index of each view's frame
    chosen: Index  # index of the view of each cell
    adjustment: Adjustment | None = None
    poses: Mapping[int, Pose] = field(default_factory=dict)  # adjusted ones by the frame's index

    @property
    def drawn(self) -> list[int]:
        """Indices of the views that are used."""
        return [int(view) for view in np.unique(self.chosen[self.chosen >= 0])]

    def placed(self, index: int, frame: PosedFrame) -> PosedFrame:
        """A frame with its adjusted pose."""
        return replace(frame, pose=self.poses.get(index, frame.pose))

    def cells_by_frame(self) -> dict[int, Index]:
        """Rows and columns (N, 2) of the cells that come from each frame."""
        return {self.owners[view]: np.argwhere(self.chosen == view).astype(np.int32) for view in self.drawn}


def chosen_facets(facets: Mapping[str, Facet], letters: str | None) -> dict[str, Facet]:
    """The facets of a comma-separated list of letters; without one all.

    Raises:
        UserError: There are none.
        UsageError: There is no such facet.
    """
    if not facets:
        raise UserError("the map has no facets: it holds no crack and no inspected area", "Map a flight first")
    if letters is None:
        return dict(facets)
    wanted = [letter.strip().upper() for letter in letters.split(",") if letter.strip()]
    unknown = [letter for letter in wanted if letter not in facets]
    if unknown or not wanted:
        raise UsageError(f"there is no facet {', '.join(unknown)}", f"The map has {', '.join(facets)}")
    return {letter: facets[letter] for letter in wanted}


def make_orthophotos(
    frames: JoinedFrames,
    facets: Mapping[str, Facet],
    mm_per_px: float,
    folder: Path,
    georeference: Georeference,
    adjust: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Make the orthophotos of facets in a folder.

    Args:
        frames: Of the recordings.
        facets: By their letters.
        mm_per_px: Size of a pixel on the surface.
        folder: For the files; exists.
        georeference: Place of the map on the earth.
        adjust: Whether the poses of the drawn images are adjusted to each other.
        say: Called with each line of progress.

    Returns:
        The content of the index.

    Raises:
        UserError: No image shows a facet, or a file cannot be written.
    """
    if not _PIXEL_LIMITS_MM[0] <= mm_per_px <= _PIXEL_LIMITS_MM[1]:
        raise UsageError(f"--mm-per-px {mm_per_px:g} is out of range", "Give a number from 0.05 to 100, for example 1")
    posed: list[PosedFrame] = []
    sharp: list[float] = []
    for frame, picture in frames.posed():
        posed.append(frame)
        sharp.append(frame_sharpness(picture))
        if len(posed) % _STEPS == 0:
            say(f"  {len(posed)} images read")
    if not posed:
        raise UserError(
            f"no image has a pose: {frames.reason or 'there are no images'}",
            "Record the poses around each image, or choose other topics with --topic",
        )
    used = [index for index, value in enumerate(sharp) if value >= LEAST_SHARPNESS]
    say(
        f"{len(posed)} images with a pose, {frames.without_pose} without, {frames.damaged} damaged; "
        f"{len(posed) - len(used)} are too blurred"
    )
    sheets = []
    for letter, facet in facets.items():
        sheet = _sheet(letter, facet, posed, sharp, used, mm_per_px / 1000)
        if sheet is None:
            say(f"facet {letter}: no image shows it")
        else:
            sheets.append(sheet)
    if not sheets:
        raise UserError(
            "no image shows a facet of the map", "Is this the recording from which the map was made, in the same frame?"
        )
    if adjust:
        sheets = [_chosen_again(sheet, posed, sharp) for sheet in _adjusted(frames, posed, sheets, say)]
    tiles = TileFolder(folder / TILES, {sheet.letter: sheet.raster for sheet in sheets})
    _draw(frames, posed, sheets, tiles, say)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "mm_per_px": mm_per_px,
        "coordinates": georeference.statement,
        "images": {
            "with_pose": len(posed),
            "without_pose": frames.without_pose,
            "damaged": frames.damaged,
            "blurred": len(posed) - len(used),
        },
        "facets": [_finish(sheet, posed, sharp, tiles, folder, georeference, say) for sheet in sheets],
    }
    write_json(folder / INDEX, document)
    return document


def _sheet(
    letter: str,
    facet: Facet,
    posed: Sequence[PosedFrame],
    sharp: Sequence[float],
    used: Collection[int],
    m_per_px: float,
) -> _Sheet | None:
    """Choose the images of a facet; None where none shows it.

    Raises:
        UserError: The orthophoto would be too large.
    """
    surface = fit_surface(facet)
    low_m, high_m = extent(facet)
    outlines = (footprint_m(posed[index].camera, posed[index].pose, surface) for index in used)
    areas_m2 = [float(cv2.contourArea(outline.astype(np.float32))) for outline in outlines if len(outline)]
    if not areas_m2:
        return None
    cell_m = math.sqrt(float(np.median(areas_m2)) / _CELLS_PER_IMAGE)
    width_m, height_m = (high_m - low_m).tolist()
    if width_m * height_m / m_per_px**2 > _MOST_PIXELS:
        raise UsageError(
            f"facet {letter} of {width_m:.0f} x {height_m:.0f} m has too many pixels at {1000 * m_per_px:g} mm",
            "Give a larger --mm-per-px",
        )
    cell_m = max(cell_m, _LEAST_CELL_M, math.sqrt(width_m * height_m / _MOST_CELLS))
    raster = Raster.over(low_m, high_m, m_per_px, cell_m)
    views, owners = [], []
    for index in used:
        view = view_of(posed[index].camera, posed[index].pose, sharp[index], surface, raster)
        if view is not None:
            views.append(view)
            owners.append(index)
    if not views:
        return None
    return _Sheet(letter, facet, surface, raster, views, owners, choose_frames(views, raster.cells))


def _adjusted(
    frames: JoinedFrames, posed: Sequence[PosedFrame], sheets: Sequence[_Sheet], say: Callable[[str], None]
) -> list[_Sheet]:
    """Adjust the poses of the drawn images to each other, on each facet."""
    rasters = [comparison_raster(sheet.raster, [sheet.views[view] for view in sheet.drawn]) for sheet in sheets]
    view_of_frame = [{sheet.owners[view]: view for view in sheet.drawn} for sheet in sheets]
    index_of = {posed[index].number: index for views in view_of_frame for index in views}
    say(f"adjusting the poses of {len(index_of)} images")
    patches: list[dict[int, Patch]] = [{} for _ in sheets]
    for number, picture in frames.pictures(index_of):
        index = index_of[number]
        for sheet, raster, views, found in zip(sheets, rasters, view_of_frame, patches, strict=True):
            if index in views:
                view = sheet.views[views[index]]
                found[index] = patch_of(posed[index], picture, view, sheet.raster, raster, sheet.surface)
    result = []
    for sheet, raster, found in zip(sheets, rasters, patches, strict=True):
        shifts = measured_shifts(list(found.values()), raster)
        middles_m = np.array([patch.middle_m(raster) for patch in found.values()])
        adjustment = adjusted([posed[index].pose for index in found], shifts, sheet.surface, middles_m)
        result.append(replace(sheet, adjustment=adjustment, poses=dict(zip(found, adjustment.poses, strict=True))))
        if adjustment.places:
            before, after = (1000 * float(np.median(each)) for each in (adjustment.before_m, adjustment.after_m))
            say(
                f"facet {sheet.letter}: shifts between images of {before:.1f} mm in the median, {after:.1f} mm adjusted"
            )
    return result


def _chosen_again(sheet: _Sheet, posed: Sequence[PosedFrame], sharp: Sequence[float]) -> _Sheet:
    """The sheet with the choice among its drawn images where they lie after the adjustment."""
    views, owners = [], []
    for index in (sheet.owners[view] for view in sheet.drawn):
        frame = sheet.placed(index, posed[index])
        view = view_of(frame.camera, frame.pose, sharp[index], sheet.surface, sheet.raster)
        if view is not None:
            views.append(view)
            owners.append(index)
    return replace(sheet, views=views, owners=owners, chosen=choose_frames(views, sheet.raster.cells))


def _draw(
    frames: JoinedFrames,
    posed: Sequence[PosedFrame],
    sheets: Sequence[_Sheet],
    tiles: TileFolder,
    say: Callable[[str], None],
) -> None:
    wanted = [(sheet, sheet.cells_by_frame()) for sheet in sheets]
    by_number = {posed[index].number: index for _, cells in wanted for index in cells}
    say(f"drawing {len(by_number)} of them")
    for done, (number, picture) in enumerate(frames.pictures(by_number), 1):
        index = by_number[number]
        for sheet, cells in wanted:
            if index in cells:
                placed = sheet.placed(index, posed[index])
                draw_frame(tiles, sheet.letter, sheet.raster, sheet.surface, placed, picture, cells[index])
        if done % _FIRST_STEPS == 0:
            say(f"  {done} of {len(by_number)} images drawn")
    tiles.close()


def _finish(
    sheet: _Sheet,
    posed: Sequence[PosedFrame],
    sharp: Sequence[float],
    tiles: TileFolder,
    folder: Path,
    georeference: Georeference,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the files of a facet beside its tiles; return its entry of the index."""
    raster, letter = sheet.raster, sheet.letter
    earth, flat = earth_place(raster, letter, sheet.facet, sheet.surface, georeference), facet_place(raster, letter)
    size_px = (raster.width_px, raster.height_px)
    names = {
        "picture": f"facet_{letter}.tif",
        "images": f"facet_{letter}_images.tif",
        "gsd": f"facet_{letter}_gsd.tif",
        "overview": f"facet_{letter}.png",
    }
    write_picture(folder / names["picture"], size_px, lambda row, column: tiles.stored((letter, row, column)), earth)
    drawn = sheet.drawn
    number_of = np.zeros(len(sheet.views) + 1, np.uint16)  # the last one stands for -1
    number_of[drawn] = np.arange(1, len(drawn) + 1)
    numbers = number_of[sheet.chosen]
    gsd_mm = _cell_gsd_mm(sheet)
    write_numbers(folder / names["images"], numbers, earth.scaled(raster.cell_px))
    micrometres = np.where(np.isfinite(gsd_mm), np.clip(np.round(1000 * gsd_mm), 1, 65535), 0).astype(np.uint16)
    write_numbers(folder / names["gsd"], micrometres, earth.scaled(raster.cell_px))
    entries = []
    for row, column in np.ndindex(*raster.tiles):
        entry = _tile_entry(sheet, numbers, gsd_mm, row, column)
        if entry is not None:
            path = tiles.path((letter, row, column))
            world = flat.moved(column * TILE_PX, row * TILE_PX).world_file()
            write_atomically(path.with_suffix(".pgw"), world.encode())
            entries.append({"file": f"{TILES}/{path.name}", **entry})
    factor = max(1, math.ceil(max(size_px) / _OVERVIEW_PX))
    overview = _overview(sheet, tiles, factor)
    encoded, data = cv2.imencode(".png", overview)
    assert encoded
    write_atomically(folder / names["overview"], data.tobytes())
    corner_px = np.array([[0, 0], [overview.shape[1] * factor, 0], [0, overview.shape[0] * factor]]) - 0.5
    covered = float((sheet.chosen >= 0).mean())
    covered_m2 = float((sheet.chosen >= 0).sum()) * raster.cell_m**2
    say(
        f"facet {letter}: {covered_m2:.1f} m2 from {len(drawn)} images, {raster.width_px} x {raster.height_px} px, "
        f"{100 * covered:.0f} % of its frame"
    )
    return {
        "facet": letter,
        "mm_per_px": raster.m_per_px * 1000,
        "width_px": raster.width_px,
        "height_px": raster.height_px,
        "left_m": raster.left_m,
        "top_m": raster.top_m,
        "cell_px": raster.cell_px,
        "tile_px": TILE_PX,
        "covered_m2": covered_m2,
        "gsd_mm_per_px": [float(np.nanmin(gsd_mm)), float(np.nanmax(gsd_mm))],
        "normal": sheet.surface.normal.tolist(),
        "origin_m": sheet.surface.origin_m.tolist(),
        "u_m": sheet.surface.u_m.tolist(),
        "v_m": sheet.surface.v_m.tolist(),
        "flatness_m": sheet.surface.residual_m,
        "adjustment": _adjustment_entry(sheet.adjustment),
        "coordinates": {"name": earth.name, "epsg": earth.epsg, "affine": earth.affine.tolist()},
        "files": {name: names[name] for name in ("picture", "images", "gsd")},
        "overview": {
            "file": names["overview"],
            "mm_per_px": raster.m_per_px * 1000 * factor,
            "corners_m": sheet.surface.to_map(raster.flat_m(corner_px[:, 0], corner_px[:, 1])).tolist(),
        },
        "frames": [_frame_entry(sheet, posed, sharp, view) for view in drawn],
        "tiles": entries,
    }


def _adjustment_entry(adjustment: Adjustment | None) -> dict[str, Any] | None:
    """Shifts between images and movements of images, medians and 95th percentiles; None without an adjustment."""
    if adjustment is None or not adjustment.places:
        return None
    values = {"before_mm": adjustment.before_m, "after_mm": adjustment.after_m, "moved_mm": adjustment.moved_m}
    return {
        "places": adjustment.places,
        **{
            name: {"median": float(1000 * np.median(lengths)), "p95": float(1000 * np.quantile(lengths, 0.95))}
            for name, lengths in values.items()
        },
    }


def _cell_gsd_mm(sheet: _Sheet) -> npt.NDArray[np.float32]:
    """Ground sampling distance (rows, columns) of each cell; nan where no image shows it."""
    flat = np.full(sheet.chosen.size, np.nan, np.float32)
    chosen = sheet.chosen.ravel()
    for view in sheet.drawn:
        mine = chosen[sheet.views[view].cells] == view
        flat[sheet.views[view].cells[mine]] = sheet.views[view].gsd_mm_per_px[mine]
    return flat.reshape(sheet.chosen.shape)


def _tile_entry(
    sheet: _Sheet, numbers: npt.NDArray[np.uint16], gsd_mm: npt.NDArray[np.float32], row: int, column: int
) -> dict[str, Any] | None:
    """Resolution and images of a tile; None where it is empty."""
    step = TILE_PX // sheet.raster.cell_px
    block = (slice(row * step, (row + 1) * step), slice(column * step, (column + 1) * step))
    inside = numbers[block]
    if not inside.any():
        return None
    return {
        "row": row,
        "column": column,
        "covered_share": float((inside > 0).mean()),
        "gsd_mm_per_px": [float(np.nanmin(gsd_mm[block])), float(np.nanmax(gsd_mm[block]))],
        "frames": (np.unique(inside[inside > 0]).astype(int) - 1).tolist(),
    }


def _frame_entry(sheet: _Sheet, posed: Sequence[PosedFrame], sharp: Sequence[float], view: int) -> dict[str, Any]:
    index = sheet.owners[view]
    mine = sheet.chosen.ravel()[sheet.views[view].cells] == view
    gsd_mm = sheet.views[view].gsd_mm_per_px[mine]
    return {
        "stamp_ns": posed[index].stamp_ns,
        "number": posed[index].number,
        "sharpness": round(sharp[index], 4),
        "obliquity_deg": round(sheet.views[view].obliquity_deg, 2),
        "gsd_mm_per_px": [float(gsd_mm.min()), float(gsd_mm.max())],
        "cells": int(mine.sum()),
    }


def _overview(sheet: _Sheet, tiles: TileFolder, factor: int) -> Image:
    """The orthophoto (H, W, 4) reduced by a factor."""
    raster = sheet.raster
    small = np.zeros((-(-raster.height_px // factor), -(-raster.width_px // factor), 4), np.uint8)
    # Strips of whole pixels of the small picture, which need not fit the tiles.
    step = max(1, TILE_PX // factor)
    for top in range(0, small.shape[0], step):
        rows_px = (top * factor, min((top + step) * factor, raster.height_px))
        for left in range(0, small.shape[1], step):
            columns_px = (left * factor, min((left + step) * factor, raster.width_px))
            part = reduced(_window(sheet.letter, tiles, rows_px, columns_px), factor)
            small[top : top + part.shape[0], left : left + part.shape[1]] = part
    return small


def _window(letter: str, tiles: TileFolder, rows_px: tuple[int, int], columns_px: tuple[int, int]) -> Image:
    """A part of the orthophoto, from some of its tiles."""
    window = np.zeros((rows_px[1] - rows_px[0], columns_px[1] - columns_px[0], 4), np.uint8)
    for row in range(rows_px[0] // TILE_PX, (rows_px[1] - 1) // TILE_PX + 1):
        for column in range(columns_px[0] // TILE_PX, (columns_px[1] - 1) // TILE_PX + 1):
            tile = tiles.stored((letter, row, column))
            if tile is None:
                continue
            top, left = max(rows_px[0], row * TILE_PX), max(columns_px[0], column * TILE_PX)
            bottom = min(rows_px[1], row * TILE_PX + tile.shape[0])
            right = min(columns_px[1], column * TILE_PX + tile.shape[1])
            if bottom > top and right > left:
                window[top - rows_px[0] : bottom - rows_px[0], left - columns_px[0] : right - columns_px[0]] = tile[
                    top - row * TILE_PX : bottom - row * TILE_PX, left - column * TILE_PX : right - column * TILE_PX
                ]
    return window
