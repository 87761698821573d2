# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Replay of recordings in which time jumps back: poses of every lap, all frames counted, and words in the report."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_bags import TYPES
from rosbags.rosbag2 import StoragePlugin, Writer
from tiny_model import write_tiny_model

from crack_perception.cli.main import main
from crack_perception.evaluation.recordings.bag import BagMessage, open_bag
from crack_perception.evaluation.replay.plan import ReplayOptions
from crack_perception.evaluation.replay.runner import replay
from crack_perception.simulation.flight.bag_writer import POSE_TOPIC

pytestmark = pytest.mark.slow

FRAMES, HZ, LAPS = 12, 5, 3
LAP_NS = FRAMES * 1_000_000_000 // HZ
LAP_OFFSET_M = 20.0
"""Each lap is flown at another height, so that a pose of another lap would show."""
TF = "tf2_msgs/msg/TFMessage"


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short simulated flight, of which only tf holds the pose."""
    bag = tmp_path_factory.mktemp("flights") / "once"
    size = ["--width", "480", "--height", "360", "--fps", str(HZ), "--duration", str(FRAMES / HZ)]
    motion = ["--attitude-deg", "1", "--speed", "0.2", "--standoff", "1.0", "--passes", "1"]
    assert main(["simulate", "--out", str(bag), *size, *motion, "--cracks", "6", "--seed", "3"]) == 0
    return bag


def raised(message: BagMessage, lap: int) -> bytes:
    """A transform of a lap: the drone, but not what is mounted on it, is flown higher."""
    content: Any = TYPES.deserialize_cdr(message.data, TF)
    for transform in content.transforms:
        if transform.header.frame_id == "map":
            transform.transform.translation.z += LAP_OFFSET_M * lap
    return bytes(TYPES.serialize_cdr(content, TF))


def write_laps(flight: Path, out: Path, is_clock_set_back: bool, storage: StoragePlugin) -> Path:
    """Write a recording of a bag that loops, by a recorder with the time of the bag or with a clock of its own."""
    with open_bag(flight) as bag, Writer(out, version=9, storage_plugin=storage) as writer:
        topics = {topic.name: topic for topic in bag.topics if topic.name != POSE_TOPIC}
        connections = {
            name: writer.add_connection(name, topic.type_name, typestore=TYPES) for name, topic in topics.items()
        }
        messages = list(bag.messages(topics))
        for lap in range(LAPS):
            for message in messages:
                if message.topic == "/tf_static" and lap:
                    continue
                stamp_ns = message.stamp_ns if is_clock_set_back else message.stamp_ns + lap * LAP_NS
                data = raised(message, lap) if message.topic == "/tf" else message.data
                writer.write(connections[message.topic], stamp_ns, data)
    return out


@pytest.mark.parametrize(
    ("is_clock_set_back", "storage"),
    [(False, StoragePlugin.MCAP), (True, StoragePlugin.MCAP), (True, StoragePlugin.SQLITE3)],
    ids=["stamps jump", "clock jumps, mcap", "clock jumps, sqlite3"],
)
def test_replay_recorded_over_a_loop_places_and_counts_the_frames_of_every_lap(
    flight: Path, tmp_path: Path, is_clock_set_back: bool, storage: StoragePlugin
) -> None:
    bag = write_laps(flight, tmp_path / "laps", is_clock_set_back, storage)
    model = write_tiny_model(tmp_path / "tiny")
    parameters = tmp_path / "patient.yaml"
    # A busy machine may need longer for a pose than a drone would wait.
    parameters.write_text("/**:\n  ros__parameters:\n    pose_timeout_s: 2.0\n")
    options = ReplayOptions(
        bag,
        tmp_path / "out",
        parameters={"model": str(model)},
        params_file=parameters,
        video=False,
        wait_budget_s=300.0,
    )
    report = replay(options, lambda line: None)
    assert not report["problems"]

    frames = report["frames"]
    assert frames["sent"] == frames["received"] == LAPS * FRAMES
    assert frames["processed"] == frames["arrays_received"]
    assert frames["processed"] + frames["dropped"] == LAPS * FRAMES
    assert report["sources"]["pose"] == "tf"
    jumps = report["playback"]["time_jumps"]
    assert [jump["images_before"] for jump in jumps] == [FRAMES, 2 * FRAMES]
    assert [jump["seconds"] for jump in jumps] == pytest.approx([(FRAMES - 1) / HZ] * 2)
    assert any("time jumps back inside the recording (by 2.2 s after image 12" in note for note in report["notes"])

    detections = json.loads((tmp_path / "out" / "detections.json").read_text())["frames"]
    assert len(detections) == frames["processed"]
    heights_m: dict[int, list[float]] = defaultdict(list)
    lap, before_ns = 0, 0
    for frame in detections:
        lap += frame["stamp_ns"] <= before_ns
        before_ns = frame["stamp_ns"]
        heights_m[lap] += [region["position_m"][2] for region in frame["regions"] if region["position_m"] is not None]
    assert sorted(heights_m) == list(range(LAPS))
    first_m = np.median(heights_m[0])
    for lap, heights in heights_m.items():
        assert len(heights) >= 3
        assert np.abs(np.array(heights) - first_m - LAP_OFFSET_M * lap).max() < 2.0, lap
