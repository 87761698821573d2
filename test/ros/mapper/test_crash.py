# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""crack_mapper as a process: ended at once by signals with everything saved, killed with next to nothing lost."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("map_msgs", reason="map_msgs is not installed: run scripts/setup")

from crack_survey import Peer, crack, photograph_message, photograph_of, wait
from flying_node import init_ros
from patience import allowed_s

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.node_process import NodeProcess
from crack_perception.mapping.evidence.photograph import photograph_folder
from crack_perception.mapping.evidence.self_describing import photograph_in
from crack_perception.mapping.export.geojson import load_map_geojson
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import read_snapshot

pytestmark = pytest.mark.slow

MODULE = "crack_perception.ros.mapper_node"
SHARED_WALL = [crack(y_m=0.9 * column, z_m=0.5 + 0.4 * row) for column in range(3) for row in range(4)]


@pytest.fixture
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """Its mapper has a name of its own, so that a dying process of one test is not heard in the next."""
    init_ros()
    name = re.sub(r"\W", "_", request.node.name)
    flying = Peer(f"/{name}/crack_node", f"/{name}/crack_mapper")
    yield flying
    flying.stop()


def mapper(peer: Peer, folder: Path, log: str = "mapper.log") -> NodeProcess:
    settings = {
        "autostart": "true",
        "database": folder / "map.sqlite",
        "diagnostics_period_s": "0.1",
        "publish_rate_hz": "20.0",
    }
    words = [word for name, value in settings.items() for word in ("-p", f"{name}:={value}")]
    return NodeProcess(MODULE, ["-r", f"__ns:={peer.mapper.rpartition('/')[0]}", *words], folder / log)


def end_of(process: NodeProcess) -> str:
    """What is known of the end of a process, which must come."""
    ends: list[str] = []

    def ended() -> bool:
        try:
            process.check_alive()
        except UserError as error:
            ends.append(str(error))
        return bool(ends)

    wait(ended)
    return ends[0]


def test_mapper_killed_loses_at_most_the_last_second(peer: Peer, tmp_path: Path) -> None:
    sent: list[tuple[float, int]] = []
    with mapper(peer, tmp_path, "first.log") as process:
        peer.wait_for_mapper()
        for count in range(1, 1 + len(SHARED_WALL)):
            peer.send(*SHARED_WALL[:count])
            sent.append((time.monotonic(), count))
            time.sleep(0.15)
        lost_s = allowed_s(1.0)
        wait(lambda: time.monotonic() - sent[4][0] > lost_s)
        killed_s = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        assert "exit code -9" in end_of(process)
    names = {d.id: d.bbox.center.position for d in peer.received["map"][-1].detections}
    peer.received["map"].clear()
    with mapper(peer, tmp_path, "second.log"):
        wait(lambda: bool(peer.received["map"]))
        restored = {d.id: d.bbox.center.position for d in peer.received["map"][-1].detections}
    # What was sent more than a second before the end is there; what is there keeps its name and its place.
    assert len(restored) >= max(count for when_s, count in sent if when_s < killed_s - lost_s)
    assert len(restored) >= 4
    for name in names.keys() & restored.keys():
        assert abs(names[name].y - restored[name].y) + abs(names[name].z - restored[name].z) < 0.02
    assert len(names.keys() & restored.keys()) >= len(restored) - 1


def test_mapper_killed_keeps_the_coverage(peer: Peer, tmp_path: Path) -> None:
    """A footprint without resolution covers its surface too, at an unknown one."""
    with mapper(peer, tmp_path) as process:
        peer.wait_for_mapper()
        peer.send()
        wait(lambda: (tmp_path / "map.sqlite").exists() and bool(read_snapshot(tmp_path / "map.sqlite").coverage))
        os.kill(process.pid, signal.SIGKILL)
        assert "exit code -9" in end_of(process)
    (surface,) = read_snapshot(tmp_path / "map.sqlite").coverage
    covered_m2 = np.isinf(surface.gsd_mm_per_px).sum() * surface.cell_area_m2
    assert covered_m2 == pytest.approx(4.0 * 3.0, rel=0.05)
    with closing(MapStore(tmp_path / "map.sqlite")) as store:
        assert store.rescue is None and store.load_coverage().tiles


