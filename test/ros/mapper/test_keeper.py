# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The map with its file and exports: saving goes on while files are drawn, and no disk holds up a reset for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_survey import Line, crack, detections_message, footprint_message, header, points_message, wait
from map_cracks import straight_crack
from patience import PATIENCE_S

from crack_perception.errors import UserError
from crack_perception.mapping.observation import FrameObservation
from crack_perception.mapping.storage.database import MapStore
from crack_perception.ros.mapper import keeper as mapper_keeper
from crack_perception.ros.mapper.exports import NAME
from crack_perception.ros.mapper.keeper import MapKeeper
from crack_perception.ros.mapper.observation import observation_of
from crack_perception.ros.mapper.pairing import FrameMessages
from crack_perception.ros.mapper.parameters import SPECS, TABLE, MapperSettings

STAMP_NS = 1_700_000_000_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> MapperSettings:
    values = {spec.name: spec.default for spec in SPECS}
    return TABLE.settings_from(
        values | {"database": str(tmp_path / "map.sqlite"), "output_folder": str(tmp_path / "a")}
    )


@pytest.fixture
def make(settings: MapperSettings) -> Iterator[Callable[[], MapKeeper]]:
    keepers: list[MapKeeper] = []

    def made() -> MapKeeper:
        keepers.append(MapKeeper(settings))
        return keepers[-1]

    yield made
    for keeper in keepers:
        keeper.stop(5.0)


def frame_observation(number: int, *lines: Line) -> FrameObservation:
    head = header(STAMP_NS + number * 100_000_000)
    lines = lines or (crack(0.0),)
    frame = FrameMessages(detections_message(head, lines), footprint_message(head), points_message(head, lines))
    return observation_of(frame, "crack_node", "map", 0.1, lambda kind, text: pytest.fail(text))


def test_export_failed_leaves_the_map_unexported(make: Callable[[], MapKeeper], settings: MapperSettings) -> None:
    keeper = make()
    assert keeper.is_exported, "an empty map that has never been anything else"
    keeper.add(frame_observation(0))
    assert settings.output_folder is not None
    settings.output_folder.write_text("a file in the folder's place")
    with pytest.raises(UserError, match="cannot be created"):
        keeper.export(settings, with_plan=True).result(20.0)
    assert not keeper.is_exported
    settings.output_folder.unlink()
    assert len(keeper.export(settings, with_plan=True).result(20.0)) == 4
    assert keeper.is_exported


def test_keeper_map_of_a_killed_mapper_is_not_exported(make: Callable[[], MapKeeper], settings: MapperSettings) -> None:
    assert settings.database is not None
    store = MapStore(settings.database)
    store.save([straight_crack(1)])
    store.close()
    assert not make().is_exported


