# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs and decisions beside the map: stored with their cracks, followed, archived, whole after a crash."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from crack_survey import Line, crack, detections_message, footprint_message, header, photograph_of, points_message, wait
from map_cracks import jpeg_of
from patience import PATIENCE_S

from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import Action, Decision, Verdict, reviews
from crack_perception.mapping.evidence.photograph import Photograph, photograph_folder
from crack_perception.mapping.evidence.self_describing import photograph_in
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import Snapshot, read_snapshot
from crack_perception.ros.mapper.keeper import MapKeeper
from crack_perception.ros.mapper.observation import observation_of
from crack_perception.ros.mapper.pairing import FrameMessages
from crack_perception.ros.mapper.parameters import SPECS, TABLE, MapperSettings

STAMP_NS = 1_700_000_000_000_000_000
PERIOD_NS = 400_000_000
LEFT, RIGHT = crack(0.0), crack(1.0, z_m=0.7)

Make = Callable[..., MapKeeper]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "map.sqlite"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    keepers: list[MapKeeper] = []

    def made(**changes: Any) -> MapKeeper:
        for keeper in keepers:
            keeper.stop(PATIENCE_S)
        keepers.append(MapKeeper(settings(path, **changes)))
        return keepers[-1]

    yield made
    for keeper in keepers:
        keeper.stop(PATIENCE_S)


def settings(path: Path, **changes: Any) -> MapperSettings:
    values = {spec.name: spec.default for spec in SPECS} | {"database": str(path)}
    return TABLE.settings_from(values | changes)


def fly(keeper: MapKeeper, number: int, *lines: Line, photographs: bool = True, **changes: Any) -> list[Photograph]:
    """Map a frame with these cracks and offer a photograph of each; the photographs."""
    stamp_ns = STAMP_NS + number * PERIOD_NS
    head = header(stamp_ns)
    frame = FrameMessages(detections_message(head, lines), footprint_message(head), points_message(head, lines))
    sent = [photograph_of(line, stamp_ns, source="crack_node", **changes) for line in lines] if photographs else []
    for photograph in sent:
        keeper.offer_photograph(photograph, jpeg_of(photograph))
    keeper.place_photographs()
    assert not sent or not any(each.stamp_ns == stamp_ns for each in kept_by(keeper)), "before its frame is mapped"
    keeper.add(observation_of(frame, "crack_node", "map", 0.1, lambda kind, text: pytest.fail(text)))
    keeper.place_photographs()
    keeper.flush()
    return sent


def kept_by(keeper: MapKeeper) -> list[Photograph]:
    album = keeper._evidence._album
    return [each for crack_id in sorted(album.crack_ids) for each in album.of(crack_id)]


def settled(keeper: MapKeeper) -> None:
    keeper.flush()
    keeper._saver.do(lambda: None).result(PATIENCE_S)


def check_whole(path: Path) -> Snapshot:
    """Every record has its file, every file its record, every photograph its crack; the contents."""
    snapshot = read_snapshot(path)
    folder = photograph_folder(path)
    files = {file.name for file in folder.iterdir()} if folder.exists() else set()
    assert files == {photograph.file for photograph in snapshot.photographs}
    assert {photograph.crack_id for photograph in snapshot.photographs} <= {crack.id for crack in snapshot.cracks}
    for photograph in snapshot.photographs:
        found = photograph_in((folder / photograph.file).read_bytes())
        assert (found.stamp_ns, found.size_px) == (photograph.stamp_ns, photograph.size_px)
    return snapshot


def test_photographs_best_of_each_crack_are_stored(make: Make, path: Path) -> None:
    keeper = make()
    for number in range(0, 40, 3):
        fly(keeper, number, LEFT, RIGHT, gsd_mm_per_px=1.0 + 0.2 * abs(number - 18))
    keeper.stop(PATIENCE_S)
    snapshot = check_whole(path)
    assert len(snapshot.cracks) == 2 and len(snapshot.photographs) == 6
    for mapped in snapshot.cracks:
        own = [photograph for photograph in snapshot.photographs if photograph.crack_id == mapped.id]
        assert min(photograph.gsd_mm_per_px for photograph in own) == 1.0
        offsets = [photograph.lines[0].points_m.mean(axis=0) - mapped.line_m.mean(axis=0) for photograph in own]
        assert np.abs(offsets).max() < 0.02
    figures = keeper.evidence
    assert figures.kept == 6 and figures.received == 28 and figures.refused >= 28 - 20


