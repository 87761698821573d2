# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the map database: round trips of cracks and inspected areas, unique ids, older versions."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from inspected_views import wall_view
from map_cracks import assert_same, photograph_of_crack, random_crack, straight_crack, with_fusion_state
from stored_maps import ids, saved

from crack_perception.mapping.coverage.coverage import Coverage, CoverageChanges, saved_coverage
from crack_perception.mapping.coverage.view import CameraGeometry
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.evidence.photograph import plain_photograph
from crack_perception.mapping.storage.coverage_rows import COVERAGE_TABLES
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.rows import SCHEMA_VERSION
from crack_perception.mapping.storage.snapshot import read_snapshot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "crack_map.sqlite"


def test_database_round_trip_keeps_every_field(path: Path) -> None:
    cracks = saved(path, 60)
    with closing(MapStore(path)) as store:
        loaded = store.load()
        assert store.rescue is None
    assert len(loaded) == len(cracks)
    for found, expected in zip(loaded, cracks, strict=True):
        assert_same(found, expected)


def test_database_round_trip_keeps_fusion_state(path: Path) -> None:
    rng = np.random.default_rng(8)
    cracks = [with_fusion_state(random_crack(rng, crack_id), rng) for crack_id in range(1, 9)]
    with closing(MapStore(path)) as store:
        store.save(cracks)
        for found, expected in zip(store.load(), cracks, strict=True):
            assert_same(found, expected)


def test_database_older_file_new_field_default(path: Path) -> None:
    cracks = saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        for name in ("covariance_knots_m2", "coarsest_gsd_mm_per_px", "apart_from"):
            database.execute(f"ALTER TABLE crack DROP COLUMN {name}")
    with closing(MapStore(path)) as store:
        for found, expected in zip(store.load(), cracks, strict=True):
            assert_same(found, expected)


def test_database_empty_map_valid(path: Path) -> None:
    with closing(MapStore(path)) as store:
        assert store.load() == ()
        assert store.next_id == 1
        store.save([])
    assert ids(path) == []


def test_database_missing_folders_created(tmp_path: Path) -> None:
    assert ids(tmp_path / "maps" / "bridge 7? #2" / "map.sqlite") == []


def test_database_save_updates_and_removes(path: Path) -> None:
    saved(path)
    changed = straight_crack(2, views=99)
    with closing(MapStore(path)) as store:
        store.save([changed, straight_crack(4)], removed=[1, 77])
    with closing(MapStore(path)) as store:
        loaded = {crack.id: crack for crack in store.load()}
    assert sorted(loaded) == [2, 3, 4]
    assert_same(loaded[2], changed)


def test_database_ids_never_reused(path: Path) -> None:
    saved(path, 5)
    with closing(MapStore(path)) as store:
        store.save([], removed=[4, 5])
        assert store.next_id == 6
        store.save([], next_id=9)
        store.save([straight_crack(2)], next_id=3)
    with closing(MapStore(path)) as store:
        assert store.next_id == 9
        store.clear()
    with closing(MapStore(path)) as store:
        assert store.load() == ()
        assert store.next_id == 9


def test_database_clear_archives_map(path: Path) -> None:
    cracks = saved(path)
    with closing(MapStore(path)) as store:
        first, again = store.clear(), store.clear()
        store.save([straight_crack(4)])
    assert first != again
    assert first.parent == path.parent
    with closing(MapStore(first)) as store:
        for found, expected in zip(store.load(), cracks, strict=True):
            assert_same(found, expected)
    assert ids(again) == []
    assert ids(path) == [4]


def test_database_unknown_column_kept(path: Path) -> None:
    saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE crack ADD COLUMN depth_mm REAL DEFAULT 4.5")
    with closing(MapStore(path)) as store:
        store.save([straight_crack(2)])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT depth_mm FROM crack").fetchall() == [(4.5,)] * 3


def test_database_shared_between_threads(path: Path) -> None:
    with closing(MapStore(path)) as store:

        def save(first: int) -> None:
            for crack_id in range(first, first + 20):
                store.save([straight_crack(crack_id)])
                store.load()

        threads = [threading.Thread(target=save, args=(first,)) for first in (1, 101, 201)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.load()) == 60
        assert store.next_id == 221


AREAS_M = [
    np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.1], [2.0, 0.0, 1.5], [0.0, 0.0, 1 / 3]]),
    np.array([[5.0, 1.0, 0.0], [5.0, 2.0, 0.0], [5.0, 1.5, 1e-7]]),
]


def assert_areas(store: MapStore, expected: list[np.ndarray]) -> None:
    for found, area_m in zip(store.load_inspected_areas(), expected, strict=True):
        np.testing.assert_array_equal(found, area_m)


def test_database_inspected_areas_added_and_cleared(path: Path) -> None:
    with closing(MapStore(path)) as store:
        store.save([], inspected_areas_m=AREAS_M[:1])
        store.save([straight_crack(1)], inspected_areas_m=AREAS_M[1:])
        assert_areas(store, AREAS_M)
    with closing(MapStore(path)) as store:
        assert_areas(store, AREAS_M)
        kept_at = store.clear()
        assert store.load_inspected_areas() == ()
    with closing(MapStore(kept_at)) as store:
        assert_areas(store, AREAS_M)


