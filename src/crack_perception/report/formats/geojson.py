# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""GeoJSON (RFC 7946) of a survey's cracks with the attributes of all tables.

With a place on the earth the coordinates are longitude, latitude (WGS 84) and height; without one they are metres of
the map frame, which the collection's member ``crack_perception`` says.
"""

from __future__ import annotations

import json
from pathlib import Path

from crack_perception.mapping.export.geojson import MEMBER
from crack_perception.report.attributes import CRACK_COLUMNS, crack_values, plain_values
from crack_perception.report.contents import Survey
from crack_perception.report.georeference import Georeference
from crack_perception.report.whole_file import whole_file

_DEGREE_DIGITS = 9
_METRE_DIGITS = 4


def write_geojson(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Write the file, one line for each crack.

    Raises:
        UserError: The file cannot be written.
    """
    encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        separator = ""
        member: dict[str, object] = {
            "frame": survey.notes.map_frame,
            "units": "m",
            "coordinates": georeference.statement,
        }
        for crack in sorted(survey.cracks, key=lambda crack: crack.id):
            positions = georeference.geographic(crack.crack.line_m)
            if positions is None:
                rounded = crack.crack.line_m.round(_METRE_DIGITS).tolist()
            else:
                member["units"] = "deg"
                rounded = [
                    [round(longitude, _DEGREE_DIGITS), round(latitude, _DEGREE_DIGITS), round(height, _METRE_DIGITS)]
                    for longitude, latitude, height in positions.tolist()
                ]
            if not separator:
                file.write(_head(encode(member)))
            feature = {
                "type": "Feature",
                "id": crack.id,
                "geometry": {"type": "LineString", "coordinates": rounded},
                "properties": plain_values(CRACK_COLUMNS, crack_values(crack, survey)),
            }
            file.write(f"{separator}{encode(feature)}")
            separator = ",\n"
        if not separator:
            file.write(_head(encode(member)))
        file.write("\n]}\n")


def _head(member: str) -> str:
    return f'{{"type": "FeatureCollection", "{MEMBER}": {member}, "features": [\n'