def test_export_in_progress_does_not_block_saving(
    make: Callable[[], MapKeeper], settings: MapperSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, released, write = threading.Event(), threading.Event(), mapper_keeper.write_tables

    def long_write(*arguments: Any) -> list[Path]:
        began.set()
        assert released.wait(PATIENCE_S)
        return write(*arguments)

    monkeypatch.setattr(mapper_keeper, "write_tables", long_write)
    keeper = make()
    keeper.add(frame_observation(0))
    outcome = keeper.export(settings, with_plan=True)
    assert began.wait(5.0)
    keeper.add(frame_observation(1))
    keeper.flush()
    wait(lambda: keeper.unsaved_s == 0.0)
    assert not outcome.done()
    released.set()
    outcome.result(20.0)
    assert not keeper.is_exported, "the map has gone on since"


def stored_ids(settings: MapperSettings) -> list[int]:
    assert settings.database is not None
    with closing(MapStore(settings.database)) as store:
        return [each.id for each in store.load()]


def test_reset_archives_the_map_and_drops_later_frames(make: Callable[[], MapKeeper], settings: MapperSettings) -> None:
    keeper = make()
    keeper.add(frame_observation(0))
    kept_at = keeper.archive(20.0)
    keeper.add(frame_observation(1, crack(0.0), crack(1.0)))
    keeper.flush()
    path = kept_at.result(20.0)
    keeper.reset()
    assert keeper.cracks() == () and path is not None
    keeper.add(frame_observation(2))
    keeper.stop(5.0)
    assert stored_ids(settings) == [3], "ids go on"
    with closing(MapStore(path)) as store:
        assert [each.id for each in store.load()] == [1] and len(store.load_inspected_areas()) == 1


@pytest.mark.parametrize("is_late", [False, True])
def test_archive_blocked_disk_times_out_without_loss(
    make: Callable[[], MapKeeper], settings: MapperSettings, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    """It hangs before the reset is begun, or in the midst of it, so that the file is emptied after all."""
    keeper, released = make(), threading.Event()
    keeper.add(frame_observation(0))
    assert keeper._store is not None
    empty = keeper._store.clear

    def hanging_clear() -> Path:
        assert released.wait(PATIENCE_S)
        return empty()

    if is_late:
        monkeypatch.setattr(keeper._store, "clear", hanging_clear)
    else:
        keeper._saver.do(lambda: released.wait(PATIENCE_S))
    refused = keeper.archive(0.2)
    with pytest.raises(UserError, match="has not answered") as caught:
        refused.result(PATIENCE_S / 2)
    assert "unchanged" in caught.value.remedy
    released.set()
    keeper._saver.do(lambda: None).result(PATIENCE_S)
    keeper.add(frame_observation(1, crack(0.0), crack(1.0)))
    keeper.flush()
    assert len(keeper.cracks()) == 2
    keeper.stop(5.0)
    assert stored_ids(settings) == [1, 2]
    kept = [entry for entry in settings.database.parent.iterdir() if ".until-" in entry.name]
    assert len(kept) == is_late


def test_export_tables_at_end_without_prepared_rows_writes_every_crack(
    make: Callable[[], MapKeeper], settings: MapperSettings
) -> None:
    assert settings.database is not None and settings.output_folder is not None
    with closing(MapStore(settings.database)) as store:
        store.save([straight_crack(crack_id) for crack_id in range(1, 1001)], [], 1001)
    keeper = make()
    paths = keeper.export_tables_at_end(settings, patience_s=PATIENCE_S)
    assert keeper.is_exported
    assert [path.read_text().count("confirmed") for path in paths] == [1000, 1000]


def test_export_tables_at_end_on_a_disk_that_hangs_reports_it(
    make: Callable[[], MapKeeper], settings: MapperSettings
) -> None:
    keeper, released = make(), threading.Event()
    keeper.add(frame_observation(0))
    keeper._saver.do(lambda: released.wait(PATIENCE_S))
    with pytest.raises(UserError, match="has not answered"):
        keeper.export_tables_at_end(settings, patience_s=0.2)
    released.set()


def test_archive_failing_disk_leaves_the_map_unchanged(
    make: Callable[[], MapKeeper], settings: MapperSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = make()
    keeper.add(frame_observation(0))

    def refuse() -> Path:
        raise UserError("the disk is full")

    monkeypatch.setattr(keeper._store, "clear", refuse)
    with pytest.raises(UserError, match="full"):
        keeper.archive(5.0).result(5.0)
    keeper.add(frame_observation(1, crack(0.0), crack(1.0)))
    keeper.stop(5.0)
    assert stored_ids(settings) == [1, 2]


def test_plan_after_a_restart_shows_all_inspected_areas(
    make: Callable[[], MapKeeper], settings: MapperSettings
) -> None:
    """Clean surface too; nearly the same view of another day is no second area."""
    keeper = make()
    keeper.add(frame_observation(0))
    far = frame_observation(1)
    keeper.add(replace(far, observations=(), footprint_m=far.footprint_m + [0.0, 30.0, 0.0]))
    keeper.stop(5.0)
    again = make()
    assert not again.is_exported
    again.add(frame_observation(2))
    assert len(again._areas) == 2
    again.export(settings, with_plan=True).result(20.0)
    assert again.is_exported and settings.output_folder is not None
    plan = (settings.output_folder / f"{NAME}.svg").read_text()
    again.stop(5.0)
    with_less = make()
    with_less._areas.clear()
    with_less.export(settings, with_plan=True).result(20.0)
    assert (settings.output_folder / f"{NAME}.svg").read_text() != plan


def test_plan_of_a_flight_without_cracks_is_written(make: Callable[[], MapKeeper], settings: MapperSettings) -> None:
    keeper = make()
    keeper.add(replace(frame_observation(0), observations=()))
    assert keeper.cracks() == () and not keeper.is_exported


def test_keeper_start_removes_incomplete_exports(make: Callable[[], MapKeeper], settings: MapperSettings) -> None:
    assert settings.output_folder is not None
    settings.output_folder.mkdir()
    leftover = settings.output_folder / f".{NAME}.png.partial-999999999"
    for path in (leftover, settings.output_folder / f"{NAME}.png"):
        path.write_bytes(b"half of a picture")
    make()
    assert [entry.name for entry in settings.output_folder.iterdir()] == [f"{NAME}.png"]
