# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""GeoPackage, GeoJSON and KML, read by GDAL, which had no part in writing them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crack_perception.errors import UsageError
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.report.contents import Survey
from crack_perception.report.formats.geojson import write_geojson
from crack_perception.report.formats.geopackage import write_geopackage
from crack_perception.report.formats.kml import write_kml
from crack_perception.report.georeference import GeographicFrame, Georeference

pyogrio = pytest.importorskip("pyogrio", reason="GDAL's reader is not installed: run scripts/setup")
shapely = pytest.importorskip("shapely")


def read_layer(path: Path, layer: str | None = None) -> tuple[dict[str, Any], np.ndarray, dict[str, np.ndarray]]:
    """Description, geometries and columns of a layer."""
    meta, _, geometries, fields = pyogrio.raw.read(path, layer=layer)
    return meta, shapely.from_wkb(geometries), dict(zip(meta["fields"], fields, strict=True))


def vertices(line: Any) -> np.ndarray:
    return shapely.get_coordinates(line, include_z=True)


def assert_cracks_are_the_survey(
    survey: Survey, lines: np.ndarray, columns: dict[str, np.ndarray], places: Georeference, atol: float
) -> None:
    by_id = {crack.id: crack for crack in survey.cracks}
    assert sorted(columns["id"].tolist()) == sorted(by_id)
    for index, crack_id in enumerate(columns["id"].tolist()):
        crack = by_id[crack_id]
        np.testing.assert_allclose(vertices(lines[index]), places.coordinates(crack.crack.line_m), rtol=0, atol=atol)
        assert columns["severity"][index] == crack.severity
        assert columns["name"][index] == (crack.name or None)
        assert columns["length_m"][index] == pytest.approx(crack.summary.length_m, abs=1e-3)
        assert columns["mean_width_mm"][index] == pytest.approx(crack.summary.mean_width_mm, abs=1e-3)
    named = columns["id"].tolist().index(1)
    assert columns["name"][named] == 'Pfeiler <1> "Süd" & 桥'
    assert columns["comments"][named].startswith("=Feucht, Жидкий; <script>")


def test_geopackage_is_read_by_gdal_with_all_layers(tmp_path: Path, survey: Survey, utm: Georeference) -> None:
    path = tmp_path / "cracks.gpkg"
    write_geopackage(path, survey, utm)
    assert dict(pyogrio.list_layers(path)) == {
        "cracks": "LineString Z",
        "crack_widths": "Point Z",
        "photographs": "Point Z",
        "inspected_areas": "Polygon Z",
        "coverage": "Polygon Z",
    }
    meta, lines, columns = read_layer(path, "cracks")
    assert meta["crs"] == "EPSG:25832"
    assert_cracks_are_the_survey(survey, lines, columns, utm, atol=1e-9)
    assert columns["first_seen"].dtype.kind == "M"
    assert columns["first_seen"][0] == np.datetime64("2023-11-14T22:13:20.123")


def test_geopackage_widths_stand_on_the_vertices(tmp_path: Path, survey: Survey, utm: Georeference) -> None:
    path = tmp_path / "cracks.gpkg"
    write_geopackage(path, survey, utm)
    _, points, columns = read_layer(path, "crack_widths")
    for crack in survey.cracks:
        own = columns["crack_id"] == crack.id
        np.testing.assert_allclose(columns["width_mm"][own], crack.crack.width_mm, rtol=0, atol=1e-12)
        np.testing.assert_allclose(vertices(points[own]), utm.coordinates(crack.crack.line_m), rtol=0, atol=1e-9)


