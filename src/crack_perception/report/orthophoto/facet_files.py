# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Files of a facet whose tiles are drawn: picture, numbers and resolutions of its images, overview, index entry."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.mapping.storage.atomic_file import write_atomically
from crack_perception.report.georeference import Georeference
from crack_perception.report.orthophoto.adjustment import Adjustment
from crack_perception.report.orthophoto.geotiff import reduced, write_numbers, write_picture
from crack_perception.report.orthophoto.index import TILES
from crack_perception.report.orthophoto.mosaic import TileFolder
from crack_perception.report.orthophoto.place import earth_place, facet_place
from crack_perception.report.orthophoto.raster import TILE_PX
from crack_perception.report.orthophoto.recorded_frames import PosedFrame
from crack_perception.report.orthophoto.sheet import Sheet

Image = npt.NDArray[np.uint8]

_OVERVIEW_PX = 2400


def write_facet(
    sheet: Sheet,
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


def _cell_gsd_mm(sheet: Sheet) -> npt.NDArray[np.float32]:
    """Ground sampling distance (rows, columns) of each cell; nan where no image shows it."""
    flat = np.full(sheet.chosen.size, np.nan, np.float32)
    chosen = sheet.chosen.ravel()
    for view in sheet.drawn:
        mine = chosen[sheet.views[view].cells] == view
        flat[sheet.views[view].cells[mine]] = sheet.views[view].gsd_mm_per_px[mine]
    return flat.reshape(sheet.chosen.shape)


def _tile_entry(
    sheet: Sheet, numbers: npt.NDArray[np.uint16], gsd_mm: npt.NDArray[np.float32], row: int, column: int
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


def _frame_entry(sheet: Sheet, posed: Sequence[PosedFrame], sharp: Sequence[float], view: int) -> dict[str, Any]:
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


def _overview(sheet: Sheet, tiles: TileFolder, factor: int) -> Image:
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
