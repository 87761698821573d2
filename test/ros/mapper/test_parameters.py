# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The mapper's table of parameters: consistent with itself, with the map's defaults and with the shipped YAML."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import yaml
from yaml_keys import flat

from crack_perception.errors import UserError
from crack_perception.mapping.settings import MapSettings
from crack_perception.paths import config_file
from crack_perception.ros.mapper.parameters import SPECS, TABLE

DEFAULTS = {spec.name: spec.default for spec in SPECS}


def test_specs_cover_all_map_settings_with_their_defaults() -> None:
    settings = TABLE.settings_from(DEFAULTS)
    for setting in fields(MapSettings):
        assert getattr(settings.map, setting.name) == pytest.approx(getattr(MapSettings(), setting.name))
    assert (settings.database, settings.output_folder, settings.geo_origin) == (None, None, None)
    assert settings.sources == ("crack_node",)


def test_specs_every_parameter_changes_the_settings() -> None:
    """But for autostart and bond_heartbeat_period, which the lifecycle of both nodes reads."""
    other = {bool: lambda value: not value, int: lambda value: value + 1, float: lambda value: 0.9 * value + 0.09}
    changes = {spec.name: other[type(spec.default)](spec.default) for spec in SPECS if type(spec.default) in other}
    changes |= {"database": "/a/map.sqlite", "output_folder": "/b", "map_frame": "odom", "plan_title": "Pier 3"}
    changes |= {"sources": ["x"], "severity_preset": "ec2", "severity_edges_mm": [0.2], "geo_origin": [1.0] * 4}
    assert changes.keys() == DEFAULTS.keys()
    before = TABLE.settings_from(DEFAULTS)
    changes |= {"map.white_share": 0.5, "severity_confidence": 0.8}
    for name in changes.keys() - {"autostart", "bond_heartbeat_period"}:
        after = TABLE.settings_from(DEFAULTS | {name: changes[name]})
        severity = (after.severity.edges_mm, after.severity.confidence)
        same = replace(after, severity=before.severity) == before
        assert not same or severity != (before.severity.edges_mm, before.severity.confidence), name


def test_specs_have_valid_defaults_and_descriptions() -> None:
    for spec in SPECS:
        assert not spec.problem_with(spec.default), spec.name
        assert len(spec.description) > 10


def test_settings_output_folder_defaults_to_that_of_the_database(tmp_path: Path) -> None:
    database = DEFAULTS | {"database": str(tmp_path / "map.sqlite")}
    assert TABLE.settings_from(database).output_folder == tmp_path
    assert TABLE.settings_from(database | {"output_folder": "/elsewhere"}).output_folder == Path("/elsewhere")
    home = TABLE.settings_from(DEFAULTS | {"database": "~/map.sqlite"}).database
    assert home == Path.home() / "map.sqlite"


def test_settings_white_share_and_origin_are_optional() -> None:
    assert TABLE.settings_from(DEFAULTS).map.white_share is None
    assert TABLE.settings_from(DEFAULTS | {"map.white_share": 0.25}).map.white_share == 0.25
    origin = TABLE.settings_from(DEFAULTS | {"geo_origin": [48.1, 11.5, 560.0, 90.0]}).geo_origin
    assert origin is not None and (origin.latitude_deg, origin.x_heading_deg) == (48.1, 90.0)


def test_shipped_yaml_sets_existing_parameters_to_defaults() -> None:
    values = flat(yaml.safe_load(config_file("mapper.yaml").read_text())["/**"]["ros__parameters"])
    assert len(values) > 10
    assert {name: DEFAULTS[name] for name in values} == values
    assert {name: type(DEFAULTS[name]) for name in values} == {name: type(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sources": []}, "at least one"),
        ({"sources": ["a", "a"]}, "each once"),
        ({"sources": ["drone 1"]}, "cannot be the prefix of a topic"),
        ({"sources": ["/drone1/"]}, "cannot be the prefix of a topic"),
        ({"map_frame": ""}, "name a frame"),
        ({"geo_origin": [48.0, 11.0]}, "latitude, longitude"),
        ({"geo_origin": [95.0, 11.0, 0.0, 0.0]}, "latitude"),
        ({"map.white_share": -0.5}, "white_share"),
        ({"map.detection_probability": 0.1, "map.false_alarm_probability": 0.2}, "detection_probability"),
        ({"publish_rate_hz": 0.0}, "between"),
        ({"severity_preset": "iso9001"}, "one of"),
    ],
)
def test_settings_invalid_value_is_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        TABLE.settings_from(DEFAULTS | change)


@pytest.mark.parametrize(
    ("name", "path", "reason"),
    [
        ("database", "{folder}", "database is the folder"),
        ("database", "{folder}/file/map.sqlite", "a part of this path is a file"),
        ("database", "a\0b", "is no path"),
        ("output_folder", "{folder}/file", "which is not a folder"),
        ("output_folder", "~nobody_of_this_name/out", "is no path"),
        ("output_folder", "a" * 5000, "File name too long"),
    ],
)
def test_settings_unusable_path_is_refused_with_the_reason(tmp_path: Path, name: str, path: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=reason) as caught:
        TABLE.settings_from(DEFAULTS | {name: path.format(folder=tmp_path)})
    assert str(caught.value).startswith(name) and len(str(caught.value)) < 400
