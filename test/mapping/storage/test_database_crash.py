# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the map database under failures: kill at any moment, full disk, second mapper."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from map_cracks import random_crack, straight_crack
from stored_maps import ids, saved

from crack_perception.errors import UserError
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import read_snapshot

SUPPORT = str(Path(__file__).resolve().parents[2] / "support")
ANYBODY = 65534
"""User id of nobody, who has almost no write permissions."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "crack_map.sqlite"


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Limit the size of files of this process, which simulates a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from map_cracks import straight_crack
from crack_perception.mapping.storage.database import MapStore

store = MapStore(Path(sys.argv[1]))
version = max((crack.views for crack in store.load()), default=0)
next_id = store.next_id
print(version, flush=True)
while True:
    version += 1
    area_m = [[version, 0, 0], [version + 1, 0, 0], [version, 0, 1]]
    cracks = [straight_crack(i, views=version) for i in range(1, 21)]
    store.save(cracks, removed=[next_id], inspected_areas_m=[area_m])
    next_id += 1
    print(version, flush=True)
"""


def test_database_killed_mapper_keeps_saved_cracks(path: Path) -> None:
    chance = random.Random(3)
    reported = 0
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), SUPPORT],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        # A number of saves instead of a time, so that the process is killed while it writes, on every machine.
        for _ in range(chance.randint(1, 20)):
            reported = max(reported, int(child.stdout.readline()))
        child.send_signal(signal.SIGKILL)
        reported = max([reported, *(int(line) for line in child.communicate()[0].split())])
        with closing(MapStore(path)) as store:
            versions = {crack.views for crack in store.load()}
            assert store.rescue is None
            assert len(versions) <= 1, "half a transaction"
            assert max(versions, default=0) >= reported
            assert len(store.load_inspected_areas()) == max(versions, default=0), "half a transaction"
            assert store.next_id > reported
    assert reported > 6
    assert not list(path.parent.glob("*corrupt*"))


def test_database_after_crash_ids_not_reused(path: Path) -> None:
    program = WRITER.split("while True", 1)[0] + "store.save([straight_crack(1)])\nimport os\nos.kill(os.getpid(), 9)"
    subprocess.run(
        [sys.executable, "-c", program, str(path), SUPPORT],
        capture_output=True,
    )
    with closing(MapStore(path)) as store:
        assert [crack.id for crack in store.load()] == [1]
        assert store.next_id > 50
    with closing(MapStore(path)) as store:
        assert store.next_id > 50


def test_database_second_mapper_refused(path: Path) -> None:
    cracks = saved(path)
    with closing(MapStore(path)) as store:
        with pytest.raises(UserError, match="in use by another") as caught:
            MapStore(path)
        assert "of its own" in caught.value.remedy
        store.save([], removed=[1])
    assert ids(path) == [crack.id for crack in cracks[1:]]


def test_database_full_disk_loses_only_unsaved(path: Path) -> None:
    saved(path)
    big = [random_crack(np.random.default_rng(1), crack_id, 2000) for crack_id in range(4, 12)]
    with closing(MapStore(path)) as store:
        with files_limited_to(300_000), pytest.raises(UserError, match=r"cannot be saved|full"):
            store.save(big, removed=[1])
        assert [crack.id for crack in store.load()] == [1, 2, 3]
        store.save(big, removed=[1])  # once there is space again
    assert ids(path) == list(range(2, 12))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_database_small_file_system_full_recovers(tmp_path: Path) -> None:
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
def test_database_unwritable_path_refused_on_open(existing: bool) -> None:
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


def test_database_path_is_folder_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        MapStore(tmp_path)


def test_database_removed_file_detected(path: Path) -> None:
    saved(path)
    with closing(MapStore(path)) as store:
        path.unlink()
        with pytest.raises(UserError, match="was removed or replaced"):
            store.save([straight_crack(4)])


def test_database_save_after_close_raises(path: Path) -> None:
    store = MapStore(path)
    store.close()
    store.close()
    with pytest.raises(UserError, match="closed"):
        store.save([straight_crack()])


def test_database_path_is_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.sqlite")
    with pytest.raises(UserError, match="is not a regular file"):
        MapStore(tmp_path / "pipe.sqlite")
    with pytest.raises(UserError, match="is not a regular file"):
        read_snapshot(tmp_path / "pipe.sqlite")
