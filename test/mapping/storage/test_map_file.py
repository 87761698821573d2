# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the public reader of map files: content, concurrent writer, queries and exports."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from map_cracks import photograph_of_crack, random_crack, straight_crack
from stored_maps import saved

from crack_perception import CrackMap, MapCrack, UserError
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.export.csv_table import map_csv
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.storage import snapshot as snapshots
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.recognition.severity import SeverityScale

SUPPORT = str(Path(__file__).resolve().parents[2] / "support")

PATIENCE_S = 60.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a closed map: an obvious crack along x at z = 1, a new one at z = 8, a fine one, one of unknown width."""
    cracks = [
        straight_crack(1),
        straight_crack(2, state=CrackState.NEW, line_m=np.array([[0.0, 0.0, 8.0], [0.5, 0.0, 8.0]])),
        straight_crack(3, width_mm=np.full(3, 0.05), width_sigma_mm=np.full(3, 0.005)),
        straight_crack(4, width_mm=np.full(3, np.nan), state=CrackState.LOST),
    ]
    with closing(MapStore(tmp_path / "map.sqlite")) as store:
        store.save(cracks, inspected_areas_m=[np.eye(3)])
    return tmp_path / "map.sqlite"


def ids(crack_map: CrackMap) -> list[int]:
    return [crack.id for crack in crack_map]


def test_snapshot_has_photographs_and_decisions(path: Path) -> None:
    with closing(MapStore(path)) as store:
        store.save([], photographs=[photograph_of_crack(3)])
        decision = store.add_decision(Decision(3, Action.RENAME, {"name": "Pier 2, north"}, "Ana", 5))
    snapshot = read_snapshot(path)
    assert [each.crack_id for each in snapshot.photographs] == [3]
    assert snapshot.decisions == (decision,)
    assert len(snapshot.cracks) == 4 and len(snapshot.inspected_areas_m) == 1


def test_crack_map_closed_file_has_saved_cracks(tmp_path: Path) -> None:
    cracks = saved(tmp_path / "map.sqlite", count=20)
    crack_map = CrackMap(tmp_path / "map.sqlite")
    assert ids(crack_map) == list(range(1, 21)) and len(crack_map) == 20
    for public, crack in zip(crack_map, cracks, strict=True):
        assert np.array_equal(public.line_m, crack.line_m)
        assert np.array_equal(public.width_mm, crack.width_mm, equal_nan=True)
        assert (public.state, public.views) == (crack.state.value, crack.views)


def test_crack_map_has_severity_and_inspected_areas(path: Path) -> None:
    crack_map = CrackMap(str(path))
    assert [crack.severity for crack in crack_map] == ["obvious", "obvious", "minor", "undetermined"]
    assert crack_map[0].mean_width_mm == pytest.approx(0.5)
    assert crack_map[3].severity_probabilities == {} and np.isnan(crack_map[3].mean_width_mm)
    assert np.array_equal(crack_map.inspected_areas_m[0], np.eye(3))


def test_crack_map_custom_edges_reclassify(path: Path) -> None:
    crack_map = CrackMap(path, severity=(0.2, 0.45, 2.0), severity_confidence=0.5)
    assert [crack.severity for crack in crack_map][:3] == ["0.45-2mm", "0.45-2mm", "<0.2mm"]


def test_crack_map_has_photographs_that_exist_best_first(path: Path) -> None:
    coarse = photograph_of_crack(1, stamp_ns=1, gsd_mm_per_px=4.0)
    fine, lost = photograph_of_crack(1, stamp_ns=2, gsd_mm_per_px=1.0), photograph_of_crack(1, stamp_ns=3)
    with closing(MapStore(path)) as store:
        store.save([], photographs=[coarse, fine, lost])
    folder = path.parent / "map.photographs"
    folder.mkdir()
    for photograph in (coarse, fine):
        (folder / photograph.file).write_bytes(b"")
    crack_map = CrackMap(path)
    assert crack_map[0].photographs == (folder / fine.file, folder / coarse.file)
    assert crack_map[1].photographs == ()


def test_crack_map_reviewed_file_is_as_the_reviewers_decided(path: Path) -> None:
    decisions = [
        Decision(1, Action.ACCEPT),
        Decision(1, Action.RENAME, {"name": "Pier 2, north"}),
        Decision(1, Action.SEVERITY, {"severity": "minor"}),
        Decision(3, Action.REJECT),
        Decision(2, Action.SPLIT, {"at_m": [0.2, 0.0, 8.0], "new_id": 20}),
    ]
    with closing(MapStore(path)) as store:
        store.save([straight_crack(2, line_m=np.array([[0.0, 0.0, 8.0], [0.2, 0.0, 8.0], [0.5, 0.0, 8.0]]))])
        for decision in decisions:
            store.add_decision(decision)
    crack_map = CrackMap(path)
    assert ids(crack_map) == [1, 2, 4, 20]
    assert (crack_map[0].verdict, crack_map[0].name, crack_map[0].severity) == ("accepted", "Pier 2, north", "minor")
    assert (crack_map[1].verdict, crack_map[1].name, crack_map[1].severity) == ("open", "", "obvious")
    assert crack_map[1].length_m + crack_map[3].length_m == pytest.approx(0.5)
    assert ids(crack_map.query(severity="minor")) == [1]
    assert crack_map.to_geojson()["features"][0]["properties"]["severity"] == "minor"
    assert [line.split(",")[2] for line in crack_map.to_csv().splitlines()[1:3]] == ["minor", "obvious"]
    measured = CrackMap(path, reviewed=False)
    assert ids(measured) == [1, 2, 3, 4]
    assert (measured[0].verdict, measured[0].name, measured[0].severity) == ("open", "", "obvious")


def test_crack_map_reading_leaves_folder_unchanged(path: Path) -> None:
    before = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}
    CrackMap(path)
    assert {entry.name: entry.read_bytes() for entry in path.parent.iterdir()} == before


def test_crack_map_open_file_read_as_last_saved(path: Path) -> None:
    with closing(MapStore(path)) as store:
        store.save([straight_crack(9)], removed=[1])
        with (
            pytest.raises(sqlite3.OperationalError, match="locked"),
            closing(sqlite3.connect(path, timeout=0)) as other,
        ):
            other.execute("SELECT * FROM crack").fetchall()
        assert ids(CrackMap(path)) == [2, 3, 4, 9]
        store.save([straight_crack(10)])
        assert ids(CrackMap(path)) == [2, 3, 4, 9, 10]


def test_crack_map_file_of_killed_mapper_read(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from map_cracks import straight_crack\n"
        "from crack_perception.mapping.storage.database import MapStore\n"
        "store = MapStore(Path(sys.argv[1])); store.save([straight_crack(7)]); os._exit(1)"
    )
    target = tmp_path / "map.sqlite"
    subprocess.run(
        [sys.executable, "-c", program, str(target), SUPPORT],
        timeout=60,
        check=False,
    )
    assert target.with_name("map.sqlite-wal").exists()
    assert ids(CrackMap(target)) == [7]


def test_crack_map_concurrent_writer_only_whole_saves(tmp_path: Path) -> None:
    """Every save changes all cracks in the same way; many saves checkpoint and restart the log."""
    target, count = tmp_path / "map.sqlite", 20
    rng = np.random.default_rng(0)
    lines = [random_crack(rng, crack_id, 150) for crack_id in range(1, count + 1)]
    is_over, has_begun = threading.Event(), threading.Event()

    def write() -> None:
        with closing(MapStore(target)) as store:
            turn = 0
            while not is_over.is_set():
                turn += 1
                store.save([straight_crack(crack.id, line_m=crack.line_m, views=turn) for crack in lines])
                has_begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert has_begun.wait(PATIENCE_S)
        turns = []
        while len(turns) < 60:
            views = [crack.views for crack in CrackMap(target)]
            assert len(views) == count and len(set(views)) == 1
            turns.append(views[0])
    finally:
        is_over.set()
        writer.join()
    assert turns == sorted(turns) and turns[0] < turns[-1]


def test_crack_map_log_restarted_during_copy_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is checkpointed and restarted between the copies of the file and of the log."""
    target = tmp_path / "map.sqlite"
    lines = [crack.line_m for crack in saved(target, count=20, vertices=150)]
    read, calls = snapshots._bytes, []

    with closing(MapStore(target)) as store:

        def save_all(views: int) -> None:
            store.save([straight_crack(index, line_m=line_m, views=views) for index, line_m in enumerate(lines, 1)])

        def read_late(path: Path) -> bytes:
            calls.append(path)
            if len(calls) == 2:
                for views in range(2, 100):
                    save_all(views)
            return read(path)

        save_all(1)
        monkeypatch.setattr(snapshots, "_bytes", read_late)
        assert {crack.views for crack in CrackMap(target)} == {99}
    assert len(calls) > 3