def test_geopackage_areas_and_photographs_have_their_places(
    tmp_path: Path, survey: Survey, local: Georeference
) -> None:
    path = tmp_path / "cracks.gpkg"
    write_geopackage(path, survey, local)
    meta, areas, columns = read_layer(path, "inspected_areas")
    assert meta["crs"] is None or "undefined" in str(meta["crs"]).lower()
    assert len(areas) == 9
    walls = {"A": 4, "B": 2, "C": 3}
    assert {facet: int((columns["facet"] == facet).sum()) for facet in walls} == walls
    np.testing.assert_array_equal(vertices(areas[0])[:4], survey.inspected_areas_m[0])
    _, points, columns = read_layer(path, "photographs")
    positions = {photograph.file: photograph.position_m for _, photograph in survey.photographs()}
    assert sorted(columns["file"].tolist()) == sorted(positions)
    for point, name in zip(points, columns["file"], strict=True):
        np.testing.assert_array_equal(vertices(point)[0], positions[name])


def test_geopackage_of_an_empty_map_is_read_by_gdal(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    from dataclasses import replace

    path = tmp_path / "cracks.gpkg"
    write_geopackage(path, replace(survey, cracks=(), facets={}, inspected_areas_m=(), coverage=()), local)
    assert [pyogrio.read_info(path, layer=name)["features"] for name, _ in pyogrio.list_layers(path)] == [0] * 5


def test_geojson_on_earth_has_longitude_latitude_height(tmp_path: Path, survey: Survey, utm: Georeference) -> None:
    path = tmp_path / "cracks.geojson"
    write_geojson(path, survey, utm)
    _, lines, columns = read_layer(path)
    by_id = {crack.id: crack for crack in survey.cracks}
    for line, crack_id in zip(lines, columns["id"].tolist(), strict=True):
        expected = utm.geographic(by_id[crack_id].crack.line_m)
        np.testing.assert_allclose(vertices(line), expected, rtol=0, atol=1e-4)
        np.testing.assert_allclose(vertices(line)[:, :2], expected[:, :2], rtol=0, atol=1e-9)


def test_geojson_without_a_place_has_map_metres_and_says_so(
    tmp_path: Path, survey: Survey, local: Georeference
) -> None:
    path = tmp_path / "cracks.geojson"
    write_geojson(path, survey, local)
    _, lines, columns = read_layer(path)
    assert_cracks_are_the_survey(survey, lines, columns, local, atol=5.1e-5)
    assert json.loads(path.read_text(encoding="utf-8"))["crack_perception"]["units"] == "m"


def test_geojson_of_an_empty_map_is_a_collection(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    from dataclasses import replace

    path = tmp_path / "cracks.geojson"
    write_geojson(path, replace(survey, cracks=()), local)
    assert json.loads(path.read_text(encoding="utf-8"))["features"] == []


def test_kml_has_a_layer_for_each_severity_and_heights_above_the_origin(tmp_path: Path, survey: Survey) -> None:
    places = GeographicFrame(GeographicOrigin(48.14, 11.57, 560.0))
    path = tmp_path / "cracks.kml"
    write_kml(path, survey, places)
    by_id = {crack.id: crack for crack in survey.cracks}
    found = []
    for layer, _ in pyogrio.list_layers(path):
        _, lines, columns = read_layer(path, layer)
        for index, line in enumerate(lines):
            crack = by_id[int(columns["id"][index])]
            expected = places.geographic(crack.crack.line_m)
            np.testing.assert_allclose(vertices(line)[:, :2], expected[:, :2], rtol=0, atol=1e-9)
            np.testing.assert_allclose(vertices(line)[:, 2], crack.crack.line_m[:, 2], rtol=0, atol=6e-4)
            assert layer == crack.severity
            assert columns["Name"][index] == (crack.name or f"crack {crack.id}")
            assert float(columns["length_m"][index]) == pytest.approx(crack.summary.length_m, abs=1e-3)
            found.append(crack.id)
    assert sorted(found) == sorted(by_id)


def test_kml_without_a_place_is_refused(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    with pytest.raises(UsageError, match="--origin-wgs84"):
        write_kml(tmp_path / "cracks.kml", survey, local)
    assert not list(tmp_path.iterdir())
