# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the report's layer of finest resolvable widths: areas, words, and every file that holds it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from inspected_views import looking, view_of_plane, wall_view
from map_cracks import straight_crack

pytest.importorskip("shapely", reason="needs the extra report")

import pyogrio
import shapely

from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage
from crack_perception.mapping.storage.database import MapStore
from crack_perception.recognition.severity import SeverityScale
from crack_perception.report.contents import Notes, Survey, read_survey
from crack_perception.report.coverage import (
    CLASSES,
    area_by_class,
    class_range_mm,
    class_words,
    covered_areas,
)
from crack_perception.report.document.coverage_plan import coverage_values
from crack_perception.report.formats.coverage_geojson import write_coverage_geojson
from crack_perception.report.formats.geopackage import write_geopackage
from crack_perception.report.georeference import Georeference
from crack_perception.report.writing import FORMATS

CLOSE_M2 = 1.28 * 0.72 / 25
SCALE = SeverityScale.of_preset("aashto")


@pytest.fixture(scope="module")
def covered(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """A wall seen at 1 mm/px, a part of it at 0.2 mm/px, and a soffit at 1 mm/px."""
    coverage = Coverage(0.02)
    below = view_of_plane((0.0, -3.0, 1.0), looking(0.0, 90.0), normal=(0.0, 0.0, -1.0), offset_m=-2.0)
    for view in (wall_view(standoff_m=1.0), wall_view(standoff_m=0.2), below):
        coverage.add(view)
    path = tmp_path_factory.mktemp("covered") / "map.sqlite"
    wall_m = np.array([[-0.6, 0, 1.8], [0.6, 0, 1.8], [0.6, 0, 1.2], [-0.6, 0, 1.2]])
    soffit_m = np.array([[-0.3, -3.6, 2.0], [0.3, -3.6, 2.0], [0.3, -2.4, 2.0], [-0.3, -2.4, 2.0]])
    with closing(MapStore(path)) as store:
        line_m = np.array([[-0.4, 0, 1.5], [0.0, 0, 1.5], [0.4, 0, 1.5]])
        store.save(
            [straight_crack(line_m=line_m)], inspected_areas_m=[wall_m, soffit_m], coverage=coverage.take_changes()
        )
    return read_survey(path, SCALE, Notes())


def test_areas_are_those_of_the_cells(covered: Survey) -> None:
    sums = area_by_class(covered.covered_areas)
    assert list(sums) == ["A", "B"]
    # 1.5 px of 0.2 and of 1 mm.
    fine, coarse = (next(i for i in range(CLASSES) if (class_range_mm(i)[1] or 9) >= mm) for mm in (0.3, 1.5))
    assert sums["A"][fine] == pytest.approx(CLOSE_M2, rel=0.15)
    assert sums["A"][coarse] == pytest.approx(1.28 * 0.72 - CLOSE_M2, rel=0.05)
    assert sum(sums["A"]) == pytest.approx(1.28 * 0.72, rel=0.05)
    assert sum(sums["B"]) == sums["B"][coarse] == pytest.approx(1.28 * 0.72, rel=0.05)


def test_areas_do_not_overlap_and_lie_on_their_wall(covered: Survey) -> None:
    on_wall = [area for area in covered.covered_areas if area.facet == "A"]
    polygons = [shapely.Polygon(area.corners_m[:, [0, 2]]) for area in on_wall]
    assert shapely.union_all(polygons).area == pytest.approx(sum(area.area_m2 for area in on_wall), rel=1e-6)
    assert np.abs(np.concatenate([area.corners_m[:, 1] for area in on_wall])).max() < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_areas_of_any_pattern_hold_every_cell_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gsd = rng.choice([np.nan, 0.05, 0.4, 5.0, np.inf], (17, 23)).astype(np.float32)
    axes = np.eye(3)
    surface = SurfaceCoverage(1, np.zeros(3), axes[0], axes[1], axes[2], 1.0, gsd)
    areas = covered_areas([surface], {})
    count = np.zeros(gsd.shape, int)
    for area in areas:
        (u0, v0), (u1, v1) = (
            area.corners_m[:, :2].min(axis=0).astype(int),
            area.corners_m[:, :2].max(axis=0).astype(int),
        )
        count[v0:v1, u0:u1] += 1
        assert np.unique(gsd[v0:v1, u0:u1]).size == 1
    assert (count == ~np.isnan(gsd)).all()
    assert sum(area.area_m2 for area in areas) == (~np.isnan(gsd)).sum()


def test_legend_says_what_could_not_have_been_seen(covered: Survey) -> None:
    values = coverage_values(covered, "A")
    assert values is not None
    assert [item["words"] for item in values["legend"]] == [
        "cracks narrower than 0.3 mm may have been missed here",
        "cracks narrower than 1.5 mm may have been missed here",
    ]
    assert coverage_values(covered, "Z") is None
    assert class_words(CLASSES - 1) == "seen, resolution not known"


def test_plan_is_coloured_by_class(covered: Survey) -> None:
    values = coverage_values(covered, "A")
    assert values is not None and len(values["legend"]) == 2
    for item in values["legend"]:
        assert item["colour"] in values["svg"]
    assert values["width"] <= 180 and values["height"] <= 110


def test_files_hold_the_layer(tmp_path: Path, covered: Survey, utm: Georeference, local: Georeference) -> None:
    write_geopackage(tmp_path / "cracks.gpkg", covered, utm)
    _, _, _, (facets, _, to_mm, words, area_m2) = pyogrio.raw.read(tmp_path / "cracks.gpkg", layer="coverage")
    assert set(facets) == {"A", "B"} and set(to_mm) == {0.3, 1.5} and "may have been missed" in words[0]
    assert area_m2.sum() == pytest.approx(sum(area.area_m2 for area in covered.covered_areas), rel=0.01)
    for georeference, units in ((utm, "deg"), (local, "m")):
        write_coverage_geojson(tmp_path / "coverage.geojson", covered, georeference)
        document = json.loads((tmp_path / "coverage.geojson").read_text())
        assert document["crack_perception"]["units"] == units
        assert len(document["features"]) == len(covered.covered_areas)
        assert all(len(feature["geometry"]["coordinates"][0]) == 5 for feature in document["features"])
        assert pyogrio.read_info(tmp_path / "coverage.geojson")["features"] == len(covered.covered_areas)
    assert FORMATS["coverage"].file == "coverage.geojson"
