# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tiles whose cracks are located to a cell of the feature map: by masks, rendering, or labels of whole tiles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.training.data.examples import DONOR_SOURCE, TRAINING_CRACKS
from crack_perception.training.data.manifest import HARD_NEGATIVES, Row, read_manifest
from crack_perception.training.data.rows import TILE_PX, trainable_rows
from crack_perception.training.data.surfaces import draw_surface
from crack_perception.training.data.synthesis import crack_gain, draw_crack, draw_hard_negative, paste_crack
from crack_perception.training.evaluation.crops import read_mask
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, pad_to_tile

CELL_PX = 32
UNKNOWN, INTACT, CRACK = -1, 0, 1
"""Labels of cells."""
MASKED, RENDERED, WHOLE = "masked", "rendered", "whole tile"
"""Kinds of labels: from a mask, from the renderer, or one label for the whole tile."""

# A cell that a crack only touches counts as neither.
_LEAST_CRACK_PX = 12
_NEAR_PX = 6
# Grey levels by which a rendered crack changes a pixel that belongs to it.
_LEAST_CHANGE = 5


@dataclass(frozen=True)
class CellSettings:
    """Numbers of tiles.

    Args:
        masked: Largest number of tiles with a mask per source and surface.
        whole: Largest number of tiles without a mask per source, surface and label.
        rendered: Number of tiles with a rendered crack.
        surfaces: Number of synthetic surfaces, which half of the rendered cracks are on.
    """

    masked: int = 600
    whole: int = 300
    rendered: int = 1200
    surfaces: int = 200


@dataclass(frozen=True)
class CellTile:
    """One tile with its labels.

    Attributes:
        pixels: ``(T, T, 3)`` uint8 BGR.
        cells: ``(T / 32, T / 32)`` int8 of ``UNKNOWN``, ``INTACT`` and ``CRACK``.
        is_cracked: Label of the whole tile.
        kind: Kind of its labels.
        stratum: Source and surface.
        group: Photograph.
    """

    pixels: Image
    cells: npt.NDArray[np.int8]
    is_cracked: bool
    kind: str
    stratum: str
    group: str


def cell_tiles(data: Path, settings: CellSettings, seed: int) -> Iterator[CellTile]:
    """Read and render the tiles that a cell output is fitted on.

    Args:
        data: Folder with ``manifest.csv``.
        settings: Numbers of tiles.
        seed: Seed of all random choices.

    Raises:
        UserError: An image or a mask cannot be read.
    """
    rng = np.random.default_rng(seed)
    strata: dict[tuple[str, str, bool], list[Row]] = defaultdict(list)
    for row in trainable_rows(read_manifest(data)):
        strata[row.stratum, row.label, bool(row.mask_path)].append(row)
    intact: list[Row] = []
    donors: list[Row] = []
    for (_, label, has_mask), rows in sorted(strata.items()):
        count = min(len(rows), settings.masked if has_mask else settings.whole)
        chosen = [rows[index] for index in rng.permutation(len(rows))[:count]]
        for row in chosen:
            yield _read(data, row)
        if label == "none" and chosen[0].source != HARD_NEGATIVES:
            intact += chosen
        if label == "crack" and chosen[0].source == DONOR_SOURCE:
            donors += chosen
    yield from _rendered(data, intact, donors, settings, rng)


def mask_cells(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """Label the cells of a mask ``(T, T)``: ``UNKNOWN`` where a crack only touches a cell or its surroundings."""
    shape = (mask.shape[0] // CELL_PX, CELL_PX, mask.shape[1] // CELL_PX, CELL_PX)
    side = 2 * _NEAR_PX + 1
    near = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).reshape(shape).any(axis=(1, 3))
    cells = np.where(near, UNKNOWN, INTACT)
    cells[mask.reshape(shape).sum(axis=(1, 3)) >= _LEAST_CRACK_PX] = CRACK
    return cells.astype(np.int8)


def _read(data: Path, row: Row) -> CellTile:
    picture = read_picture(data / row.path)
    pixels = pad_to_tile(picture, TILE_PX)[:TILE_PX, :TILE_PX]
    is_cracked = row.label == "crack"
    if row.mask_path and is_cracked:
        mask = read_mask(data / row.mask_path, picture.shape[:2])[:TILE_PX, :TILE_PX]
        missing = [(0, TILE_PX - side) for side in mask.shape]
        cells = mask_cells(np.pad(mask, missing, mode="symmetric"))
        return CellTile(pixels, cells, True, MASKED, row.stratum, row.group_id)
    side = TILE_PX // CELL_PX
    cells = np.full((side, side), UNKNOWN if is_cracked else INTACT, np.int8)
    return CellTile(pixels, cells, is_cracked, WHOLE, row.stratum, row.group_id)


def _rendered(
    data: Path, intact: Sequence[Row], donors: Sequence[Row], settings: CellSettings, rng: np.random.Generator
) -> Iterator[CellTile]:
    """Render cracks on intact tiles and synthetic surfaces; a third of them beside a joint or another hard negative."""
    surfaces = [draw_surface(rng, TILE_PX).pixels for _ in range(settings.surfaces)]
    gains = [gain for row in donors if (gain := crack_gain(_read(data, row).pixels)) is not None]
    for index in range(settings.rendered):
        if index % 2 and surfaces:
            number = int(rng.integers(len(surfaces)))
            tile, stratum, group = surfaces[number], "rendered/surface", f"surface {number}"
        else:
            row = intact[int(rng.integers(len(intact)))]
            tile, stratum, group = _read(data, row).pixels, "rendered/tile", row.group_id
        if index % 3 == 0:
            tile = draw_hard_negative(tile, rng)
        if gains and rng.random() < 0.5:
            cracked = paste_crack(tile, gains[int(rng.integers(len(gains)))], rng)
        else:
            cracked, _ = draw_crack(tile, rng, TRAINING_CRACKS)
        change = np.abs(cracked.astype(np.int16) - tile).max(axis=2) >= _LEAST_CHANGE
        if change.any():
            yield CellTile(cracked, mask_cells(change), True, RENDERED, stratum, group)
