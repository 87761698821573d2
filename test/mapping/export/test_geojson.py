# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the GeoJSON file: structure of RFC 7946, exact round trips, errors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from map_cracks import assert_same, random_crack, straight_crack

from crack_perception.errors import UserError
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.mapping.export.geojson import load_map_geojson, map_geojson, write_map_geojson
from crack_perception.recognition.severity import SeverityScale

SCALE = SeverityScale.of_preset("ec2")


def strict_json(path: Path) -> dict:
    """Read without Python's extensions (NaN, Infinity)."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def assert_rfc7946(collection: dict) -> None:
    assert collection["type"] == "FeatureCollection"
    assert "crs" not in collection
    for feature in collection["features"]:
        assert {"type", "id", "geometry", "properties"} == set(feature)
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "LineString"
        positions = feature["geometry"]["coordinates"]
        assert len(positions) >= 2
        assert all(len(position) == 3 and all(isinstance(c, int | float) for c in position) for position in positions)


def test_geojson_round_trip_keeps_every_field(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    cracks = [random_crack(rng, crack_id) for crack_id in range(1, 60)]
    path = tmp_path / "exports" / "map.geojson"
    write_map_geojson(path, cracks, "map", SCALE)
    assert_rfc7946(strict_json(path))
    for found, expected in zip(load_map_geojson(path), cracks, strict=True):
        assert_same(found, expected)
    assert [entry.name for entry in path.parent.iterdir()] == ["map.geojson"]


@pytest.mark.parametrize("origin", [None, GeographicOrigin(48.1, 11.6, 520.0)])
def test_geojson_empty_map_empty_collection(tmp_path: Path, origin: GeographicOrigin | None) -> None:
    write_map_geojson(tmp_path / "map.geojson", [], "map", SCALE, origin)
    collection = strict_json(tmp_path / "map.geojson")
    assert_rfc7946(collection)
    assert collection["features"] == []


def test_geojson_properties_have_report_fields() -> None:
    properties = map_geojson([straight_crack()], "map", SCALE)["features"][0]["properties"]
    assert properties["id"] == 1
    assert properties["state"] == "confirmed"
    assert properties["length_m"] == pytest.approx(2.0)
    assert properties["mean_width_mm"] == pytest.approx(0.5)
    assert properties["max_width_mm"] == pytest.approx(0.6)
    assert properties["severity"] == ">=0.4mm"
    assert list(properties["severity_probabilities"]) == list(SCALE.labels)
    assert sum(properties["severity_probabilities"].values()) == pytest.approx(1.0)
    assert properties["views"] == 7
    assert properties["last_seen"] == "2023-11-14T22:14:20.000000001Z"
    assert properties["position_sigma_m"] == pytest.approx(0.02)
    assert properties["gsd_mm_per_px"] == pytest.approx(0.8)


def test_geojson_without_origin_states_metres() -> None:
    member = map_geojson([], "site_map", SCALE)["crack_perception"]
    assert (member["frame"], member["units"]) == ("site_map", "m")


def test_geojson_with_origin_longitude_and_latitude(tmp_path: Path) -> None:
    path = tmp_path / "map.geojson"
    write_map_geojson(path, [straight_crack()], "map", SCALE, GeographicOrigin(48.1, 11.6, 520.0))
    collection = strict_json(path)
    assert_rfc7946(collection)
    assert collection["crack_perception"]["datum"] == "WGS 84"
    assert collection["crack_perception"]["origin"]["latitude_deg"] == 48.1
    start, _, end = collection["features"][0]["geometry"]["coordinates"]
    assert start == pytest.approx([11.6, 48.1, 521.0], abs=1e-4)
    assert (end[0] - start[0]) * np.radians(1) * 6389988 * np.cos(np.radians(48.1)) == pytest.approx(2.0, abs=2e-3)
    with pytest.raises(UserError, match="coordinates in deg"):
        load_map_geojson(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not the GeoJSON"),
        ('{"type": "FeatureCollection"', "is not the GeoJSON"),
        ('{"type": "FeatureCollection", "features": []}', "is not the GeoJSON"),
        ("[]", "is not the GeoJSON"),
        ('{"crack_perception": {"units": "m", "version": 99}, "features": []}', "has version 99"),
        ('{"crack_perception": {"units": "m", "version": 1}, "features": [{}]}', "feature 0 is not a crack"),
        ('{"crack_perception": {"units": "m", "version": 1}, "features": 7}', "is not the GeoJSON"),
    ],
)
def test_read_geojson_other_content_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "map.geojson"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_map_geojson(path)


def test_read_geojson_invalid_feature_named(tmp_path: Path) -> None:
    collection = map_geojson([straight_crack(1), straight_crack(2)], "map", SCALE)
    collection["features"][1]["geometry"]["coordinates"].pop()
    path = tmp_path / "map.geojson"
    path.write_text(json.dumps(collection), encoding="utf-8")
    with pytest.raises(UserError, match=r"feature 1 .*width_mm"):
        load_map_geojson(path)


def test_read_geojson_missing_file_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere.geojson: cannot be read"):
        load_map_geojson(tmp_path / "nowhere.geojson")


def test_geojson_failed_export_keeps_old_file(tmp_path: Path) -> None:
    path = tmp_path / "map.geojson"
    write_map_geojson(path, [straight_crack()], "map", SCALE)
    before = path.read_bytes()
    blocker = path.with_name(f".{path.name}.partial-{os.getpid()}")
    blocker.mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_map_geojson(path, [], "map", SCALE)
    assert path.read_bytes() == before