def test_photographs_without_a_crack_are_refused(make: Make, path: Path) -> None:
    keeper = make()
    fly(keeper, 0, LEFT, photographs=False)
    keeper.offer_photograph(photograph_of(RIGHT, STAMP_NS), b"")
    keeper.place_photographs(all_of_them=True)
    assert keeper.evidence.without_crack == 1 and not kept_by(keeper)


def test_photographs_without_a_database_are_not_kept(tmp_path: Path) -> None:
    keeper = MapKeeper(settings(tmp_path / "no.sqlite", database="", output_folder=str(tmp_path)))
    fly(keeper, 0, LEFT)
    assert keeper.evidence.kept == 0 and not list(tmp_path.glob("*photographs*"))
    keeper.stop(PATIENCE_S)


def test_photographs_go_on_after_a_restart(make: Make, path: Path) -> None:
    fly(make(), 0, LEFT)
    keeper = make()
    (before,) = kept_by(keeper)
    fly(keeper, 10, LEFT, RIGHT)
    keeper.stop(PATIENCE_S)
    snapshot = check_whole(path)
    assert len(snapshot.photographs) == 3 and before.file in {each.file for each in snapshot.photographs}


def test_start_removes_what_a_crash_has_left(make: Make, path: Path) -> None:
    keeper = make()
    fly(keeper, 0, LEFT, RIGHT)
    keeper.stop(PATIENCE_S)
    first, second = check_whole(path).photographs
    folder = photograph_folder(path)
    (folder / "crack-9-0-00000000.jpg").write_bytes(b"written, but not recorded")
    (folder / ".crack-9.jpg.partial-999999999").write_bytes(b"half")
    (folder / first.file).unlink()
    keeper = make()
    settled(keeper)
    keeper.stop(PATIENCE_S)
    assert [each.file for each in check_whole(path).photographs] == [second.file]


def test_damaged_database_does_not_cost_the_photographs(make: Make, path: Path) -> None:
    keeper = make()
    fly(keeper, 0, LEFT)
    keeper.stop(PATIENCE_S)
    names = {file.name for file in photograph_folder(path).iterdir()}
    path.write_bytes(b"this is no database any more" * 200)
    keeper = make()
    assert keeper.rescue
    (kept_at,) = (each for each in path.parent.glob("map.sqlite.corrupt-*") if each.is_file())
    assert {file.name for file in photograph_folder(kept_at).iterdir()} == names
    settled(keeper)
    check_whole(path)


def test_limit_of_bytes_is_kept(make: Make, path: Path) -> None:
    size = len(jpeg_of(photograph_of(LEFT, STAMP_NS)))
    limit_mb = 3.5 * size / 1e6
    keeper = make(evidence_max_mb=limit_mb)
    for number in range(0, 30, 3):
        fly(keeper, number, LEFT, RIGHT)
        settled(keeper)
        assert sum(file.stat().st_size for file in photograph_folder(path).iterdir()) <= 1e6 * limit_mb
    keeper.stop(PATIENCE_S)
    assert {each.crack_id for each in check_whole(path).photographs} == {1, 2}


def test_limit_zero_keeps_what_is_stored(make: Make, path: Path) -> None:
    fly(make(), 0, LEFT)
    keeper = make(evidence_max_mb=0.0)
    fly(keeper, 5, LEFT, photographs=False)
    keeper.stop(PATIENCE_S)
    assert len(check_whole(path).photographs) == 1


