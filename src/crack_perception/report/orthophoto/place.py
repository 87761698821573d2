# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Place of an orthophoto: on its facet, and on the earth where the facet can be drawn on a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.report.georeference import Georeference
from crack_perception.report.orthophoto.raster import Raster
from crack_perception.report.orthophoto.surface import FacetSurface

Array = npt.NDArray[np.float64]

_WGS84 = 4326


@dataclass(frozen=True, eq=False)
class RasterPlace:
    """Coordinates of a raster.

    Attributes:
        affine: (2, 3) coordinates of a place in pixels (x, y, 1); (0, 0) is the upper left corner of the first one.
        name: Of the coordinates.
        epsg: Code of their system; None for metres on the facet.
    """

    affine: Array
    name: str
    epsg: int | None = None

    @property
    def is_geographic(self) -> bool:
        """Return whether the coordinates are longitude and latitude."""
        return self.epsg == _WGS84

    def scaled(self, factor: int) -> RasterPlace:
        """The place of a raster whose pixels are larger by a factor."""
        return RasterPlace(self.affine * [factor, factor, 1.0], self.name, self.epsg)

    def world_file(self) -> str:
        """Content of a world file (``.pgw``): it counts from the middle of the first pixel."""
        (a, b, c), (d, e, f) = self.affine.tolist()
        numbers = (a, d, b, e, c + (a + b) / 2, f + (d + e) / 2)
        return "".join(f"{number:.12g}\n" for number in numbers)

    def moved(self, x_px: int, y_px: int) -> RasterPlace:
        """The place of the part of the raster that begins at a pixel."""
        affine = self.affine.copy()
        affine[:, 2] += affine[:, :2] @ [x_px, y_px]
        return RasterPlace(affine, self.name, self.epsg)


def facet_place(raster: Raster, letter: str) -> RasterPlace:
    """Metres on the facet: u to the right, v up."""
    step_m = raster.m_per_px
    affine = np.array([[step_m, 0.0, raster.left_m], [0.0, -step_m, raster.top_m]])
    return RasterPlace(affine, f"facet {letter}: u and v in metres")


def earth_place(
    raster: Raster, letter: str, facet: Facet, surface: FacetSurface, georeference: Georeference
) -> RasterPlace:
    """Coordinates on the earth for a floor or a ceiling; metres on the facet for a wall, which no map shows."""
    if georeference.epsg is None or facet.is_wall:
        return facet_place(raster, letter)
    # Linear over the size of a structure: fitted to the corners and the middle.
    x_px, y_px = (
        np.array([0, raster.width_px, 0, raster.width_px, raster.width_px / 2]),
        np.array([0, 0, raster.height_px, raster.height_px, raster.height_px / 2]),
    )
    points_m = surface.to_map(raster.flat_m(x_px - 0.5, y_px - 0.5))
    coordinates = georeference.coordinates(points_m)[:, :2]
    middle = coordinates.mean(axis=0)
    predictors = np.column_stack([x_px, y_px, np.ones(len(x_px))])
    affine = np.linalg.lstsq(predictors, coordinates - middle, rcond=None)[0].T
    affine[:, 2] += middle
    return RasterPlace(affine, georeference.name, georeference.epsg)
