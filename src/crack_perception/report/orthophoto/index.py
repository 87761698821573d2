# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Index of the orthophotos of a map, ``orthophoto.json``: what report and review page read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError

Array = npt.NDArray[np.float64]

FORMAT = "crack_perception/orthophoto"
VERSION = 1
INDEX = "orthophoto.json"


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
        mm_per_px: Pixel size of the orthophoto in full.
        gsd_mm_per_px: Finest and coarsest ground sampling distance of its images.
        covered_m2: Area that images show.
        first_ns, last_ns: Stamps of the first and the last image.
    """

    facet: str
    overview: Path
    corners_m: Array
    normal: Array
    mm_per_px: float
    gsd_mm_per_px: tuple[float, float]
    covered_m2: float
    first_ns: int
    last_ns: int


def read_index(folder: Path) -> list[FacetOrthophoto]:
    """The orthophotos in a folder; none where it has no index.

    Raises:
        UserError: The index is damaged or of another version.
    """
    path = folder / INDEX
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
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
    overview = str(plain["overview"]["file"])
    if Path(overview).name != overview:
        raise ValueError(f"the file {overview} lies elsewhere")
    corners_m, normal = np.array(plain["overview"]["corners_m"], float), np.array(plain["normal"], float)
    if corners_m.shape != (3, 3) or normal.shape != (3,) or not np.isfinite(corners_m).all():
        raise ValueError("corners_m or normal")
    finest, coarsest = map(float, plain["gsd_mm_per_px"])
    stamps = [int(frame["stamp_ns"]) for frame in plain["frames"]]
    return FacetOrthophoto(
        facet=str(plain["facet"]),
        overview=folder / overview,
        corners_m=corners_m,
        normal=normal,
        mm_per_px=float(plain["mm_per_px"]),
        gsd_mm_per_px=(finest, coarsest),
        covered_m2=float(plain["covered_m2"]),
        first_ns=min(stamps),
        last_ns=max(stamps),
    )
