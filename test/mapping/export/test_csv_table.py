# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the CSV file: stable header, values of the map, empty cells for unknown values."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from map_cracks import random_crack, straight_crack

from crack_perception.mapping.export.csv_table import COLUMNS, map_csv, write_map_csv
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale

SCALE = SeverityScale.of_preset("ec2")


def rows(cracks: list[MappedCrack]) -> list[dict[str, str]]:
    return list(csv.DictReader(map_csv(cracks, SCALE).splitlines()))


def test_csv_header_is_stable() -> None:
    assert map_csv([], SCALE) == (
        "id,state,severity,most_likely_severity,most_likely_probability,length_m,mean_width_mm,mean_width_sigma_mm,"
        "max_width_mm,score,views,misses,first_seen,last_seen,middle_x_m,middle_y_m,middle_z_m,normal_x,normal_y,"
        "normal_z,position_sigma_m,gsd_mm_per_px\r\n"
    )


def test_csv_known_crack_expected_row() -> None:
    assert map_csv([straight_crack(12)], SCALE).splitlines()[1] == (
        "12,confirmed,>=0.4mm,>=0.4mm,0.9872,2.0000,0.5000,0.0500,0.6000,0.9700,7,1,2023-11-14T22:13:20.123456789Z,"
        "2023-11-14T22:14:20.000000001Z,1.0000,0.0000,1.0000,0.00000,-1.00000,0.00000,0.0200,0.8000"
    )


def test_csv_values_match_map() -> None:
    rng = np.random.default_rng(1)
    cracks = [random_crack(rng, crack_id) for crack_id in range(1, 50)]
    table = rows(cracks)
    assert [int(row["id"]) for row in table] == [crack.id for crack in cracks]
    for row, crack in zip(table, cracks, strict=True):
        assert set(row) == set(COLUMNS)
        assert float(row["length_m"]) == pytest.approx(crack.length_m, abs=1e-4)
        assert row["severity"] in (UNDETERMINED, row["most_likely_severity"])


def test_csv_unknown_value_empty_cell() -> None:
    unknown = np.full(3, math.nan)
    row = rows([straight_crack(width_mm=unknown, width_sigma_mm=unknown, gsd_mm_per_px=math.nan)])[0]
    empty = {name for name, cell in row.items() if not cell}
    assert empty == {
        "most_likely_severity",
        "most_likely_probability",
        "mean_width_mm",
        "mean_width_sigma_mm",
        "max_width_mm",
        "gsd_mm_per_px",
    }
    assert row["severity"] == UNDETERMINED


def test_csv_file_contains_table(tmp_path: Path) -> None:
    write_map_csv(tmp_path / "map.csv", [straight_crack()], SCALE)
    assert (tmp_path / "map.csv").read_bytes().decode() == map_csv([straight_crack()], SCALE)
