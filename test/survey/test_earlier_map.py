# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A structure that is mapped again: decisions of reviewers and ids of cracks stay, and a map in use is not replaced."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from map_observations import segment
from patience import PATIENCE_S
from structure_recordings import flight, sharp, stored

from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import Action, Decision, Verdict, reviews
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.observation import CrackObservation
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.survey.placement import MapSource
from crack_perception.survey.settings import SurveySettings
from crack_perception.survey.storage import Storage
from crack_perception.survey.structure_map import map_structure
from crack_perception.survey.tasks import Job

# Far from each other, in the order in which the first flight shows them.
PLACES = [(-3.0, -2.0), (-3.0, 2.0), (0.0, -2.0), (0.0, 2.0), (3.0, 0.0)]


def crack_at(place: tuple[float, float], length_m: float = 1.0) -> CrackObservation:
    return sharp(place, (place[0] + length_m, place[1] + 0.1))


def mapped(folder: Path | str, *sources: MapSource) -> dict[str, object]:
    return map_structure(Job(str(folder), "", SurveySettings({}, "")), "wall", sources, None)


def map_path(folder: Path) -> Path:
    return folder / "structures" / "wall" / "map.sqlite"


def id_near(cracks: Sequence[MappedCrack], place: tuple[float, float]) -> int:
    distances = [np.linalg.norm(crack.line_m[:, :2] - place, axis=1).min() for crack in cracks]
    nearest = int(np.argmin(distances))
    assert distances[nearest] < 0.1
    return cracks[nearest].id


def decide(path: Path, *decisions: Decision) -> None:
    with closing(MapStore(path)) as store:
        store.add_decisions(decisions)


@pytest.fixture
def reviewed(tmp_path: Path) -> tuple[Storage, MapSource, dict[tuple[float, float], int]]:
    """A map of five cracks: the first is accepted and named, the second rejected, the third has a comment."""
    storage = Storage(str(tmp_path))
    first = stored(storage, "first", flight(10, *map(crack_at, PLACES)))
    mapped(tmp_path, first)
    cracks = read_snapshot(map_path(tmp_path)).cracks
    ids = {place: id_near(cracks, place) for place in PLACES}
    decide(
        map_path(tmp_path),
        Decision(ids[PLACES[0]], Action.ACCEPT, author="inspector", time_ns=1),
        Decision(ids[PLACES[0]], Action.RENAME, {"name": "pier 3"}, "inspector", 2),
        Decision(ids[PLACES[1]], Action.REJECT, author="inspector", time_ns=3),
        Decision(ids[PLACES[2]], Action.COMMENT, {"text": "wet"}, "inspector", 4),
    )
    return storage, first, ids


def test_map_structure_new_recording_keeps_decisions_and_ids(
    reviewed: tuple[Storage, MapSource, dict[tuple[float, float], int]], tmp_path: Path
) -> None:
    storage, first, ids = reviewed
    # An earlier flight, in another order and with one more crack: all cracks get other numbers while they are mapped.
    other = stored(storage, "other", flight(7, crack_at((3.0, 2.5)), *map(crack_at, reversed(PLACES))))
    before = read_snapshot(map_path(tmp_path))
    summary = mapped(tmp_path, first, other)
    after = read_snapshot(map_path(tmp_path))
    assert {place: id_near(after.cracks, place) for place in PLACES} == ids
    assert id_near(after.cracks, (3.0, 2.5)) > max(ids.values())
    assert after.decisions == before.decisions
    assert not map_path(tmp_path).with_name("map.sqlite-wal").exists()
    verdicts = {
        row["id"]: row["verdict"] for row in pq.read_table(map_path(tmp_path).parent / "cracks.parquet").to_pylist()
    }
    assert [verdicts[ids[place]] for place in PLACES[:3]] == ["accepted", "rejected", "open"]
    worst = summary["worst"]
    assert isinstance(worst, list)
    assert ids[PLACES[1]] not in {row["id"] for row in worst}
    assert len(worst) == summary["cracks"] == 4  # one is rejected, and one was not seen again


def test_map_structure_reviewed_crack_that_is_not_found_again_stays_as_lost(
    reviewed: tuple[Storage, MapSource, dict[tuple[float, float], int]], tmp_path: Path
) -> None:
    storage, _, ids = reviewed
    mapped(tmp_path, stored(storage, "less", flight(0, *map(crack_at, PLACES[3:]))))
    after = read_snapshot(map_path(tmp_path))
    assert {crack.id for crack in after.cracks} == set(ids.values())
    lost = {crack.id for crack in after.cracks if crack.state is CrackState.LOST}
    assert lost == {ids[place] for place in PLACES[:3]}
    # Found again, it is the same crack.
    mapped(tmp_path, stored(storage, "again", flight(0, *map(crack_at, PLACES))))
    again = read_snapshot(map_path(tmp_path))
    assert {place: id_near(again.cracks, place) for place in PLACES} == ids
    assert all(crack.state is not CrackState.LOST for crack in again.cracks)
    assert reviews(again.decisions)[ids[PLACES[0]]].name == "pier 3"


