"""The files that a map is saved as, for people and for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.mapping.export.crack_report import iso_time
from crack_perception.mapping.export.csv_table import write_map_csv
from crack_perception.mapping.export.geojson import write_map_geojson
from crack_perception.mapping.export.plan.facade_plan import draw_plan
from crack_perception.mapping.export.plan.sheet import PlanNotes
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.atomic_file import remove_leftovers
from crack_perception.ros.mapper_parameters import MapperSettings
from crack_perception.vision.annotate import severity_colour

NAME = "crack_map"
_NAMES = {kind: f"{NAME}{kind}" for kind in (".geojson", ".csv", "_wgs84.geojson", ".svg", ".png")}


def remove_unfinished_exports(folder: Path) -> None:
    """Remove what mappers that were ended while they wrote have left in a folder."""
    for name in _NAMES.values():
        remove_leftovers(folder / name)


def write_exports(
    cracks: Sequence[MappedCrack], seen_areas_m: Sequence[npt.NDArray[np.float64]], settings: MapperSettings
) -> list[Path]:
    """Write all files into the output folder, each whole or not at all; their paths.

    Args:
        seen_areas_m: Polygons (M, 3) of what images have shown, for the plan.

    Raises:
        UserError: There is no output folder, or a file cannot be written.
    """
    folder = settings.output_folder
    if folder is None:
        raise UserError("there is no folder to save into", "Set output_folder or database")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})", "Set output_folder to another one") from error
    frame, scale = settings.map_frame, settings.severity
    files = {kind: folder / name for kind, name in _NAMES.items()}
    paths = [files[".geojson"], files[".csv"]]
    write_map_geojson(paths[0], cracks, frame, scale)
    write_map_csv(paths[1], cracks, scale)
    if settings.geo_origin is not None:
        paths.append(files["_wgs84.geojson"])
        write_map_geojson(paths[-1], cracks, frame, scale, settings.geo_origin)
    notes = PlanNotes(
        title=settings.plan_title,
        date=_date(cracks),
        map_frame=frame,
        x_heading_deg=settings.geo_origin.x_heading_deg if settings.geo_origin else None,
    )
    pictures = [files[".svg"], files[".png"]]
    draw_plan(cracks, scale, notes, severity_colour, seen_areas_m).write(*pictures)
    return [*paths, *pictures]


def _date(cracks: Sequence[MappedCrack]) -> str:
    """The day (UTC) on which the newest of the cracks was seen last; today where there are none."""
    newest_ns = max((crack.last_seen_ns for crack in cracks), default=None)
    return f"{datetime.now(timezone.utc):%Y-%m-%d}" if newest_ns is None else iso_time(newest_ns)[:10]
