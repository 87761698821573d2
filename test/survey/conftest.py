# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings and a finished archive, which the tests of a survey share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra `survey` is not installed: run scripts/setup")
pytest.importorskip("duckdb", reason="the extra `survey` is not installed: run scripts/setup")

from survey_inputs import Archive, survey, write_recordings

from crack_perception.survey.engine import Engine, local_engine


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight recordings."""
    return write_recordings(tmp_path_factory.mktemp("survey") / "recordings")


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One process, which all tests of the session share."""
    with local_engine(1) as started:
        yield started


@pytest.fixture(scope="session")
def archive(recordings: Path, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The eight recordings processed on this machine."""
    out = tmp_path_factory.mktemp("archive")
    return Archive(out, survey([recordings], out, engine), recordings)