def test_query_combines_conditions(path: Path) -> None:
    crack_map = CrackMap(path)
    assert ids(crack_map.query()) == [1, 2, 3, 4]
    assert ids(crack_map.query(severity="obvious")) == [1, 2]
    assert ids(crack_map.query(severity=["minor", "undetermined"])) == [3, 4]
    assert ids(crack_map.query(state=("new", "lost"))) == [2, 4]
    assert ids(crack_map.query(severity="obvious", min_length_m=1.0)) == [1]
    assert ids(crack_map.query(severity="obvious").query(state="new")) == [2]


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (((-1, -1, 7), (1, 1, 9)), [2]),
        (((1, 1, 9), (-1, -1, 7)), [2]),
        (((0.4, -0.1, 0.9), (0.6, 0.1, 1.1)), [1, 3, 4]),  # between two vertices
        (((2.0, 0.0, 1.0), (3.0, 0.0, 1.0)), [1, 3, 4]),  # touches an end
        (((2.1, -1, 0), (3, 1, 2)), []),
        (((0.4, 0.1, 0.9), (0.6, 0.2, 1.1)), []),
        (((-np.inf, -np.inf, 5), (np.inf, np.inf, np.inf)), [2]),
    ],
)
def test_query_region_keeps_crossing_cracks(path: Path, region: tuple, expected: list[int]) -> None:
    assert ids(CrackMap(path).query(region=region)) == expected