def test_full_disk_saves_the_map_and_later_the_photographs(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = make()
    files = keeper._store.files
    write = files.write

    def full(name: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    fly(keeper, 0, LEFT)
    settled(keeper)
    assert "the disk is full" in keeper.failure and keeper.unsaved_s > 0.0
    assert len(read_snapshot(path).cracks) == 1 and not read_snapshot(path).photographs
    monkeypatch.setattr(files, "write", write)
    wait(lambda: not keeper.failure)
    assert len(check_whole(path).photographs) == 1 and keeper.unsaved_s == 0.0


def test_full_disk_for_long_does_not_fill_the_memory(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = make()

    def full(name: str, data: bytes) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr(keeper._store.files, "write", full)
    monkeypatch.setattr("crack_perception.ros.mapper.evidence._MOST_UNWRITTEN_BYTES", 1_000_000)
    for number in range(0, 60, 3):
        lines = [crack(0.8 * (number % 9), z_m=0.3 + 0.05 * number)]
        fly(keeper, number, *lines)
    assert keeper._saver.unwritten_bytes <= 1_000_000 and keeper.evidence.refused > 0


def halves(gap_m: float = 0.25) -> tuple[Line, Line, Line]:
    """Two cracks in line with each other, and the one that they turn out to be."""
    whole = crack(0.0, 1.2)
    y = whole[:, 1]
    return whole[y <= 0.6 - gap_m / 2], whole[y >= 0.6 + gap_m / 2], whole


def test_merged_cracks_share_the_best_photographs_and_the_decisions(make: Make, path: Path) -> None:
    one, other, whole = halves()
    keeper = make()
    for number in range(0, 9, 3):
        fly(keeper, number, one, other)
    keeper.stop(PATIENCE_S)
    before = check_whole(path)
    assert [each.id for each in before.cracks] == [1, 2] and len(before.photographs) == 6
    with closing(MapStore(path)) as store:
        store.add_decision(Decision(2, Action.REJECT, {}, "reviewer", 5))
        store.add_decision(Decision(2, Action.RENAME, {"name": "joint"}, "reviewer", 6))
        store.add_decision(Decision(1, Action.REJECT, {}, "reviewer", 7))
    keeper = make()
    for number in range(10, 16):
        fly(keeper, number, whole, photographs=False)
    keeper.stop(PATIENCE_S)
    after = check_whole(path)
    assert [each.id for each in after.cracks] == [1]
    assert len(after.photographs) == 3 and {each.crack_id for each in after.photographs} == {1}
    review = reviews(after.decisions)
    assert review[1].verdict is Verdict.REJECTED and review[1].name == "joint" and 2 not in review


def test_rejected_crack_stays_rejected_when_it_is_seen_again(make: Make, path: Path) -> None:
    fly(make(), 0, LEFT)
    make().stop(PATIENCE_S)
    with closing(MapStore(path)) as store:
        store.add_decision(Decision(1, Action.REJECT, {}, "reviewer", 5))
    keeper = make()
    # Frames that should show it and do not would remove a new crack.
    for number in range(5, 60, 5):
        fly(keeper, number, photographs=False)
    assert [each.id for each in keeper.cracks()] == [1]
    for number in range(60, 80, 5):
        fly(keeper, number, LEFT)
    keeper.stop(PATIENCE_S)
    after = check_whole(path)
    assert [each.id for each in after.cracks] == [1] and reviews(after.decisions)[1].verdict is Verdict.REJECTED


def test_removed_crack_takes_its_photographs_with_it(make: Make, path: Path) -> None:
    keeper = make()
    fly(keeper, 0, LEFT)
    settled(keeper)
    assert len(check_whole(path).photographs) == 1
    for number in range(5, 100, 5):
        fly(keeper, number, photographs=False)
    settled(keeper)
    snapshot = check_whole(path)
    assert not snapshot.cracks and not snapshot.photographs


def test_reset_archives_the_photographs_with_the_map(make: Make, path: Path) -> None:
    keeper = make()
    fly(keeper, 0, LEFT)
    fly(keeper, 5, LEFT)
    archive = keeper.archive(PATIENCE_S).result(PATIENCE_S)
    keeper.reset()
    assert archive is not None and len(check_whole(archive).photographs) == 2
    settled(keeper)
    assert not check_whole(path).photographs
    fly(keeper, 20, LEFT)
    settled(keeper)
    assert len(check_whole(path).photographs) == 1 and len(check_whole(archive).photographs) == 2


def test_reset_that_cannot_copy_leaves_everything(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = make()
    fly(keeper, 0, LEFT)
    settled(keeper)

    def full(map_path: Path, names: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keeper._store.files, "copy_to", full)
    with pytest.raises(UserError, match="full"):
        keeper.archive(PATIENCE_S).result(PATIENCE_S)
    assert len(check_whole(path).photographs) == 1 and not list(path.parent.glob("*until*"))


def test_photograph_offered_twice_is_stored_once(make: Make, path: Path) -> None:
    keeper = make()
    (sent,) = fly(keeper, 0, LEFT)
    keeper.offer_photograph(replace(sent), jpeg_of(sent))
    keeper.place_photographs(all_of_them=True)
    settled(keeper)
    assert len(check_whole(path).photographs) == 1