def test_database_version_1_migrated_completely(path: Path) -> None:
    cracks = saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("seen_area", "photograph", "decision", *COVERAGE_TABLES):
            database.execute(f"DROP TABLE {table}")
        database.execute("PRAGMA user_version = 1")
    with closing(MapStore(path)) as store:
        assert store.rescue is None and store.load_inspected_areas() == ()
        for found, expected in zip(store.load(), cracks, strict=True):
            assert_same(found, expected)
        assert store.load_photographs() == store.load_decisions() == ()
        store.save([], inspected_areas_m=AREAS_M, photographs=[photograph_of_crack(1)])
        store.add_decision(Decision(1, Action.ACCEPT))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    with closing(MapStore(path)) as store:
        assert_areas(store, AREAS_M)
        assert len(store.load_photographs()) == len(store.load_decisions()) == 1


def test_photographs_are_replaced_by_file_and_removed(path: Path) -> None:
    first, second = photograph_of_crack(1, stamp_ns=1), photograph_of_crack(1, stamp_ns=2)
    with closing(MapStore(path)) as store:
        store.save([straight_crack(1)], photographs=[first, second])
        store.save([], photographs=[replace(first, crack_id=7)], removed_photographs=[second.file, "never saved.jpg"])
    with closing(MapStore(path)) as store:
        (kept,) = store.load_photographs()
    assert plain_photograph(kept) == plain_photograph(replace(first, crack_id=7))


def test_decisions_are_numbered_in_order_and_kept(path: Path) -> None:
    taken = [
        Decision(3, Action.REJECT, {}, "Ana", 5),
        Decision(3, Action.COMMENT, {"text": "Schattenfuge"}, "Ana", 6),
        Decision(3, Action.UNDO, {"decision": 1}, "Bo", 7),
    ]
    with closing(MapStore(path)) as store:
        numbered = tuple(store.add_decision(decision) for decision in taken)
    with closing(MapStore(path)) as store:
        assert store.load_decisions() == numbered == tuple(replace(each, id=i) for i, each in enumerate(taken, 1))


def test_clear_archives_photographs_and_decisions_and_does_not_reuse_numbers(path: Path) -> None:
    with closing(MapStore(path)) as store:
        store.save([straight_crack(1)], photographs=[photograph_of_crack(1)])
        store.add_decision(Decision(1, Action.ACCEPT))
        kept_at = store.clear()
        assert store.load_photographs() == store.load_decisions() == ()
        assert store.add_decision(Decision(1, Action.ACCEPT)).id == 2
    with closing(MapStore(kept_at)) as store:
        assert len(store.load_photographs()) == len(store.load_decisions()) == 1


def assert_covers(saved: CoverageChanges, coverage: Coverage) -> None:
    found = saved_coverage(saved)
    assert found.camera == coverage.camera and len(found) == len(coverage)
    for ours, theirs in zip(coverage.surfaces(), found.surfaces(), strict=True):
        np.testing.assert_allclose(theirs.gsd_mm_per_px, ours.gsd_mm_per_px, rtol=1e-3)
        np.testing.assert_allclose(theirs.corner_m, ours.corner_m)


def test_database_coverage_round_trip_and_update(path: Path) -> None:
    coverage = Coverage()
    coverage.add(wall_view())
    with closing(MapStore(path)) as store:
        store.save([], coverage=coverage.take_changes())
        assert_covers(store.load_coverage(), coverage)
        coverage.add(wall_view(3.0, standoff_m=1.0))
        store.save([], coverage=coverage.take_changes())
    with closing(MapStore(path)) as store:
        assert_covers(store.load_coverage(), coverage)
        assert_covers(store.load_coverage(), saved_coverage(store.load_coverage()))
        snapshot = read_snapshot(path)
        assert [surface.id for surface in snapshot.coverage] == [1] and snapshot.camera == coverage.camera
        kept_at = store.clear()
        assert not store.load_coverage()
    assert len(read_snapshot(kept_at).coverage) == 1


def test_database_of_version_3_is_covered_at_unknown_resolution(path: Path) -> None:
    saved(path)
    with closing(MapStore(path)) as store:
        store.save([], inspected_areas_m=[np.array([[0.0, 0, 2], [4, 0, 2], [4, 0, 0], [0, 0, 0]])])
    with closing(sqlite3.connect(path)) as database, database:
        for table in COVERAGE_TABLES:
            database.execute(f"DROP TABLE {table}")
        database.execute("PRAGMA user_version = 3")
    (surface,) = read_snapshot(path).coverage
    assert np.isinf(surface.gsd_mm_per_px).sum() * surface.cell_area_m2 == pytest.approx(8.0, rel=0.05)
    with closing(MapStore(path)) as store:
        assert store.rescue is None and not store.load_coverage()
        store.save([], coverage=CoverageChanges(camera=CameraGeometry(640, 480, 500)))
        assert store.load_coverage().camera == CameraGeometry(640, 480, 500)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE coverage_tile SET gsd = x'00'",
        "UPDATE coverage_tile SET gsd = zeroblob(9)",
        "UPDATE coverage_surface SET record = '{}'",
        "UPDATE coverage_surface SET record = replace(record, 'axes', 'cell')",
        "UPDATE coverage_camera SET record = '{\"width_px\": -1}'",
    ],
)
def test_database_damaged_coverage_keeps_the_cracks(path: Path, damage: str) -> None:
    cracks = saved(path)
    coverage = Coverage()
    coverage.add(wall_view())
    with closing(MapStore(path)) as store:
        store.save([], coverage=coverage.take_changes())
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(damage)
    with closing(MapStore(path)) as store:
        found = store.load_coverage()
        assert store.rescue is not None and store.rescue.cracks == len(cracks)
        assert [crack.id for crack in store.load()] == [crack.id for crack in cracks]
        assert len(saved_coverage(found).surfaces()) <= 1
