# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Arguments that place a map on the earth, shared by the verbs that write deliverables."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crack_perception.report.georeference import Georeference


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    place = parser.add_argument_group(
        "coordinates",
        "default: the place that map-photos, survey or crack_mapper (geo_origin) has written beside the map, else "
        "metres of the map frame",
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


def georeference_of(arguments: argparse.Namespace) -> Georeference:
    """The place of the map ``arguments.map`` by the arguments, or by the file beside it; print how it is computed.

    Raises:
        UserError: They contradict each other, or are no place.
    """
    from crack_perception.cli.common import print_progress

    georeference = _georeference_of(arguments)
    if georeference.transformation:
        print_progress(f"transformation: {georeference.transformation}")
    for warning in georeference.warnings:
        print_progress(f"warning: {warning}")
    return georeference


def _georeference_of(arguments: argparse.Namespace) -> Georeference:
    """The place of the map ``arguments.map`` given by the arguments, or by the file beside it.

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
            arguments.epsg, GridOrigin(*three_numbers(arguments.origin, "--origin"), heading, arguments.grid_scale)
        )
    if arguments.origin_wgs84 is not None:
        if arguments.grid_scale != 1.0:
            raise UsageError("--grid-scale is for --origin; with --origin-wgs84 the scale follows from the projection")
        return GeographicFrame(
            GeographicOrigin(*three_numbers(arguments.origin_wgs84, "--origin-wgs84"), heading), arguments.epsg
        )
    # What has made the map writes its place where it knows it.
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


def three_numbers(text: str, option: str, example: str = "691000,5335000,512.3") -> tuple[float, float, float]:
    """Return the three numbers of an option.

    Raises:
        UsageError: It is something else.
    """
    from crack_perception.errors import UsageError

    try:
        first, second, third = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text} is not three numbers", f"For example {option}={example}") from error
    return first, second, third
