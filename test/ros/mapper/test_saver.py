# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The saving thread on real SQLite files: order, failures that heal, jobs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_survey import wait
from map_cracks import photograph_of_crack, straight_crack
from patience import PATIENCE_S

from crack_perception.errors import UserError
from crack_perception.mapping.storage.database import MapStore
from crack_perception.ros.mapper.saver import EvidenceChanges, MapSaver, wait_with_progress


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "map.sqlite"


@pytest.fixture
def saver(path: Path) -> Iterator[MapSaver]:
    made = MapSaver(MapStore(path))
    yield made
    made.stop(5.0)


def ids_in(path: Path) -> list[int]:
    store = MapStore(path)
    try:
        return [crack.id for crack in store.load()]
    finally:
        store.close()


def test_stop_saves_all_changes(saver: MapSaver, path: Path) -> None:
    saver.save([straight_crack(1), straight_crack(2)], [], 3)
    saver.save([straight_crack(3)], [2], 4)
    saver.stop(5.0)
    assert ids_in(path) == [1, 3]


def test_do_runs_after_all_earlier_changes(saver: MapSaver) -> None:
    assert saver._store is not None
    for crack_id in range(1, 50):
        saver.save([straight_crack(crack_id)], [], crack_id + 1)
    assert len(saver.do(saver._store.load).result(PATIENCE_S)) == 49
    assert saver.unsaved_s == 0.0


def test_do_error_is_set_in_the_future_only(saver: MapSaver) -> None:
    def broken() -> None:
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        saver.do(broken).result(PATIENCE_S)
    assert saver.do(lambda: 7).result(PATIENCE_S) == 7


def test_save_blocked_disk_returns_at_once(saver: MapSaver) -> None:
    released = threading.Event()
    hanging = saver.do(lambda: released.wait(PATIENCE_S))
    saver.save([straight_crack(1)], [], 2)
    assert not hanging.done()
    assert saver.unsaved_s >= 0.0
    released.set()
    saver.do(lambda: None).result(PATIENCE_S)
    assert saver.unsaved_s == 0.0


def test_unsaved_holds_until_the_disk_has_the_changes(saver: MapSaver, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saver._store is not None
    released, save = threading.Event(), saver._store.save

    def slow_save(*changes: Any) -> None:
        released.wait(PATIENCE_S)
        save(*changes)

    monkeypatch.setattr(saver._store, "save", slow_save)
    saver.save([straight_crack(1)], [], 2)
    time.sleep(0.3)
    assert saver.unsaved_s >= 0.3
    saver.save([straight_crack(2)], [], 3)
    assert saver.unsaved_s >= 0.3, "what is being written is older"
    released.set()
    saver.do(lambda: None).result(PATIENCE_S)
    assert saver.unsaved_s == 0.0


def test_unwritten_bytes_count_the_photograph_that_is_being_written(
    saver: MapSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert saver._store is not None
    begun, released = threading.Event(), threading.Event()

    def hang(name: str, data: bytes) -> None:
        begun.set()
        released.wait(PATIENCE_S)
        raise UserError("the disk is full")

    monkeypatch.setattr(saver._store.files, "write", hang)
    photograph = photograph_of_crack()
    evidence = EvidenceChanges({photograph.file: photograph}, {photograph.file: bytes(5000)})
    saver.save([straight_crack(1)], [], 2, evidence=evidence)
    assert begun.wait(PATIENCE_S)
    assert saver.unwritten_bytes == 5000, "a disk that hangs must not let more photographs into the memory"
    released.set()
    wait(lambda: "full" in saver.failure)
    assert saver.unwritten_bytes == 5000
    monkeypatch.undo()
    wait(lambda: not saver.failure)
    assert saver.unwritten_bytes == 0


def test_save_failing_disk_saves_the_newest_state_later(saver: MapSaver, path: Path) -> None:
    away = path.with_name("elsewhere")
    saver.save([straight_crack(1)], [], 2)
    saver.do(lambda: None).result(PATIENCE_S)
    os.rename(path, away)  # a store refuses to write on into a file that was removed
    saver.save([straight_crack(1, views=8), straight_crack(2)], [], 3)
    wait(lambda: "removed" in saver.failure)
    saver.save([straight_crack(1, views=9)], [2], 4)
    assert saver.unsaved_s > 0.0
    os.rename(away, path)
    wait(lambda: not saver.failure)
    saver.stop(5.0)
    store = MapStore(path)
    (crack,) = store.load()
    assert (crack.id, crack.views, store.next_id) == (1, 9, 4)
    store.close()


def test_saver_without_database_runs_jobs() -> None:
    saver = MapSaver(None)
    saver.save([straight_crack(1)], [], 2)
    assert saver.unsaved_s == 0.0 and saver.do(lambda: 1).result(PATIENCE_S) == 1
    saver.stop(5.0)


def test_wait_with_progress_while_work_advances_outlasts_the_patience() -> None:
    ticks = iter(range(1000))
    checks = iter([False] * 8 + [True])

    def is_done(timeout_s: float) -> bool:
        time.sleep(timeout_s)
        return next(checks)

    assert wait_with_progress(is_done, lambda: next(ticks), patience_s=0.02)


def test_wait_with_progress_without_progress_gives_up() -> None:
    assert not wait_with_progress(lambda timeout_s: bool(time.sleep(timeout_s)), lambda: 0, patience_s=0.02)


def test_stop_of_a_disk_that_hangs_returns_and_leaves_the_file_open(path: Path) -> None:
    begun, released = threading.Event(), threading.Event()
    saver = MapSaver(MapStore(path))
    saver.do(lambda: (begun.set(), released.wait(PATIENCE_S)))
    assert begun.wait(PATIENCE_S)
    saver.save([straight_crack(1)], [], 2)
    saver.stop(0.05)
    assert saver.unsaved_s > 0.0
    released.set()
    saver.stop(PATIENCE_S)
    assert ids_in(path) == [1]


def test_progress_grows_while_many_cracks_are_saved(saver: MapSaver) -> None:
    before = saver.progress
    saver.save([straight_crack(crack_id) for crack_id in range(1, 500)], [], 500)
    saver.do(lambda: None).result(PATIENCE_S)
    assert saver.progress > before + 10
