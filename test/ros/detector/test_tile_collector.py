# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Uncertain tiles of a flight are kept on disk: bounded, spread over time, and never at the cost of a result."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from flying_node import TakeOff
from patience import PATIENCE_S

from crack_perception.errors import UserError
from crack_perception.ros.detector import tile_collector
from crack_perception.ros.detector.tile_collector import TileCollector, default_folder
from crack_perception.vision.tiling import plan_tiles

TILE_PX = 64
GRID = plan_tiles(128, 64, TILE_PX)
RNG = np.random.default_rng(0)
FRAME = RNG.integers(0, 256, (64, 128, 3), np.uint8)
NOWHERE = np.empty((0, 3))
NAME = re.compile(r"\d{20}_x\d+_y\d+\.png")


def scored(time_s: float, scores: tuple[float, float] = (0.1, 0.5)) -> Any:
    """A scored frame with two tiles."""
    stamp = Time(sec=int(time_s), nanosec=round((time_s % 1) * 1e9))
    output = SimpleNamespace(grid=GRID, scores=SimpleNamespace(crack_score=np.array(scores, np.float32)))
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), frame=FRAME, output=output)


def processed(footprint_m: np.ndarray = NOWHERE) -> Any:
    return SimpleNamespace(footprint_m=footprint_m)


def wait_for(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def collector(folder: Path, most_tiles: int = 10) -> tuple[TileCollector, list[str]]:
    reports: list[str] = []
    return TileCollector(folder, most_tiles, lambda: 0.5, reports.append), reports


def collect(made: TileCollector, times_s: list[float]) -> None:
    """Offer frames, each after the tile of the one before is on the disk."""
    for number, time_s in enumerate(times_s, start=1):
        made.offer(scored(time_s), processed())
        wait_for(lambda number=number: made.written == number)


def tiles(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_collector_writes_the_uncertain_tile_as_it_is(tmp_path: Path) -> None:
    made, reports = collector(tmp_path / "new" / "tiles")
    collect(made, [7.5])
    made.stop()
    assert tiles(tmp_path / "new" / "tiles") == ["00000000007500000000_x64_y0.png"]
    read = cv2.imread(str(tmp_path / "new" / "tiles" / "00000000007500000000_x64_y0.png"))
    np.testing.assert_array_equal(read, FRAME[:, 64:])
    assert reports == []


def test_collector_skips_certain_frames_and_frames_too_soon(tmp_path: Path) -> None:
    made, _ = collector(tmp_path)
    made.offer(scored(1.0, (0.01, 0.99)), processed())
    collect(made, [1.5])
    made.offer(scored(2.0), processed())
    made.stop()
    assert len(tiles(tmp_path)) == 1


def test_collector_takes_no_second_tile_of_a_place(tmp_path: Path) -> None:
    made, _ = collector(tmp_path)
    view_m = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    made.offer(scored(0.0), processed(view_m))
    wait_for(lambda: made.written == 1)
    made.offer(scored(10.0), processed(view_m + 0.1))
    made.offer(scored(20.0), processed(view_m + 5.0))
    wait_for(lambda: made.written == 2)
    made.stop()
    assert [name[:20] for name in tiles(tmp_path)] == ["00000000000000000000", "00000000020000000000"]


def test_full_folder_is_thinned_over_the_whole_time(tmp_path: Path) -> None:
    made, _ = collector(tmp_path, most_tiles=8)
    times_s = [2.0 * i for i in range(8)]
    collect(made, times_s)
    assert len(tiles(tmp_path)) == 8
    made.offer(scored(16.0), processed())
    wait_for(lambda: made.written == 9)
    kept = [int(name[:20]) / 1e9 for name in tiles(tmp_path)]
    assert kept == [2.0, 6.0, 10.0, 14.0, 16.0]
    # The time between tiles has doubled.
    made.offer(scored(19.0), processed())
    made.offer(scored(20.0), processed())
    wait_for(lambda: made.written == 10)
    made.stop()
    assert len(tiles(tmp_path)) == 6


def test_tiles_of_earlier_flights_count_and_sorted_ones_do_not(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number:020d}_x0_y0.png").write_bytes(b"old")
    (tmp_path / "crack").mkdir()
    (tmp_path / "crack" / f"{9:020d}_x0_y0.png").write_bytes(b"labelled")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    made, _ = collector(tmp_path, most_tiles=4)
    collect(made, [100.0])
    made.stop()
    assert sum(bool(NAME.fullmatch(name)) for name in tiles(tmp_path)) == 3
    assert (tmp_path / "crack" / f"{9:020d}_x0_y0.png").is_file()
    assert (tmp_path / "notes.txt").is_file()


def test_bytes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(cv2.imencode(".png", FRAME[:, 64:])[1])
    monkeypatch.setattr(tile_collector, "MOST_BYTES", 3 * size + 100)
    made, _ = collector(tmp_path, most_tiles=100)
    collect(made, [0.0, 10.0, 20.0, 30.0, 60.0])
    made.stop()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * size + 100


def test_nearly_full_disk_is_reported_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_collector, "LEAST_FREE_BYTES", 1 << 62)
    made, reports = collector(tmp_path)
    made.offer(scored(0.0), processed())
    wait_for(lambda: bool(reports))
    made.stop()
    assert "are free" in reports[0]
    assert tiles(tmp_path) == []


def test_partial_files_of_ended_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / f".{1:020d}_x0_y0.png.partial-999999999").write_bytes(b"half")
    made, _ = collector(tmp_path)
    made.stop()
    assert tiles(tmp_path) == []


def test_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="file"):
        collector(tmp_path / "file" / "tiles")


def test_default_folder_is_in_the_home_of_ros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "crack_perception" / "tiles"


def test_slow_disk_does_not_delay_the_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = threading.Event()
    monkeypatch.setattr(tile_collector, "write_atomically", lambda path, content: blocked.wait(PATIENCE_S))
    made, _ = collector(tmp_path)
    # Returns although the first tile is never finished.
    for time_s in (0.0, 10.0, 20.0, 30.0):
        made.offer(scored(time_s), processed())
    assert made.written == 0
    blocked.set()
    made.stop()


def test_node_collects_tiles_of_a_flight(take_off: TakeOff, tmp_path: Path) -> None:
    threshold = 0.55
    flight = take_off(pose_source="none", collect_tiles=5, collect_tiles_folder=str(tmp_path), threshold=threshold)
    flight.start()
    # The darkest pixel decides the score of the model of these tests: 64 scores 0.5.
    frame = np.full((240, 320, 3), 170, np.uint8)
    frame[100, 100] = 63
    flight.send_image(flight.stamp(), frame)
    flight.wait(lambda: any(NAME.fullmatch(path.name) for path in tmp_path.iterdir()))
    flight.wait(lambda: flight.figures().get("tiles_collected") == "1")
    (path,) = tmp_path.iterdir()
    assert cv2.imread(str(path)).min() == 63


def test_node_without_the_parameter_collects_nothing(take_off: TakeOff) -> None:
    flight = take_off(pose_source="none").start()
    assert flight.node._collector is None


def test_node_with_an_unusable_folder_flies_and_warns(take_off: TakeOff, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    flight = take_off(pose_source="none", collect_tiles=5, collect_tiles_folder=str(tmp_path / "file" / "tiles"))
    flight.start()
    assert "collect_tiles" in flight.node._health.counts()
