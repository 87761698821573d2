# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A bridge with photographs and decisions, written once for all tests of its deliverables."""

from __future__ import annotations

from pathlib import Path

import pytest
from reported_maps import TITLE, write_bridge

pytest.importorskip("shapely", reason="the extra `report` is not installed: run scripts/setup")

from crack_perception.recognition.severity import SeverityScale
from crack_perception.report.contents import Notes, Survey, read_survey
from crack_perception.report.georeference import Georeference, GridOrigin, MapFrame, ProjectedFrame


@pytest.fixture(scope="session")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Map file; do not change it."""
    path = tmp_path_factory.mktemp("bridge") / "map.sqlite"
    write_bridge(path)
    return path


@pytest.fixture(scope="session")
def survey(bridge: Path) -> Survey:
    return read_survey(bridge, SeverityScale.of_preset("gb50204"), Notes(TITLE, "Owner & Söhne <AG>"))


@pytest.fixture(scope="session")
def local() -> Georeference:
    return MapFrame()


@pytest.fixture(scope="session")
def utm() -> Georeference:
    """UTM zone 32 near Munich; the map's x axis points to the north-east, the grid is 0.04 % smaller."""
    return ProjectedFrame(25832, GridOrigin(691_000.0, 5_335_000.0, 512.3, 45.0, 0.9996))
