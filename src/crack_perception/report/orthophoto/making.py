# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Making of the orthophotos of a map: two passes over the recording, one to choose images, one to draw them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crack_perception.errors import UsageError, UserError
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.mapping.export.plan.layout import extent
from crack_perception.paths import write_json
from crack_perception.report.georeference import Georeference
from crack_perception.report.orthophoto.adjustment import (
    Patch,
    adjusted,
    comparison_raster,
    measured_shifts,
    patch_of,
)
from crack_perception.report.orthophoto.choice import (
    LEAST_SHARPNESS,
    choose_frames,
    footprint_m,
    frame_sharpness,
    view_of,
)
from crack_perception.report.orthophoto.facet_files import write_facet
from crack_perception.report.orthophoto.index import FORMAT, INDEX, TILES, VERSION
from crack_perception.report.orthophoto.joined_frames import JoinedFrames
from crack_perception.report.orthophoto.mosaic import TileFolder, draw_frame
from crack_perception.report.orthophoto.raster import Raster
from crack_perception.report.orthophoto.recorded_frames import PosedFrame
from crack_perception.report.orthophoto.sheet import Sheet
from crack_perception.report.orthophoto.surface import fit_surface

# A cell is so small that an image covers about this many.
_CELLS_PER_IMAGE = 1500
_LEAST_CELL_M = 0.01
_MOST_CELLS = 4_000_000
_MOST_PIXELS = 20_000_000_000
_PIXEL_LIMITS_MM = (0.05, 100.0)
_FIRST_STEPS, _STEPS = 25, 100


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
        "facets": [write_facet(sheet, posed, sharp, tiles, folder, georeference, say) for sheet in sheets],
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
) -> Sheet | None:
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
    return Sheet(letter, facet, surface, raster, views, owners, choose_frames(views, raster.cells))


def _adjusted(
    frames: JoinedFrames, posed: Sequence[PosedFrame], sheets: Sequence[Sheet], say: Callable[[str], None]
) -> list[Sheet]:
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


def _chosen_again(sheet: Sheet, posed: Sequence[PosedFrame], sharp: Sequence[float]) -> Sheet:
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
    sheets: Sequence[Sheet],
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
