"""The files that a map is saved as, for people and for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.mapping.csv_table import write_map_csv
from crack_perception.mapping.geojson import write_map_geojson
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.ros.mapper_parameters import MapperSettings

NAME = "crack_map"


def write_exports(cracks: Sequence[MappedCrack], settings: MapperSettings) -> list[Path]:
    """Write all files into the output folder, each whole or not at all; their paths.

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
    paths = [folder / f"{NAME}.geojson", folder / f"{NAME}.csv"]
    write_map_geojson(paths[0], cracks, frame, scale)
    write_map_csv(paths[1], cracks, scale)
    if settings.geo_origin is not None:
        paths.append(folder / f"{NAME}_wgs84.geojson")
        write_map_geojson(paths[-1], cracks, frame, scale, settings.geo_origin)
    return paths
