# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Export files of a map: GeoJSON, CSV and the plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.mapping.export.crack_report import newest_day
from crack_perception.mapping.export.plan.facade_plan import draw_plan
from crack_perception.mapping.export.plan.sheet import PlanNotes
from crack_perception.mapping.export.table_rows import TableRows
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.atomic_file import remove_leftovers
from crack_perception.ros.mapper.parameters import MapperSettings
from crack_perception.vision.annotate import severity_colour

NAME = "crack_map"
_NAMES = {kind: f"{NAME}{kind}" for kind in (".geojson", ".csv", "_wgs84.geojson", ".svg", ".png")}


def remove_unfinished_exports(folder: Path) -> None:
    """Remove incomplete files of mappers that were killed while writing."""
    for name in _NAMES.values():
        remove_leftovers(folder / name)


def write_tables(rows: TableRows, cracks: Sequence[MappedCrack], settings: MapperSettings) -> list[Path]:
    """Write GeoJSON and CSV atomically into the output folder; return their paths.

    Raises:
        UserError: There is no output folder, or a file cannot be written.
    """
    files = {kind: _folder(settings) / name for kind, name in _NAMES.items()}
    return rows.write(cracks, files[".geojson"], files[".csv"], files["_wgs84.geojson"])


def write_plan(
    cracks: Sequence[MappedCrack], inspected_areas_m: Sequence[npt.NDArray[np.float64]], settings: MapperSettings
) -> list[Path]:
    """Draw the plan into the output folder; return the paths of SVG and PNG.

    Args:
        cracks: All cracks of the map.
        inspected_areas_m: Inspected areas of the surface as polygons (M, 3).
        settings: Parameters of the node.

    Raises:
        UserError: There is no output folder, or a file cannot be written.
    """
    folder = _folder(settings)
    notes = PlanNotes(
        title=settings.plan_title,
        date=newest_day(cracks),
        map_frame=settings.map_frame,
        x_heading_deg=settings.geo_origin.x_heading_deg if settings.geo_origin else None,
    )
    pictures = [folder / _NAMES[".svg"], folder / _NAMES[".png"]]
    draw_plan(cracks, settings.severity, notes, severity_colour, inspected_areas_m).write(*pictures)
    return pictures


def _folder(settings: MapperSettings) -> Path:
    """Return the output folder, created if missing."""
    folder = settings.output_folder
    if folder is None:
        raise UserError("there is no folder for the exports", "Set output_folder or database")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be created ({error.strerror})", "Set output_folder to another one"
        ) from error
    return folder
