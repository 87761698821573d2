# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tiles of sources that a model was not trained on, for a refit of its head: original tiles, views, rendered cracks.

Pictures larger than a tile are cut on a grid. Cracks are rendered on pictures of intact surfaces at several scales,
each beside a view of the same tile without a crack, so that neither the surface nor the rendering of the view tells
the classes apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.training.data.augmentation import augment
from crack_perception.training.data.examples import TRAINING_CRACKS
from crack_perception.training.data.manifest import LABELS, Row, is_surface_picture
from crack_perception.training.data.rows import TILE_PX
from crack_perception.training.data.synthesis import draw_crack
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, cut_tiles, pad_to_tile, plan_tiles

_PAIR_SCALES = (1.0, 0.6, 0.35)
_PAIR_SCALE_LIMITS = (0.5, 1.5)
_VIEWS, _CRACKED, _INTACT = 1, 2, 3


@dataclass(frozen=True)
class AddedTiles:
    """Tiles with labels, photographs and strata.

    Attributes:
        pixels: ``(T, T, 3)`` uint8 BGR each.
        labels: ``(N,)`` 1 = crack.
        groups: ``(N,)`` photographs.
        strata: ``(N,)`` source and surface.
    """

    pixels: Sequence[Image]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    strata: npt.NDArray[np.str_]

    def view(self, index: int, seed: int) -> Image:
        """Make an augmented view; the number of a view is its index divided by the number of tiles."""
        number, tile = divmod(index, len(self.pixels))
        return augment(self.pixels[tile], np.random.default_rng([seed, _VIEWS, tile, number]))[0]

    def cracked(self, index: int, seed: int) -> Image:
        """Render a crack on a tile and augment it; indices as for :meth:`view`."""
        number, tile = divmod(index, len(self.pixels))
        rng = np.random.default_rng([seed, _CRACKED, tile, number])
        cracked, _ = draw_crack(np.ascontiguousarray(self.pixels[tile]), rng, TRAINING_CRACKS)
        return augment(cracked, rng, _PAIR_SCALE_LIMITS)[0]

    def intact(self, index: int, seed: int) -> Image:
        """Augment a tile like :meth:`cracked`, without a crack."""
        number, tile = divmod(index, len(self.pixels))
        rng = np.random.default_rng([seed, _INTACT, tile, number])
        return augment(np.ascontiguousarray(self.pixels[tile]), rng, _PAIR_SCALE_LIMITS)[0]


def load_added_tiles(rows: Sequence[Row], data: Path) -> AddedTiles:
    """Decode rows; larger pictures give several tiles at native resolution.

    Raises:
        UserError: A picture cannot be read.
    """
    return _tiles([(row, read_picture(data / row.path)) for row in rows])


def load_surface_tiles(rows: Sequence[Row], data: Path) -> AddedTiles:
    """Decode the pictures of intact building materials among the rows, reduced to several scales, and cut them.

    Raises:
        UserError: A picture cannot be read.
    """
    pictures: list[tuple[Row, Image]] = []
    for row in rows:
        if is_surface_picture(row):
            picture = read_picture(data / row.path)
            pictures += [(row, part) for part in (_reduced(picture, scale) for scale in _PAIR_SCALES)]
    return _tiles([(row, picture) for row, picture in pictures if min(picture.shape[:2]) >= TILE_PX // 2])


def _reduced(picture: Image, scale: float) -> Image:
    if scale == 1.0:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _tiles(pictures: Sequence[tuple[Row, Image]]) -> AddedTiles:
    pixels: list[Image] = []
    facts: list[tuple[int, str, str]] = []
    for row, picture in pictures:
        height, width = picture.shape[:2]
        if max(height, width) <= TILE_PX:
            cut = [pad_to_tile(picture, TILE_PX)]
        else:
            cut = list(cut_tiles(picture, plan_tiles(width, height, TILE_PX)))
        pixels += cut
        facts += [(LABELS[row.label], row.group_id, row.stratum)] * len(cut)
    labels, groups, strata = zip(*facts, strict=True) if facts else ((), (), ())
    return AddedTiles(pixels, np.array(labels, np.int64), np.array(groups, np.str_), np.array(strata, np.str_))
