"""The crack map's file: whole round trips, crashes at any moment, full disks, damage, other people's files."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from map_cracks import assert_same, random_crack, straight_crack, with_fusion_state

from crack_perception.errors import UserError
from crack_perception.mapping.store import MapStore
from crack_perception.mapping.store_rows import SCHEMA_VERSION

ANYBODY = 65534
"""The user id of nobody, who may write hardly anywhere."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "crack_map.sqlite"


def saved(path: Path, count: int = 3, vertices: int | None = None) -> list:
    """A closed file with random cracks 1..count; the cracks."""
    rng = np.random.default_rng(count)
    cracks = [random_crack(rng, crack_id, vertices) for crack_id in range(1, count + 1)]
    with closing(MapStore(path)) as store:
        store.save(cracks)
    return cracks


def ids(path: Path) -> list[int]:
    with closing(MapStore(path)) as store:
        return [crack.id for crack in store.load()]


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """No file of this process grows beyond that size: what a full disk does, without filling one."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_every_field_comes_back_exactly(path: Path) -> None:
    cracks = saved(path, 60)
    with closing(MapStore(path)) as store:
        loaded = store.load()
        assert store.rescue is None
    assert len(loaded) == len(cracks)
    for found, expected in zip(loaded, cracks, strict=True):
        assert_same(found, expected)


def test_what_the_fusion_needs_comes_back_exactly(path: Path) -> None:
    rng = np.random.default_rng(8)
    cracks = [with_fusion_state(random_crack(rng, crack_id), rng) for crack_id in range(1, 9)]
    with closing(MapStore(path)) as store:
        store.save(cracks)
        for found, expected in zip(store.load(), cracks, strict=True):
            assert_same(found, expected)


def test_a_file_from_before_a_field_existed_gets_its_default(path: Path) -> None:
    cracks = saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        for name in ("covariance_knots_m2", "coarsest_gsd_mm_per_px", "apart_from"):
            database.execute(f"ALTER TABLE crack DROP COLUMN {name}")
    with closing(MapStore(path)) as store:
        for found, expected in zip(store.load(), cracks, strict=True):
            assert_same(found, expected)


def test_an_empty_map_is_a_map(path: Path) -> None:
    with closing(MapStore(path)) as store:
        assert store.load() == ()
        assert store.next_id == 1
        store.save([])
    assert ids(path) == []


def test_folders_are_created(tmp_path: Path) -> None:
    assert ids(tmp_path / "maps" / "bridge 7? #2" / "map.sqlite") == []


def test_saving_updates_and_removes(path: Path) -> None:
    saved(path)
    changed = straight_crack(2, views=99)
    with closing(MapStore(path)) as store:
        store.save([changed, straight_crack(4)], removed=[1, 77])
    with closing(MapStore(path)) as store:
        loaded = {crack.id: crack for crack in store.load()}
    assert sorted(loaded) == [2, 3, 4]
    assert_same(loaded[2], changed)


def test_ids_are_never_reused(path: Path) -> None:
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


def test_clearing_keeps_the_map_so_far(path: Path) -> None:
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


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from map_cracks import straight_crack
from crack_perception.mapping.store import MapStore
store = MapStore(Path(sys.argv[1]))
version = max((crack.views for crack in store.load()), default=0)
next_id = store.next_id
print(version, flush=True)
while True:
    version += 1
    store.save([straight_crack(i, views=version) for i in range(1, 21)], removed=[next_id])
    next_id += 1
    print(version, flush=True)
"""


def test_a_killed_mapper_loses_nothing_that_it_saved(path: Path) -> None:
    chance = random.Random(3)
    reported = 0
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert int(child.stdout.readline()) >= reported  # it stands, so the kill meets a writing process
        time.sleep(chance.uniform(0.0, 0.1))
        child.send_signal(signal.SIGKILL)
        reported = max([reported, *(int(line) for line in child.communicate()[0].split())])
        with closing(MapStore(path)) as store:
            versions = {crack.views for crack in store.load()}
            assert store.rescue is None
            assert len(versions) <= 1, "half a transaction"
            assert max(versions, default=0) >= reported
            assert store.next_id > reported
    assert reported > 6
    assert not list(path.parent.glob("*corrupt*"))


def test_ids_given_out_just_before_a_crash_are_not_given_out_again(path: Path) -> None:
    program = WRITER.split("while True", 1)[0] + "store.save([straight_crack(1)])\nimport os\nos.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", program, str(path), str(Path(__file__).parent)], capture_output=True)
    with closing(MapStore(path)) as store:
        assert [crack.id for crack in store.load()] == [1]
        assert store.next_id > 50
    with closing(MapStore(path)) as store:
        assert store.next_id > 50


def test_two_mappers_cannot_share_a_file(path: Path) -> None:
    cracks = saved(path)
    with closing(MapStore(path)) as store:
        with pytest.raises(UserError, match="in use by another") as caught:
            MapStore(path)
        assert "of its own" in caught.value.remedy
        store.save([], removed=[1])
    assert ids(path) == [crack.id for crack in cracks[1:]]