@pytest.mark.parametrize(
    ("condition", "part"),
    [({"severity": "huge"}, "huge"), ({"state": "old"}, "old"), ({"region": ((0, 0), (1, 1))}, "two corners")],
)
def test_query_unknown_value_named(path: Path, condition: dict, part: str) -> None:
    with pytest.raises(UserError, match=part):
        CrackMap(path).query(**condition)


def test_exports_contain_selection(path: Path, tmp_path: Path) -> None:
    selected = CrackMap(path)[:2]
    assert isinstance(selected, CrackMap) and isinstance(selected[0], MapCrack)
    selected.write_geojson(tmp_path / "out.geojson", frame="odom")
    selected.write_csv(tmp_path / "out.csv")
    collection = json.loads((tmp_path / "out.geojson").read_text(encoding="utf-8"))
    assert [feature["id"] for feature in collection["features"]] == [1, 2]
    assert collection["crack_perception"]["frame"] == "odom"
    assert collection == json.loads(json.dumps(selected.to_geojson("odom")))
    with closing(MapStore(path)) as store:
        assert selected.to_csv() == map_csv(store.load()[:2], SeverityScale.of_preset("gb50204"))
    assert (tmp_path / "out.csv").read_bytes().decode() == selected.to_csv()


def test_crack_map_unreadable_file_reason_given(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        CrackMap(tmp_path / "nothing.sqlite")
    with pytest.raises(UserError, match="Is a directory"):
        CrackMap(tmp_path)
    text = tmp_path / "text.sqlite"
    text.write_text("no database" * 50)
    with pytest.raises(UserError, match="not an SQLite database"):
        CrackMap(text)
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        other.execute("CREATE TABLE crack (id INTEGER)")
    with pytest.raises(UserError, match="another program"):
        CrackMap(tmp_path / "other.sqlite")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="is not a readable crack map"):
        CrackMap(path)
