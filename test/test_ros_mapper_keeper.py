"""The map with its file and exports: saving goes on while files are drawn, and only written exports count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_survey import crack, detections_message, footprint_message, header, points_message, wait
from map_cracks import straight_crack

from crack_perception.errors import UserError
from crack_perception.mapping.observation import SurfaceSighting
from crack_perception.mapping.store import MapStore
from crack_perception.ros import mapper_keeper
from crack_perception.ros.mapper_keeper import MapKeeper
from crack_perception.ros.mapper_pairing import FrameMessages
from crack_perception.ros.mapper_parameters import SPECS, TABLE, MapperSettings
from crack_perception.ros.mapper_sighting import sighting_of

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


def sighting(number: int) -> SurfaceSighting:
    head, lines = header(STAMP_NS + number * 100_000_000), (crack(0.0),)
    frame = FrameMessages(detections_message(head, lines), footprint_message(head), points_message(head, lines))
    return sighting_of(frame, "crack_node", "map", 0.1, lambda kind, text: pytest.fail(text))


def test_an_export_that_failed_does_not_count(make: Callable[[], MapKeeper], settings: MapperSettings) -> None:
    keeper = make()
    assert keeper.is_exported, "an empty map that has never been anything else"
    keeper.add(sighting(0))
    assert settings.output_folder is not None
    settings.output_folder.write_text("a file in the folder's place")
    with pytest.raises(UserError, match="cannot be made"):
        keeper.export(settings).result(20.0)
    assert not keeper.is_exported
    settings.output_folder.unlink()
    assert len(keeper.export(settings).result(20.0)) == 4
    assert keeper.is_exported


def test_a_map_that_a_killed_mapper_left_is_not_exported_yet(
    make: Callable[[], MapKeeper], settings: MapperSettings
) -> None:
    assert settings.database is not None
    store = MapStore(settings.database)
    store.save([straight_crack(1)])
    store.close()
    assert not make().is_exported


def test_saving_goes_on_while_files_are_drawn(
    make: Callable[[], MapKeeper], settings: MapperSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, released, write = threading.Event(), threading.Event(), mapper_keeper.write_exports

    def long_write(*arguments: Any) -> list[Path]:
        began.set()
        assert released.wait(10.0)
        return write(*arguments)

    monkeypatch.setattr(mapper_keeper, "write_exports", long_write)
    keeper = make()
    keeper.add(sighting(0))
    outcome = keeper.export(settings)
    assert began.wait(5.0)
    keeper.add(sighting(1))
    keeper.hand_over()
    wait(lambda: keeper.unsaved_s == 0.0)
    assert not outcome.done()
    released.set()
    outcome.result(20.0)
    assert not keeper.is_exported, "the map has gone on since"
