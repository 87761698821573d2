# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Index of the orthophotos of a map, ``orthophoto.json``: what report and review page read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.mapping.export.plan.facets import Facet

Array = npt.NDArray[np.float64]

FORMAT = "crack_perception/orthophoto"
VERSION = 1
INDEX = "orthophoto.json"
TILES = "tiles"

_SAME_DIRECTION = math.cos(math.radians(10))
_SAME_PLANE_M = 0.5


def orthophoto_folder(map_path: Path) -> Path:
    """Folder of a map's orthophotos: ``NAME.orthophoto`` beside ``NAME.sqlite``, or beside any other ``NAME``."""
    return map_path.with_name(f"{map_path.name.removesuffix('.sqlite')}.orthophoto")


@dataclass(frozen=True, eq=False)
class FacetOrthophoto:
    """The small orthophoto of a facet.

    Attributes:
        facet: Letter of the facet when it was made.
        overview: File of the small picture, PNG with opacity.
        corners_m: (3, 3) map points of its upper left, upper right and lower left corner.
        normal: (3,) unit normal of the surface, towards the camera.
        affine_m: (3, 3) columns: map point of the corner of the orthophoto in full, and the steps of a pixel to the
            right and downwards.
        tile_px: Side of its tiles.
        tiles: Row, column and file of each.
        mm_per_px: Pixel size of the orthophoto in full.
        gsd_mm_per_px: Finest and coarsest ground sampling distance of its images.
        covered_m2: Area that images show.
        first_ns, last_ns: Stamps of the first and the last image.
    """

    facet: str
    overview: Path
    corners_m: Array
    normal: Array
    affine_m: Array
    tile_px: int
    tiles: tuple[tuple[int, int, Path], ...]
    mm_per_px: float
    gsd_mm_per_px: tuple[float, float]
    covered_m2: float
    first_ns: int
    last_ns: int

    def is_of(self, facet: Facet) -> bool:
        """Return whether it shows a facet of the map; the letter of the facet may have changed since it was made."""
        if self.normal @ facet.normal < _SAME_DIRECTION:
            return False
        middle_m = 0.5 * (self.corners_m[1] + self.corners_m[2])
        if facet.distance_m(middle_m[None])[0] > _SAME_PLANE_M:
            return False
        low, high = facet.bounds_m()
        corners = facet.flat(self.corners_m)
        return bool((corners.min(axis=0) < high).all() and (corners.max(axis=0) > low).all())


def read_index(folder: Path) -> list[FacetOrthophoto]:
    """The orthophotos in a folder; none where it has no index.

    Raises:
        UserError: The index is damaged or of another version.
    """
    path = folder / INDEX
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({error})", "Make the orthophoto again, or remove the folder"
        ) from error
    try:
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise UserError(f"{path}: is of another version", "Make the orthophoto again, or remove the folder")
        return [_facet(folder, facet) for facet in document["facets"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is damaged ({error})", "Make the orthophoto again, or remove the folder") from error


def _facet(folder: Path, plain: Mapping[str, Any]) -> FacetOrthophoto:
    overview = _inside(folder, str(plain["overview"]["file"]), "")
    corners_m, normal = np.array(plain["overview"]["corners_m"], float), np.array(plain["normal"], float)
    if corners_m.shape != (3, 3) or normal.shape != (3,) or not np.isfinite(corners_m).all():
        raise ValueError("corners_m or normal")
    origin_m, u_m, v_m = (np.array(plain[name], float) for name in ("origin_m", "u_m", "v_m"))
    step_m = float(plain["mm_per_px"]) / 1000
    corner_m = origin_m + float(plain["left_m"]) * u_m + float(plain["top_m"]) * v_m
    affine_m = np.column_stack([corner_m, step_m * u_m, -step_m * v_m])
    if affine_m.shape != (3, 3) or not np.isfinite(affine_m).all():
        raise ValueError("origin_m, u_m or v_m")
    tiles = tuple(
        (int(tile["row"]), int(tile["column"]), _inside(folder, str(tile["file"]), TILES)) for tile in plain["tiles"]
    )
    finest, coarsest = map(float, plain["gsd_mm_per_px"])
    stamps = [int(frame["stamp_ns"]) for frame in plain["frames"]]
    return FacetOrthophoto(
        facet=str(plain["facet"]),
        overview=overview,
        corners_m=corners_m,
        normal=normal,
        affine_m=affine_m,
        tile_px=int(plain["tile_px"]),
        tiles=tiles,
        mm_per_px=float(plain["mm_per_px"]),
        gsd_mm_per_px=(finest, coarsest),
        covered_m2=float(plain["covered_m2"]),
        first_ns=min(stamps),
        last_ns=max(stamps),
    )


def _inside(folder: Path, file: str, below: str) -> Path:
    """Path of a file that the index names, in the folder or one below it.

    Raises:
        ValueError: It lies elsewhere.
    """
    name = Path(file).name
    if Path(file) != Path(below) / name:
        raise ValueError(f"the file {file} lies elsewhere")
    return folder / below / name
