# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""JSON and YAML of others: nesting too deep is an error in the text, wherever the package reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from crack_perception.documents import parse_json, parse_yaml
from crack_perception.errors import UserError
from crack_perception.geometry.camera.calibration_file import read_camera_file
from crack_perception.parameter_files import read_parameter_file

SOURCES = Path(__file__).resolve().parents[1] / "src" / "crack_perception"
DEEP = 100_000 * "["
_DIRECT = re.compile(r"\b(json\.loads?|yaml\.(safe_)?load)\(")
# Files that the same run of the training has written.
_OWN_FILES = {"training/paper/tables/run.py"}


def test_parse_json_deep_nesting_is_a_value_error() -> None:
    assert parse_json(b'{"a": [1, null]}') == {"a": [1, None]}
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)


@pytest.mark.parametrize("deep", [DEEP, 3000 * "- " + "a", 20_000 * "? "])
def test_parse_yaml_deep_nesting_is_a_yaml_error(deep: str) -> None:
    assert parse_yaml("a: [1, ~]") == {"a": [1, None]}
    with pytest.raises(yaml.YAMLError):
        parse_yaml(deep)


@pytest.mark.parametrize("read", [read_camera_file, read_parameter_file])
def test_readers_of_yaml_deep_nesting_names_the_file(tmp_path: Path, read: object) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(f"a: {DEEP}", encoding="utf-8")
    with pytest.raises(UserError, match=r"deep\.yaml: is no "):
        read(path)


def test_sources_parse_documents_through_one_module() -> None:
    direct = {
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        if _DIRECT.search(path.read_text(encoding="utf-8"))
    }
    assert direct - _OWN_FILES == {"documents.py"}
