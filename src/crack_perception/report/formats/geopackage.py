# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""OGC GeoPackage 1.3 of a survey: cracks, widths, photographs, inspected areas, coverage, with all attributes.

Written with SQLite alone: the format is an SQLite file with a few tables of its own (OGC 12-128r17).
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.export.crack_report import newest_day
from crack_perception.report.attributes import (
    CHANGE_COLUMNS,
    CRACK_COLUMNS,
    PHOTOGRAPH_COLUMNS,
    WIDTH_COLUMNS,
    Column,
    Value,
    change_values,
    crack_values,
    iso_text,
    photograph_values,
    width_values,
)
from crack_perception.report.contents import Survey
from crack_perception.report.georeference import WGS84_WKT, Georeference
from crack_perception.report.summary import COVERAGE_COLUMNS, coverage_values
from crack_perception.report.whole_file import whole_file

Array = npt.NDArray[np.float64]

_APPLICATION_ID = 0x47504B47  # "GPKG"
_USER_VERSION = 10300
_CARTESIAN = -1
_TYPES = {int: "INTEGER", float: "REAL", str: "TEXT", datetime: "DATETIME"}
# ISO well-known binary of geometries with z.
_POINT, _LINE, _POLYGON = 1001, 1002, 1003
_NAMES = {_POINT: "POINT", _LINE: "LINESTRING", _POLYGON: "POLYGON"}

_SCHEMA = """
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), min_x DOUBLE, min_y DOUBLE,
  max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
  z TINYINT NOT NULL, m TINYINT NOT NULL,
  CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
  CONSTRAINT uk_gc_table_name UNIQUE (table_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
"""


@dataclass(frozen=True)
class _Layer:
    name: str
    description: str
    geometry: int
    columns: tuple[Column, ...]
    features: Iterable[tuple[Array, tuple[Value, ...]]]


def write_geopackage(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Write the file.

    Raises:
        UserError: The file cannot be written.
    """
    with whole_file(path) as partial, closing(sqlite3.connect(partial, isolation_level=None)) as database:
        database.executescript(
            f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_USER_VERSION};"
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; {_SCHEMA}"
        )
        srs_id = _add_systems(database, georeference)
        for layer in _layers(survey, georeference):
            _add_layer(database, layer, srs_id)
        database.execute("COMMIT")


def _add_systems(database: sqlite3.Connection, georeference: Georeference) -> int:
    """Add the systems that every file has, and the survey's; return the id of the latter."""
    rows: list[tuple[str, int, str, int, str, str]] = [
        ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "coordinates of the map frame [m]"),
        ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic coordinates"),
        ("WGS 84 geodetic", 4326, "EPSG", 4326, WGS84_WKT, "longitude and latitude"),
    ]
    epsg = georeference.epsg
    if epsg not in (None, 4326):
        assert epsg is not None
        rows.append((georeference.name, epsg, "EPSG", epsg, georeference.wkt, georeference.statement))
    database.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", rows)
    return _CARTESIAN if epsg is None else epsg


