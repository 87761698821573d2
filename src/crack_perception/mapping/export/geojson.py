# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The crack map as GeoJSON (RFC 7946): one line string for each crack, with all its fields.

Without a geographic origin the coordinates are metres in the map frame, which the member ``crack_perception`` of the
collection says: GIS programs show such a file somewhere near the equator, but every number in it can be used, and
``load_map_geojson`` reads the map back from it exactly, but for what only the fusion needs. With an origin the
coordinates are longitude, latitude and height as the RFC wants them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.mapping.export.crack_report import CrackReport, crack_reports
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.atomic_file import write_atomically
from crack_perception.mapping.storage.crack_fields import crack_of, plain_required
from crack_perception.recognition.severity import SeverityScale

MEMBER = "crack_perception"
"""Foreign member of the collection that describes its coordinates."""

VERSION = 1

# A tenth of a millimetre on the ground.
_DEGREE_DIGITS = 9
_HEIGHT_DIGITS = 4

_ENCODE = json.JSONEncoder(allow_nan=False).encode


def map_geojson(
    cracks: Iterable[MappedCrack],
    frame: str,
    scale: SeverityScale,
    origin: GeographicOrigin | None = None,
    reports: Sequence[CrackReport] | None = None,
) -> dict[str, Any]:
    """The map as a FeatureCollection, ready for JSON.

    Args:
        frame: Name of the map frame.
        scale: Severity classes.
        origin: Place of the map on the earth; without it the coordinates stay metres of the map frame.
        reports: Summaries of the cracks by the same scale, where they are known already.
    """
    return {**_head(frame, scale, origin), "features": list(_features(list(cracks), scale, origin, reports))}


def _head(frame: str, scale: SeverityScale, origin: GeographicOrigin | None) -> dict[str, Any]:
    """The collection without its features."""
    member = {"version": VERSION, "frame": frame, "units": "m"}
    if origin is not None:
        member |= {"units": "deg", "datum": "WGS 84", "origin": vars(origin)}
    member["severity_edges_mm"] = list(scale.edges_mm)
    return {"type": "FeatureCollection", MEMBER: member}


def write_map_geojson(
    path: Path,
    cracks: Iterable[MappedCrack],
    frame: str,
    scale: SeverityScale,
    origin: GeographicOrigin | None = None,
    reports: Sequence[CrackReport] | None = None,
) -> None:
    """Write ``map_geojson`` to a file, one line a crack, atomically.

    Raises:
        UserError: The file cannot be written.
    """
    write_feature_lines(path, feature_lines(list(cracks), scale, origin, reports), frame, scale, origin)


def feature_lines(
    cracks: Sequence[MappedCrack],
    scale: SeverityScale,
    origin: GeographicOrigin | None = None,
    reports: Sequence[CrackReport] | None = None,
) -> list[str]:
    """Text of the feature of each crack.

    Args:
        reports: Summaries of the cracks by the same scale, where they are known already.
    """
    return list(map(_ENCODE, _features(cracks, scale, origin, reports)))


def write_feature_lines(
    path: Path, lines: Iterable[str], frame: str, scale: SeverityScale, origin: GeographicOrigin | None = None
) -> None:
    """Write the file of features that are already text, whole or not at all.

    Raises:
        UserError: The file cannot be written.
    """
    head = _ENCODE(_head(frame, scale, origin)).removesuffix("}")
    features = ",\n".join(lines)
    write_atomically(path, f'{head}, "features": [\n{features}\n]}}\n'.encode())


def load_map_geojson(path: Path) -> tuple[MappedCrack, ...]:
    """Read the cracks of a file that ``write_map_geojson`` wrote in map metres, without loss.

    Raises:
        UserError: No such file, not such a file, or one in degrees.
    """
    try:
        collection = parse_json(path.read_text(encoding="utf-8"))
        member = collection[MEMBER]
        units, version = member["units"], member["version"]
        features = list(collection["features"])
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", "Check the path") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is not the GeoJSON of a crack map", _SAVE_AGAIN) from error
    if version != VERSION:
        raise UserError(f"{path}: has version {version}, this program reads {VERSION}", _SAVE_AGAIN)
    if units != "m":
        raise UserError(f"{path}: has coordinates in {units}", "Save the map without a geographic origin")
    return tuple(_crack(path, index, feature) for index, feature in enumerate(features))


_SAVE_AGAIN = "Save the map again with crack_mapper"


def _features(
    cracks: Sequence[MappedCrack],
    scale: SeverityScale,
    origin: GeographicOrigin | None,
    reports: Sequence[CrackReport] | None = None,
) -> Iterator[dict[str, Any]]:
    lines_deg = [None] * len(cracks) if origin is None else _lines_deg(cracks, origin)
    reports = crack_reports(cracks, scale) if reports is None else reports
    for crack, report, line_deg in zip(cracks, reports, lines_deg, strict=True):
        exact = plain_required(crack)
        line_m = exact.pop("line_m")
        for_readers = {
            "length_m": report.length_m,
            "mean_width_mm": report.mean_width_mm,
            "mean_width_sigma_mm": report.mean_width_sigma_mm,
            "max_width_mm": report.max_width_mm,
            "severity": report.severity.verdict,
            "severity_probabilities": dict(zip(scale.labels, report.severity.probabilities, strict=False)),
            "position_sigma_m": report.position_sigma_m,
            "first_seen": report.first_seen,
            "last_seen": report.last_seen,
        }
        yield {
            "type": "Feature",
            "id": crack.id,
            "geometry": {"type": "LineString", "coordinates": line_m if line_deg is None else line_deg},
            "properties": {"id": exact.pop("id"), "state": exact.pop("state"), **for_readers, **exact},
        }


def _lines_deg(cracks: Sequence[MappedCrack], origin: GeographicOrigin) -> list[list[list[float]]]:
    """Rounded longitude, latitude [deg] and height [m] of the vertices of each crack."""
    if not cracks:
        return []
    positions = origin.positions(np.concatenate([crack.line_m for crack in cracks])).tolist()
    rounded = iter(
        [round(longitude, _DEGREE_DIGITS), round(latitude, _DEGREE_DIGITS), round(height, _HEIGHT_DIGITS)]
        for longitude, latitude, height in positions
    )
    return [list(islice(rounded, len(crack.line_m))) for crack in cracks]


def _crack(path: Path, index: int, feature: Any) -> MappedCrack:
    try:
        return crack_of({**feature["properties"], "line_m": feature["geometry"]["coordinates"]})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: feature {index} is not a crack of a map ({error})", _SAVE_AGAIN) from error