def test_map_structure_rejected_crack_in_two_pieces_is_rejected_twice(
    reviewed: tuple[Storage, MapSource, dict[tuple[float, float], int]], tmp_path: Path
) -> None:
    storage, _, ids = reviewed
    x, y = PLACES[1]
    pieces = [sharp((x, y), (x + 0.35, y + 0.035)), sharp((x + 0.65, y + 0.065), (x + 1.0, y + 0.1))]
    mapped(tmp_path, stored(storage, "pieces", flight(0, *pieces, crack_at(PLACES[0]))))
    after = read_snapshot(map_path(tmp_path))
    found = {id_near(after.cracks, (x, y)), id_near(after.cracks, (x + 1.0, y + 0.1))}
    assert len(found) == 2
    assert ids[PLACES[1]] in found
    assert {reviews(after.decisions)[crack].verdict for crack in found} == {Verdict.REJECTED}
    assert reviews(after.decisions)[ids[PLACES[0]]].verdict is Verdict.ACCEPTED


def test_map_structure_part_that_has_become_a_longer_crack_gives_it_its_decisions(
    reviewed: tuple[Storage, MapSource, dict[tuple[float, float], int]], tmp_path: Path
) -> None:
    storage, _, _ = reviewed
    x, y = PLACES[0]
    mapped(tmp_path, stored(storage, "long", flight(0, segment((x - 0.8, y - 0.08), (x + 2.0, y + 0.2)))))
    after = read_snapshot(map_path(tmp_path))
    whole = id_near(after.cracks, (x + 2.0, y + 0.2))
    assert reviews(after.decisions)[whole].name == "pier 3"
    assert reviews(after.decisions)[whole].verdict is Verdict.ACCEPTED


def test_map_structure_log_of_a_killed_desk_is_read(
    reviewed: tuple[Storage, MapSource, dict[tuple[float, float], int]], tmp_path: Path
) -> None:
    storage, first, ids = reviewed
    path, copy = map_path(tmp_path), tmp_path / "copy"
    store = MapStore(path)
    store.add_decision(Decision(ids[PLACES[4]], Action.ACCEPT, author="inspector", time_ns=9))
    log = path.with_name("map.sqlite-wal")
    data = [(each, each.read_bytes()) for each in (path, log)]  # as they lie on the disk when it is killed
    store.close()
    for each, content in data:
        each.write_bytes(content)
    mapped(tmp_path, first, stored(storage, "other", flight(7, *map(crack_at, PLACES))))
    assert not log.exists()
    shutil.copy(path, copy)
    assert reviews(read_snapshot(copy).decisions)[ids[PLACES[4]]].verdict is Verdict.ACCEPTED


def test_map_structure_map_in_use_is_not_replaced(
    reviewed: tuple[Storage, MapSource, dict[tuple[float, float], int]], tmp_path: Path
) -> None:
    storage, first, _ = reviewed
    program = (
        "import sys, pathlib\n"
        "from crack_perception.mapping.storage.database import MapStore\n"
        "store = MapStore(pathlib.Path(sys.argv[1]))\n"
        "print('open', flush=True)\nsys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(map_path(tmp_path))]
    other = stored(storage, "other", flight(7, *map(crack_at, PLACES)))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(UserError, match=f"map.sqlite: is in use by process {process.pid}"):
            mapped(tmp_path, first, other)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE_S)
    mapped(tmp_path, first, other)
    assert len(read_snapshot(map_path(tmp_path)).decisions) == 4


def test_map_structure_in_object_storage_keeps_decisions(tmp_path: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}/archive"
    storage = Storage(url)
    first = stored(storage, "first", flight(10, *map(crack_at, PLACES)))
    mapped(url, first)
    local = tmp_path / "map.sqlite"
    local.write_bytes(storage.read("structures/wall/map.sqlite") or b"")
    accepted = read_snapshot(local).cracks[0].id
    decide(local, Decision(accepted, Action.ACCEPT, author="inspector", time_ns=1))
    storage.upload("structures/wall/map.sqlite", local)
    mapped(url, first, stored(storage, "other", flight(7, *map(crack_at, reversed(PLACES)))))
    local.write_bytes(storage.read("structures/wall/map.sqlite") or b"")
    assert reviews(read_snapshot(local).decisions)[accepted].verdict is Verdict.ACCEPTED
