# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""GeoJSON (RFC 7946) of a survey's coverage: polygons by the finest crack width that their images resolve."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from crack_perception.mapping.export.geojson import MEMBER
from crack_perception.report.attributes import plain_values
from crack_perception.report.contents import Survey
from crack_perception.report.georeference import Georeference
from crack_perception.report.summary import COVERAGE_COLUMNS, coverage_values
from crack_perception.report.whole_file import whole_file

_DIGITS = (9, 9, 4)


def write_coverage_geojson(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Write the file, one line for each polygon; degrees with a place on the earth, else metres of the map frame.

    Raises:
        UserError: The file cannot be written.
    """
    encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode
    is_on_earth = georeference.geographic(np.zeros((1, 3))) is not None
    member = {
        "frame": survey.notes.map_frame,
        "units": "deg" if is_on_earth else "m",
        "coordinates": georeference.statement,
    }
    features = []
    for area in survey.covered_areas:
        ring_m = np.vstack([area.corners_m, area.corners_m[:1]])
        positions = georeference.geographic(ring_m)
        ring = (ring_m if positions is None else positions).tolist()
        features.append(
            encode(
                {
                    "type": "Feature",
                    "geometry": {
                        "type": "Polygon",
                        "coordinates": [
                            [
                                [round(value, digits) for value, digits in zip(point, _DIGITS, strict=True)]
                                for point in ring
                            ]
                        ],
                    },
                    "properties": plain_values(COVERAGE_COLUMNS, coverage_values(area)),
                }
            )
        )
    head = f'{{"type": "FeatureCollection", "{MEMBER}": {encode(member)}, "features": [\n'
    with whole_file(path) as partial:
        partial.write_text(head + ",\n".join(features) + "\n]}\n", encoding="utf-8")
