# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""KML 2.2 of a survey's cracks for globe viewers: one folder and one style for each severity class.

Heights are above the ground at the map's origin: viewers know neither the height system of a project nor the geoid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from crack_perception.errors import UsageError
from crack_perception.report.attributes import CRACK_COLUMNS, crack_values, plain_values
from crack_perception.report.contents import ReportedCrack, Survey
from crack_perception.report.georeference import Georeference
from crack_perception.report.whole_file import whole_file
from crack_perception.vision.annotate import severity_colour

_NAMESPACE = "http://www.opengis.net/kml/2.2"


def write_kml(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Write the file.

    Raises:
        UserError: The file cannot be written, or the map has no place on the earth.
    """
    if georeference.epsg is None:
        raise UsageError(
            "KML needs the map's place on the earth", "Give --origin-wgs84, or --epsg with --origin, or leave kml out"
        )
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _lines(survey, georeference))


def _lines(survey: Survey, georeference: Georeference) -> Iterator[str]:
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="{_NAMESPACE}"><Document>'
    yield f"<name>{escape(survey.notes.title)}</name>"
    yield f"<description>{escape(georeference.statement)} Heights here count from the map's origin.</description>"
    for index, verdict in enumerate(survey.classes):
        blue, green, red = severity_colour(survey.scale.relative_severity(verdict))
        style = f"<LineStyle><color>ff{blue:02x}{green:02x}{red:02x}</color><width>3</width></LineStyle>"
        yield f'<Style id="severity-{index}">{style}</Style>'
    for index, verdict in enumerate(survey.classes):
        members = [crack for crack in survey.cracks if crack.severity == verdict]
        if members:
            yield f"<Folder><name>{escape(verdict)}</name>"
            for crack in members:
                yield from _placemark(crack, survey, georeference, index)
            yield "</Folder>"
    yield "</Document></kml>"


def _placemark(crack: ReportedCrack, survey: Survey, georeference: Georeference, style: int) -> Iterator[str]:
    positions = georeference.geographic(crack.crack.line_m)
    assert positions is not None
    heights_m = crack.crack.line_m[:, 2].tolist()
    places = " ".join(
        f"{longitude:.9f},{latitude:.9f},{height:.3f}"
        for (longitude, latitude), height in zip(positions[:, :2].tolist(), heights_m, strict=True)
    )
    values = plain_values(CRACK_COLUMNS, crack_values(crack, survey))
    data = "".join(
        f"<Data name={quoteattr(name)}><value>{escape(str(value))}</value></Data>"
        for name, value in values.items()
        if value is not None and name != "name"  # a placemark has a name of its own
    )
    yield f"<Placemark><name>{escape(crack.name or f'crack {crack.id}')}</name><styleUrl>#severity-{style}</styleUrl>"
    yield f"<ExtendedData>{data}</ExtendedData>"
    yield (
        "<LineString><altitudeMode>relativeToGround</altitudeMode>"
        f"<coordinates>{places}</coordinates></LineString></Placemark>"
    )