def _layers(survey: Survey, georeference: Georeference) -> Iterator[_Layer]:
    yield _Layer(
        "cracks",
        f"{survey.notes.title}: centrelines, as of {newest_day([crack.crack for crack in survey.cracks])}",
        _LINE,
        CRACK_COLUMNS,
        (
            (georeference.coordinates(crack.crack.line_m), crack_values(crack, survey))
            for crack in sorted(survey.cracks, key=lambda crack: crack.id)
        ),
    )
    yield _Layer(
        "crack_widths",
        "measured widths along the centrelines",
        _POINT,
        WIDTH_COLUMNS,
        (
            (point[None], values)
            for crack in survey.cracks
            for point, values in zip(
                georeference.coordinates(crack.crack.line_m[np.isfinite(crack.crack.width_mm)]),
                width_values(crack),
                strict=True,
            )
        ),
    )
    yield _Layer(
        "photographs",
        f"positions of the camera; the files are in {survey.photograph_folder.name}",
        _POINT,
        PHOTOGRAPH_COLUMNS,
        (
            (georeference.coordinates(photograph.position_m[None]), photograph_values(crack, photograph))
            for crack, photograph in survey.photographs()
            if np.isfinite(photograph.position_m).all()
        ),
    )
    if survey.changes is not None:
        yield _Layer(
            "changes",
            f"changes since the survey of {survey.changes.old_facts.first_seen[:10]}",
            _LINE,
            CHANGE_COLUMNS,
            (
                (georeference.coordinates(line_m), change_values(change))
                for change in survey.changes.result.changes
                for line_m in change.lines_m
            ),
        )
    letters = {area_m.tobytes(): letter for letter, area_m in _areas_by_facet(survey)}
    yield _Layer(
        "inspected_areas",
        "surface that the images have shown; the areas overlap",
        _POLYGON,
        (Column("facet", str),),
        (
            (georeference.coordinates(np.vstack([area_m, area_m[:1]])), (letters.get(area_m.tobytes()),))
            for area_m in survey.inspected_areas_m
            if len(area_m) >= 3
        ),
    )
    yield _Layer(
        "coverage",
        "inspected surface by the finest crack width that its images resolve",
        _POLYGON,
        COVERAGE_COLUMNS,
        (
            (
                georeference.coordinates(np.vstack([area.corners_m, area.corners_m[:1]])),
                coverage_values(area),
            )
            for area in survey.covered_areas
        ),
    )


def _areas_by_facet(survey: Survey) -> Iterator[tuple[str, Array]]:
    for letter, facet in survey.facets.items():
        for patch in facet.patches:
            if patch.crack is None:
                yield letter, patch.points_m


def _add_layer(database: sqlite3.Connection, layer: _Layer, srs_id: int) -> None:
    columns = "".join(f', "{column.name}" {_TYPES[column.kind]}' for column in layer.columns)
    database.execute(
        f'CREATE TABLE "{layer.name}" (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, '
        f"geom {_NAMES[layer.geometry]}{columns})"
    )
    bounds: list[Array] = []

    def rows() -> Iterator[tuple[Value | bytes, ...]]:
        for points, values in layer.features:
            low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
            bounds[:] = [np.minimum(bounds[0], low), np.maximum(bounds[1], high)] if bounds else [low, high]
            cells = (iso_text(value) if isinstance(value, datetime) else value for value in values)
            yield (_blob(points, layer.geometry, srs_id, low, high), *cells)

    marks = ", ".join("?" * (len(layer.columns) + 2))
    database.executemany(f'INSERT INTO "{layer.name}" VALUES ({marks})', ((None, *row) for row in rows()))
    extent = [*bounds[0].tolist(), *bounds[1].tolist()] if bounds else [None] * 4
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, min_x, min_y, max_x, max_y, srs_id)"
        " VALUES (?, 'features', ?, ?, ?, ?, ?, ?, ?)",
        (layer.name, layer.name, layer.description, *extent, srs_id),
    )
    database.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 1, 0)",
        (layer.name, _NAMES[layer.geometry], srs_id),
    )


def _blob(points: Array, geometry: int, srs_id: int, low: Array, high: Array) -> bytes:
    """GeoPackage binary: header with the envelope in the plane (none for a point), then well-known binary."""
    flags = 0x01 if geometry == _POINT else 0x03  # little endian; envelope of x and y
    head = struct.pack("<2sBBi", b"GP", 0, flags, srs_id)
    if geometry != _POINT:
        head += struct.pack("<4d", low[0], high[0], low[1], high[1])
    counts = {_POINT: (), _LINE: (len(points),), _POLYGON: (1, len(points))}[geometry]
    return head + struct.pack(f"<BI{len(counts)}I", 1, geometry, *counts) + points.astype("<f8").tobytes()
