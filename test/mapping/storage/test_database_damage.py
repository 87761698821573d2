# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of damaged map databases and of files of other programs or newer versions."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from map_cracks import assert_same, photograph_of_crack, straight_crack
from stored_maps import ids, saved

from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.rows import SCHEMA_VERSION


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "crack_map.sqlite"


@pytest.mark.parametrize("garbage", [b"not a database, but long enough for a header " * 50, bytes(4096), b"SQLite"])
def test_database_garbage_archived_unchanged(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    with closing(MapStore(path)) as store:
        assert store.load() == ()
        assert store.rescue is not None
        assert store.rescue.cracks == 0
        assert store.rescue.kept_at.name.startswith("crack_map.sqlite.corrupt-")
        assert store.rescue.kept_at.read_bytes() == garbage
        assert str(store.rescue.kept_at) in str(store.rescue)
        store.save([straight_crack(store.next_id)])
    with closing(MapStore(path)) as store:
        assert store.rescue is None
        assert len(store.load()) == 1


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_database_truncated_file_keeps_readable_cracks(path: Path, share: float) -> None:
    cracks = saved(path, 200, vertices=30)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with closing(MapStore(path)) as store:
        assert store.rescue is not None
        loaded = store.load()
        assert store.next_id > 200
    assert len(loaded) == store.rescue.cracks
    assert 0.4 * share * 200 < len(loaded) < 200
    for crack in loaded:
        assert_same(crack, cracks[crack.id - 1])


def test_database_interrupted_recovery_completed(path: Path) -> None:
    """A crash after the damaged file was archived, before the recovered rows replaced it."""
    saved(path)
    os.rename(path, path.with_name(path.name + ".rescued"))
    assert ids(path) == [1, 2, 3]
    assert not path.with_name(path.name + ".rescued").exists()


def test_database_overwritten_pages_lose_only_their_cracks(path: Path) -> None:
    cracks = saved(path, 200, vertices=30)
    data = bytearray(path.read_bytes())
    for page in range(40, 44):
        data[page * 4096 : (page + 1) * 4096] = os.urandom(4096)
    path.write_bytes(data)
    with closing(MapStore(path)) as store:
        assert store.rescue is not None
        loaded = store.load()
        assert 100 < len(loaded) < 200
        assert store.next_id > 200
    for crack in loaded:
        assert_same(crack, cracks[crack.id - 1])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE crack SET line_m = '[[1, 2, 3]]' WHERE id = 2",
        "UPDATE crack SET normal = 'up' WHERE id = 2",
        "UPDATE crack SET normal = '[0, null, 0]' WHERE id = 2",
        "UPDATE crack SET normal = '[0, 2, 0]' WHERE id = 2",
        "UPDATE crack SET evidence = '{}' WHERE id = 2",
        "UPDATE crack SET state = 'grown' WHERE id = 2",
        "UPDATE crack SET views = 'many' WHERE id = 2",
        "UPDATE crack SET width_mm = '[0.1' WHERE id = 2",
        "UPDATE crack SET covariance_m2 = NULL WHERE id = 2",
    ],
)
def test_database_invalid_crack_row_skipped(path: Path, change: str) -> None:
    saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(change)
    with closing(MapStore(path)) as store:
        assert [crack.id for crack in store.load()] == [1, 3]
        assert store.rescue is not None
        assert "crack 2" in store.rescue.reason
        assert store.next_id == 4
        store.save([straight_crack(4)])
    assert ids(path) == [1, 3, 4]


@pytest.mark.parametrize(
    "change", ["record = '{}'", "record = '{'", "record = replace(record, '\"file\"', '\"f\"'), file = '../x'"]
)
def test_database_invalid_photograph_row_skipped(path: Path, change: str) -> None:
    saved(path)
    with closing(MapStore(path)) as store:
        store.save([], photographs=[photograph_of_crack(crack_id) for crack_id in (1, 2, 3)])
        store.add_decision(Decision(2, Action.ACCEPT))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE photograph SET {change} WHERE crack_id = 2")
    with closing(MapStore(path)) as store:
        assert [photograph.crack_id for photograph in store.load_photographs()] == [1, 3]
        assert store.rescue is not None and store.rescue.cracks == 3 and "photograph" in store.rescue.reason
        assert len(store.load()) == 3 and len(store.load_decisions()) == 1


@pytest.mark.parametrize("change", ["action = 'burn'", "value = '{'", "action = 'rename'"])
def test_database_invalid_decision_row_skipped(path: Path, change: str) -> None:
    saved(path)
    with closing(MapStore(path)) as store:
        decisions = [store.add_decision(Decision(crack_id, Action.ACCEPT)) for crack_id in (1, 2, 3)]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE decision SET {change} WHERE crack_id = 2")
    with closing(MapStore(path)) as store:
        assert store.load_decisions() == (decisions[0], decisions[2])
        assert store.rescue is not None and "decision 2" in store.rescue.reason


def test_database_missing_columns_archived(path: Path) -> None:
    saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE crack DROP COLUMN normal")
    with closing(MapStore(path)) as store:
        assert store.load() == ()
        assert store.rescue is not None
        assert "normal" in store.rescue.reason
        assert store.next_id == 4


def test_database_file_of_other_program_refused_unchanged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE crack (id INTEGER PRIMARY KEY, price REAL)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="belongs to another program"):
        MapStore(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_database_newer_version_refused_unchanged(path: Path) -> None:
    saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(UserError, match=f"newer crack_perception .schema {SCHEMA_VERSION + 1}"):
        MapStore(path)
    assert path.read_bytes() == before


def test_database_orphaned_log_not_applied(path: Path) -> None:
    orphan = path.with_name(path.name + "-wal")
    orphan.write_bytes(b"somebody removed the map, but not its log")
    assert ids(path) == []
    assert not orphan.exists()
    kept = [entry for entry in path.parent.iterdir() if ".orphaned-" in entry.name]
    assert [entry.read_bytes() for entry in kept] == [b"somebody removed the map, but not its log"]


@pytest.mark.parametrize(
    "corners", ["[[0, 0, 0], [1, 0, 0]]", "[[0, 0], [1, 0], [1, 1]]", "[[0, 0, 0], [1", "null", "7"]
)
def test_database_invalid_area_row_skipped(path: Path, corners: str) -> None:
    area_m = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.0, 1.5]])
    saved(path)
    with closing(MapStore(path)) as store:
        store.save([], inspected_areas_m=[area_m, area_m + 1.0, area_m + 2.0])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE seen_area SET corners_m = ? WHERE id = 2", (corners,))
    with closing(MapStore(path)) as store:
        np.testing.assert_array_equal(store.load_inspected_areas(), [area_m, area_m + 2.0])
        assert store.rescue is not None and "inspected area 2" in store.rescue.reason
        assert store.rescue.cracks == 3 and len(store.load()) == 3


def test_database_truncated_file_keeps_readable_areas(path: Path) -> None:
    area_m = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.0, 1.5]])
    with closing(MapStore(path)) as store:
        store.save([], inspected_areas_m=[area_m + number for number in range(2000)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(0.6 * len(whole))])
    with closing(MapStore(path)) as store:
        found = store.load_inspected_areas()
        assert store.rescue is not None
    assert 500 < len(found) < 2000
    np.testing.assert_array_equal([area[0, 0] for area in found], sorted({area[0, 0] for area in found}))
