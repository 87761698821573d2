# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Wall of a simulated flight: texture, scale, place in the map, and labels."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crack_perception.errors import UserError
from crack_perception.simulation.flight.place import FRONT, Place
from crack_perception.simulation.flight.truth import TruthCell, TruthSurface
from crack_perception.simulation.wall.concrete import concrete_texture
from crack_perception.vision.images.files import read_picture

LABEL_TILE_PX = 256


@dataclass(frozen=True, eq=False)
class Wall:
    """``texture`` (H, W, 3) uint8 BGR at ``mm_per_px``; ``labels`` (rows, columns) bool of 256-px tiles, or None."""

    texture: NDArray[np.uint8]
    mm_per_px: float
    source: str | None
    labels: NDArray[np.bool_] | None
    place: Place = FRONT

    @property
    def size_m(self) -> NDArray[np.float64]:
        """Width and height (2,) in metres."""
        height, width = self.texture.shape[:2]
        return np.array([width, height]) * self.mm_per_px / 1000

    @property
    def surface(self) -> TruthSurface:
        """Surface of the wall in the map."""
        place, size_m = self.place, self.size_m
        return TruthSurface(
            origin_m=place.lower_left_m - size_m[1] * place.v_axis,
            u_axis=place.u_axis,
            v_axis=place.v_axis,
            size_m=size_m,
            normal=-place.into,
            texture=self.source,
            texture_mm_per_px=self.mm_per_px,
        )

    @property
    def cells(self) -> tuple[TruthCell, ...]:
        """The labelled tiles as squares in the map."""
        if self.labels is None:
            return ()
        side_m = LABEL_TILE_PX * self.mm_per_px / 1000
        square = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])
        return tuple(
            TruthCell(self.surface.to_map((square + [column, row]) * side_m), bool(cracked))
            for (row, column), cracked in np.ndenumerate(self.labels)
        )


WallMaker = Callable[[np.random.Generator, NDArray[np.float64], float, Place], Wall]
"""Makes a wall of a size (2,) [m], a scale [mm/px], and a place."""


def concrete_wall(
    rng: np.random.Generator, size_m: NDArray[np.float64], mm_per_px: float, place: Place = FRONT
) -> Wall:
    """Generate a procedural wall without cracks, at least ``size_m`` (2,) wide and high."""
    width, height = np.ceil(size_m * 1000 / mm_per_px).astype(int)
    return Wall(concrete_texture(rng, (int(height), int(width)), mm_per_px), mm_per_px, None, None, place)


def photograph_wall(path: Path, mm_per_px: float, labels: Path | None) -> Wall:
    """Load a photograph as wall.

    Raises:
        UserError: The picture or the labels cannot be read, or do not fit each other.
    """
    bgr = np.ascontiguousarray(read_picture(path))
    return Wall(bgr, mm_per_px, str(path), None if labels is None else _read_labels(labels, bgr.shape[:2]))


def _read_labels(path: Path, texture_shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Read rows of 0 and 1, one per whole 256-px tile of the picture."""
    rows, columns = (length // LABEL_TILE_PX for length in texture_shape)
    remedy = f"Give a CSV of {rows} rows of {columns} numbers 0 or 1, one per {LABEL_TILE_PX}-px tile"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            table = [[field.strip() for field in row] for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: the labels cannot be read ({error})", remedy) from None
    if any(field not in ("0", "1") for row in table for field in row):
        raise UserError(f"{path}: a label is neither 0 nor 1", remedy)
    if len(table) != rows or any(len(row) != columns for row in table):
        raise UserError(f"{path}: the labels do not fit the texture of {rows} x {columns} tiles", remedy)
    return np.array(table) == "1"
