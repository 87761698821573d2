# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of prepared table rows: they give the same files as direct exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from map_cracks import random_crack

from crack_perception.mapping.export.csv_table import write_map_csv
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.mapping.export.geojson import write_map_geojson
from crack_perception.mapping.export.table_rows import TableRows
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.recognition.severity import SeverityScale

SCALE = SeverityScale.of_preset("ec2")
ORIGIN = GeographicOrigin(48.1, 11.6, 520.0)


def cracks_of(count: int) -> list[MappedCrack]:
    rng = np.random.default_rng(7)
    return [random_crack(rng, crack_id) for crack_id in range(1, count + 1)]


def assert_files(paths: list[Path], cracks: list[MappedCrack], folder: Path, origin: GeographicOrigin | None) -> None:
    """Assert that the files equal the directly written ones byte for byte."""
    write_map_geojson(folder / "expected.geojson", cracks, "map", SCALE)
    write_map_csv(folder / "expected.csv", cracks, SCALE)
    expected = [folder / "expected.geojson", folder / "expected.csv"]
    if origin is not None:
        write_map_geojson(folder / "expected_wgs84.geojson", cracks, "map", SCALE, origin)
        expected.append(folder / "expected_wgs84.geojson")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in expected]


@pytest.mark.parametrize("origin", [None, ORIGIN])
@pytest.mark.parametrize("prepared", [0, 100, 450])
def test_write_with_some_rows_prepared_equals_the_direct_exports(
    prepared: int, origin: GeographicOrigin | None, tmp_path: Path
) -> None:
    cracks = cracks_of(450)
    rows = TableRows("map", SCALE, origin)
    rows.prepare(cracks[:prepared])
    paths = rows.write(cracks, tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert_files(paths, cracks, tmp_path, origin)


def test_write_after_changes_shows_the_newest_state_without_removed_cracks(tmp_path: Path) -> None:
    cracks = cracks_of(20)
    rows = TableRows("map", SCALE, ORIGIN)
    rows.prepare(cracks)
    assert not any(map(rows.lacks, cracks))
    changed = [*cracks[:5], replace(cracks[5], views=999, width_mm=cracks[5].width_mm * 2), *cracks[8:]]
    assert [crack.id for crack in changed if rows.lacks(crack)] == [6]
    paths = rows.write(changed, tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert_files(paths, changed, tmp_path, ORIGIN)


def test_write_of_no_cracks_writes_empty_tables(tmp_path: Path) -> None:
    paths = TableRows("map", SCALE, ORIGIN).write([], tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert_files(paths, [], tmp_path, ORIGIN)


def test_progress_grows_while_rows_are_made() -> None:
    rows = TableRows("map", SCALE, None)
    rows.prepare(cracks_of(30))
    assert rows.progress == 30