def test_a_full_disk_costs_only_what_is_not_saved_yet(path: Path) -> None:
    saved(path)
    big = [random_crack(np.random.default_rng(1), crack_id, 2000) for crack_id in range(4, 12)]
    with closing(MapStore(path)) as store:
        with files_limited_to(300_000), pytest.raises(UserError, match=r"cannot be saved|full"):
            store.save(big, removed=[1])
        assert [crack.id for crack in store.load()] == [1, 2, 3]
        store.save(big, removed=[1])  # once there is room
    assert ids(path) == list(range(2, 12))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_really_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        saved(disk / "map.sqlite")
        (disk / "ballast").write_bytes(bytes(800_000))
        big = [random_crack(np.random.default_rng(1), crack_id, 2000) for crack_id in range(4, 6)]
        with closing(MapStore(disk / "map.sqlite")) as store:
            with pytest.raises(UserError, match="disk is full") as caught:
                store.save(big)
            assert "Make room" in caught.value.remedy
            (disk / "ballast").unlink()
            store.save(big)
        assert ids(disk / "map.sqlite") == [1, 2, 3, 4, 5]
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))
        with pytest.raises(UserError, match="disk is full"):
            MapStore(disk / "another.sqlite")
        assert sorted(entry.name for entry in disk.iterdir()) == ["ballast", "map.sqlite"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("existing", [False, True])
def test_what_cannot_be_written_is_refused_at_once(existing: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crack_map.sqlite"
        if existing:
            saved(path)
            path.chmod(0o444)
        os.chmod(folder, 0o555)
        as_root = os.geteuid() == 0
        try:
            if as_root:
                os.seteuid(ANYBODY)
            with pytest.raises(UserError, match="cannot be written"):
                MapStore(path)
        finally:
            if as_root:
                os.seteuid(0)
            os.chmod(folder, 0o755)
        assert [entry.name for entry in Path(folder).iterdir()] == (["crack_map.sqlite"] if existing else [])


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        MapStore(tmp_path)


@pytest.mark.parametrize("garbage", [b"not a database, but long enough for a header " * 50, bytes(4096), b"SQLite"])
def test_garbage_is_set_aside_untouched(path: Path, garbage: bytes) -> None:
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
def test_a_file_that_is_cut_off_gives_what_is_left_of_it(path: Path, share: float) -> None:
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


def test_a_rescue_that_a_crash_cut_short_is_finished(path: Path) -> None:
    """The damaged file was set aside already, but what was rescued of it had not taken its place."""
    saved(path)
    os.rename(path, path.with_name(path.name + ".rescued"))
    assert ids(path) == [1, 2, 3]
    assert not path.with_name(path.name + ".rescued").exists()


def test_overwritten_pages_cost_only_their_cracks(path: Path) -> None:
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
def test_a_row_that_is_no_crack_costs_only_itself(path: Path, change: str) -> None:
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


def test_a_table_that_lacks_what_makes_a_crack_is_damage(path: Path) -> None:
    saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE crack DROP COLUMN normal")
    with closing(MapStore(path)) as store:
        assert store.load() == ()
        assert store.rescue is not None
        assert "normal" in store.rescue.reason
        assert store.next_id == 4


def test_the_file_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE crack (id INTEGER PRIMARY KEY, price REAL)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="belongs to another program"):
        MapStore(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(UserError, match=f"newer crack_perception .schema {SCHEMA_VERSION + 1}"):
        MapStore(path)
    assert path.read_bytes() == before


def test_a_column_of_a_later_program_survives(path: Path) -> None:
    saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE crack ADD COLUMN depth_mm REAL DEFAULT 4.5")
    with closing(MapStore(path)) as store:
        store.save([straight_crack(2)])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT depth_mm FROM crack").fetchall() == [(4.5,)] * 3


def test_a_log_that_has_lost_its_file_is_not_played_into_a_new_one(path: Path) -> None:
    orphan = path.with_name(path.name + "-wal")
    orphan.write_bytes(b"somebody removed the map, but not its log")
    assert ids(path) == []
    assert not orphan.exists()
    kept = [entry for entry in path.parent.iterdir() if ".orphaned-" in entry.name]
    assert [entry.read_bytes() for entry in kept] == [b"somebody removed the map, but not its log"]


def test_a_file_that_is_removed_under_the_mapper_is_noticed(path: Path) -> None:
    saved(path)
    with closing(MapStore(path)) as store:
        path.unlink()
        with pytest.raises(UserError, match="was removed or replaced"):
            store.save([straight_crack(4)])


def test_saving_after_closing_is_an_error_not_a_loss(path: Path) -> None:
    store = MapStore(path)
    store.close()
    store.close()
    with pytest.raises(UserError, match="closed"):
        store.save([straight_crack()])


def test_threads_may_share_a_store(path: Path) -> None:
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
