# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The truth file: round trip and refusal of invalid files."""

from __future__ import annotations

import json
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.simulation.flight.truth import (
    FILE_NAME,
    Truth,
    TruthCamera,
    TruthCell,
    TruthCrack,
    TruthFrame,
    TruthSurface,
    VisibleCrack,
    load_truth,
    write_truth,
)

WALL = TruthSurface(
    np.array([4.0, 1, 3]),
    np.array([0.0, -1, 0]),
    np.array([0.0, 0, -1]),
    np.array([5.0, 3]),
    np.array([-1.0, 0, 0]),
    None,
    0.5,
)


@pytest.fixture
def truth() -> Truth:
    return Truth(
        map_frame="map",
        camera_frame="camera_optical_frame",
        base_frame="base_link",
        camera=TruthCamera(
            64, 48, np.array([50.0, 0, 31.5, 0, 50, 23.5, 0, 0, 1]), np.array([0.1, 0, 0, 0, 0]), "plumb_bob"
        ),
        surfaces=(WALL, changed(WALL, v_axis=np.array([1.0, 0, 0]), normal=np.array([0.0, 0, -1]))),
        cracks=(
            TruthCrack(3, np.array([[4.0, 0, 2], [4.0, -0.3, 1.6]]), np.array([0.5, 1.5]), 1.0),
            TruthCrack(4, np.array([[4.0, 0, 3], [5.0, 0, 3]]), np.array([1.5, 1.5]), 1.5, surface=1),
        ),
        cells=(TruthCell(np.arange(12.0).reshape(4, 3), True),),
        complete=True,
        frames=(
            TruthFrame(
                10, np.zeros(3), np.array([-0.5, 0.5, -0.5, 0.5]), 0.73, 1.5, (VisibleCrack(id=3, fraction=0.25),)
            ),
            TruthFrame(20, np.ones(3), np.array([0.0, 0, 0, 1]), 0.74, 1.6, (), surface=1),
        ),
    )


def test_truth_round_trip_keeps_every_field(truth: Truth, tmp_path: Path) -> None:
    write_truth(truth, tmp_path / FILE_NAME)
    loaded = load_truth(tmp_path)
    write_truth(loaded, tmp_path / "again.json")
    assert (tmp_path / FILE_NAME).read_text() == (tmp_path / "again.json").read_text()
    assert loaded.frames[0].visible == (VisibleCrack(id=3, fraction=0.25),)
    np.testing.assert_allclose(loaded.cracks[0].polyline_m, truth.cracks[0].polyline_m)
    assert loaded.cracks[0].length_m == pytest.approx(0.5)
    assert [item.surface for item in (*loaded.cracks, *loaded.cells, *loaded.frames)] == [0, 1, 0, 0, 1]


def test_load_truth_version_1_has_one_surface(truth: Truth, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write_truth(changed(truth, surfaces=(WALL,)), path)
    document = json.loads(path.read_text())
    document |= {"version": 1, "surface": document.pop("surfaces")[0]}
    for item in (*document["cracks"], *document["cells"], *document["frames"]):
        del item["surface"]
    path.write_text(json.dumps(document))
    loaded = load_truth(path)
    np.testing.assert_array_equal(loaded.surfaces[0].origin_m, WALL.origin_m)
    assert {item.surface for item in (*loaded.cracks, *loaded.cells, *loaded.frames)} == {0}


def test_surface_coordinates_round_trip(truth: Truth) -> None:
    uv_m = np.array([[0.0, 0.0], [5.0, 3.0], [1.5, 0.25]])
    points_m = truth.surfaces[0].to_map(uv_m)
    np.testing.assert_allclose(points_m[1], [4.0, -4.0, 0.0])
    np.testing.assert_allclose(truth.surfaces[0].to_surface(points_m), uv_m)


def replace(document: dict[str, Any], keys: tuple[str | int, ...], value: Any) -> None:
    target: Any = document
    for key in keys[:-1]:
        target = target[key]
    target[keys[-1]] = value


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("format",), "other", "is not a crack_perception/truth file"),
        (("version",), 3, "of version 1 to 2"),
        (("surfaces",), [], "at least one surface"),
        (("cracks", 1, "surface"), 2, r"cracks\[1\]: surface must be at most 1"),
        (("complete",), 1, "complete must be true or false"),
        (("camera", "width"), 0, "camera: width must be at least 1"),
        (("camera", "k"), [1.0], "camera: k must be 9 finite numbers"),
        (("surfaces", 1, "u_axis"), [0.0, 0.0, 2.0], r"surfaces\[1\]: u_axis must have the length 1"),
        (("surfaces", 0, "v_axis"), [0.0, -1.0, 0.0], "must be perpendicular"),
        (("surfaces", 0, "texture"), 5, "texture must be a string"),
        (("cracks", 0, "width_mm"), [1.0], "width_mm must be 2 finite numbers"),
        (("cracks", 0, "polyline_m"), [[0.0, 0.0, 0.0]], "at least two vertices"),
        (("cracks", 0, "polyline_m"), "line", "polyline_m must be Nx3 numbers"),
        (("cracks", 0), 5, r"cracks\[0\]: must be a JSON object"),
        (("frames", 1, "stamp_ns"), 10, "in order of their stamps"),
        (("frames", 0, "range_m"), float("nan"), r"frames\[0\]: range_m must be a finite number"),
        (("frames", 0, "visible", 0, "id"), 5, "only ids of cracks"),
        (("cells",), {}, "cells must be a list"),
    ],
)
def test_load_truth_wrong_field_is_named(
    truth: Truth, tmp_path: Path, keys: tuple[str | int, ...], value: Any, message: str
) -> None:
    path = tmp_path / FILE_NAME
    write_truth(truth, path)
    document = json.loads(path.read_text())
    replace(document, keys, value)
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=message):
        load_truth(path)


def test_load_truth_missing_file_or_field_is_named(truth: Truth, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such truth file"):
        load_truth(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        load_truth(path)
    write_truth(truth, path)
    document = json.loads(path.read_text())
    del document["surfaces"][0]["normal"]
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"surfaces\[0\]: normal is missing"):
        load_truth(path)