def test_mapper_restarted_after_a_kill_gives_new_ids(peer: Peer, tmp_path: Path) -> None:
    with mapper(peer, tmp_path, "first.log") as process:
        peer.wait_for_mapper()
        peer.send(*SHARED_WALL[:3])
        before = {d.id for d in peer.map_with(lambda m: len(m.detections) == 3).detections}
        os.kill(process.pid, signal.SIGKILL)  # perhaps before any of them was saved
        assert "exit code -9" in end_of(process)
    peer.received["map"].clear()
    with mapper(peer, tmp_path, "second.log"):
        wait(lambda: bool(peer.received["map"]))
        restored = {d.id for d in peer.received["map"][-1].detections}
        peer.wait_for_mapper()
        peer.send(crack(y_m=5.0), footprint=False)
        after = {d.id for d in peer.map_with(lambda m: len(m.detections) == len(restored) + 1).detections}
    assert restored <= before and after - restored and not (after - restored) & before


@pytest.mark.parametrize("seed", range(4))
def test_mapper_killed_at_any_moment_leaves_whole_photographs(peer: Peer, tmp_path: Path, seed: int) -> None:
    lines = [crack(y_m=0.9 * column, z_m=0.5 + 0.4 * row) for column in range(2) for row in range(3)]
    path = tmp_path / "map.sqlite"
    rng = np.random.default_rng(seed)

    def record_and_files() -> int:
        snapshot = read_snapshot(path)
        folder = photograph_folder(path)
        for photograph in snapshot.photographs:
            found = photograph_in((folder / photograph.file).read_bytes())
            assert found.stamp_ns == photograph.stamp_ns
        return len(snapshot.photographs)

    with mapper(peer, tmp_path, "first.log") as process:
        peer.wait_for_mapper()
        wait(lambda: peer.photographs.get_subscription_count() > 0)
        for count in range(12):
            for _ in range(3):
                stamp_ns = peer.send(*lines)
            for line in lines:
                # Each better than all before, so that files are written and removed all the time.
                taken = photograph_of(line, stamp_ns, gsd_mm_per_px=0.5 * 0.7**count)
                peer.photographs.publish(photograph_message(taken))
            time.sleep(0.05)
            if count == 3:
                wait(lambda: path.exists() and record_and_files() >= 3)
        time.sleep(float(rng.uniform(0.0, 0.6)))
        os.kill(process.pid, signal.SIGKILL)
        assert "exit code -9" in end_of(process)
    stored = record_and_files()
    assert stored >= 3
    peer.received["diagnostics"].clear()  # of the dead one
    with mapper(peer, tmp_path, "second.log"):
        peer.status(state="active", photographs_kept=str(stored))
    snapshot = read_snapshot(path)
    assert {file.name for file in photograph_folder(path).iterdir()} == {each.file for each in snapshot.photographs}
    log = (tmp_path / "second.log").read_text()
    assert "Traceback" not in log and "ERROR" not in log, log


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_mapper_signal_saves_everything_within_two_seconds(peer: Peer, tmp_path: Path, ending: signal.Signals) -> None:
    with mapper(peer, tmp_path) as process:
        peer.wait_for_mapper()
        for _ in range(3):
            peer.send(*SHARED_WALL)
        peer.status(frames_mapped="3")
        began_s = time.monotonic()
        os.kill(process.pid, ending)
        end = end_of(process)
        assert time.monotonic() - began_s < allowed_s(2.0)
        assert "exit code 0" in end
    store = MapStore(tmp_path / "map.sqlite")
    stored = store.load()
    store.close()
    assert len(stored) == len(SHARED_WALL) and all(crack.views == 3 for crack in stored)
    assert [crack.id for crack in load_map_geojson(tmp_path / "crack_map.geojson")] == [crack.id for crack in stored]
    log = (tmp_path / "mapper.log").read_text()
    assert "Traceback" not in log and "ERROR" not in log, log


def test_mapper_unusable_database_stays_alive_with_the_reason(peer: Peer, tmp_path: Path) -> None:
    store = MapStore(tmp_path / "map.sqlite")
    with mapper(peer, tmp_path):
        status, _ = peer.status(state="unconfigured")
        assert "in use by another" in status.message
    store.close()
