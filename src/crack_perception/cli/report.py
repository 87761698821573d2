# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception report``: documents, tables, GIS and CAD files of a crack map."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crack_perception.report.contents import Survey
    from crack_perception.report.georeference import Georeference

HELP = "write the deliverables of a crack map: PDF, HTML, tables, GIS and CAD files (optional extra `report`)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "map", type=Path, metavar="MAP", help="SQLite file of crack_mapper, for example crack_map.sqlite"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument(
        "--formats", metavar="LIST", help="comma-separated, for example pdf,gpkg (default: all that are possible)"
    )
    parser.add_argument("--title", default="Crack survey", help="title of the documents (default: %(default)s)")
    parser.add_argument("--owner", default="", help="owner of the structure, for the documents")
    parser.add_argument("--preset", default="gb50204", help="severity classification (default: %(default)s)")
    parser.add_argument("--map-frame", default="map", help="name of the map's frame (default: %(default)s)")
    parser.add_argument(
        "--template", type=Path, metavar="DIR", help="folder with a report.typ for the PDF in place of the shipped one"
    )
    parser.add_argument("--fonts", type=Path, metavar="DIR", help="folder with further fonts for the PDF")
    parser.add_argument(
        "--photographed",
        type=int,
        default=150,
        metavar="N",
        help="cracks that PDF and HTML show with photographs, the most urgent first (default: %(default)s)",
    )
    place = parser.add_argument_group(
        "coordinates",
        "default: the place that map-photos has written beside the map, else metres of the map frame",
    )
    place.add_argument("--epsg", type=int, metavar="CODE", help="projected coordinate system, for example 25832")
    place.add_argument(
        "--origin", metavar="E,N,H", help="easting, northing and height of the map's origin in that system"
    )
    place.add_argument(
        "--origin-wgs84", metavar="LAT,LON,ALT", help="latitude and longitude [deg] and ellipsoidal height [m] of it"
    )
    place.add_argument(
        "--heading",
        type=float,
        metavar="DEG",
        help="direction of the map's x axis, clockwise from grid north (--origin) or true north (--origin-wgs84) "
        "(default: 90, x to the east)",
    )
    place.add_argument(
        "--grid-scale",
        type=float,
        default=1.0,
        metavar="K",
        help="length in the projected system of one metre on the structure (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the files and print their paths."""
    from crack_perception.cli.main import EXIT_DONE
    from crack_perception.recognition.severity import SeverityScale
    from crack_perception.report.contents import Notes, read_survey
    from crack_perception.report.document.options import DocumentOptions
    from crack_perception.report.writing import chosen_formats, write_report

    scale = SeverityScale.of_preset(arguments.preset)
    georeference = _georeference(arguments)
    formats = chosen_formats(arguments.formats, georeference)
    survey = read_survey(
        arguments.map, scale, Notes(arguments.title, arguments.owner, arguments.map_frame, arguments.heading)
    )
    left_out = (
        f", {survey.rejected} rejected one{'s' if survey.rejected > 1 else ''} left out" if survey.rejected else ""
    )
    print(f"{len(survey.cracks)} crack{'' if len(survey.cracks) == 1 else 's'}{left_out}", flush=True)
    if "pdf" in formats:
        _warn_of_missing_letters(survey, arguments.fonts)
    options = DocumentOptions(
        template=arguments.template, fonts=arguments.fonts, photographed_cracks=max(0, arguments.photographed)
    )

    def show(name: str, path: Path) -> None:
        print(f"{name:<11} {path}", flush=True)

    write_report(arguments.out, survey, georeference, formats, options, show)
    return EXIT_DONE


def _warn_of_missing_letters(survey: Survey, fonts: Path | None) -> None:
    from crack_perception.cli.common import print_progress
    from crack_perception.report.document.pdf import missing_letters

    comments = [comment for crack in survey.cracks for comment in crack.review.comments]
    texts = [survey.notes.title, survey.notes.owner, *(crack.name for crack in survey.cracks)]
    texts += [f"{comment.author} {comment.value['text']}" for comment in comments]
    letters = missing_letters("".join(texts), fonts)
    if letters:
        print_progress(
            f"warning: no font on this machine has {' '.join(letters[:20])}, which the PDF shows as boxes. "
            "Install a font that has them (for example Noto Sans CJK), or give its folder with --fonts"
        )


def _georeference(arguments: argparse.Namespace) -> Georeference:
    """The place of the map given by the arguments.

    Raises:
        UserError: They contradict each other, or are no place.
    """
    from crack_perception.cli.common import require_packages
    from crack_perception.errors import UsageError
    from crack_perception.mapping.export.geographic import GeographicOrigin, origin_path, read_origin
    from crack_perception.report.georeference import GeographicFrame, GridOrigin, MapFrame, ProjectedFrame

    if arguments.epsg is not None:
        require_packages("pyproj", extra="report")
    heading = 90.0 if arguments.heading is None else arguments.heading
    if arguments.origin is not None and arguments.origin_wgs84 is not None:
        raise UsageError("--origin and --origin-wgs84 are two origins", "Give one of them")
    if arguments.origin is not None:
        if arguments.epsg is None:
            raise UsageError("--origin has no coordinate system", "Give its EPSG code with --epsg")
        return ProjectedFrame(
            arguments.epsg, GridOrigin(*_three(arguments.origin, "--origin"), heading, arguments.grid_scale)
        )
    if arguments.origin_wgs84 is not None:
        if arguments.grid_scale != 1.0:
            raise UsageError("--grid-scale is for --origin; with --origin-wgs84 the scale follows from the projection")
        return GeographicFrame(
            GeographicOrigin(*_three(arguments.origin_wgs84, "--origin-wgs84"), heading), arguments.epsg
        )
    # map-photos writes where the positions of its photographs place the map.
    stored = read_origin(arguments.map)
    if stored is not None:
        if arguments.heading is not None or arguments.grid_scale != 1.0:
            raise UsageError(
                f"--heading and --grid-scale need an origin: {origin_path(arguments.map)} has its own heading",
                "Give --origin-wgs84 or --origin as well",
            )
        arguments.heading = stored.x_heading_deg
        return GeographicFrame(stored, arguments.epsg)
    if arguments.epsg is not None:
        raise UsageError(
            f"--epsg {arguments.epsg} has no origin",
            "Give --origin E,N,H in that system, or --origin-wgs84 LAT,LON,ALT",
        )
    return MapFrame()


def _three(text: str, option: str) -> tuple[float, float, float]:
    from crack_perception.errors import UsageError

    try:
        first, second, third = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(
            f"{option} {text} is not three numbers", f"For example {option}=691000,5335000,512.3"
        ) from error
    return first, second, third
