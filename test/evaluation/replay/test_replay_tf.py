# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Replay of bags whose poses are only on /tf: a stabilised gimbal, compared with the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_tiny_model

from crack_perception.cli.main import main
from crack_perception.evaluation.recordings.bag import deserialize, open_bag
from crack_perception.evaluation.replay.input_topics import TF
from crack_perception.evaluation.replay.plan import ReplayOptions
from crack_perception.evaluation.replay.runner import replay
from crack_perception.evaluation.replay.static_transforms import transforms_of

pytestmark = pytest.mark.slow

FRAMES = 15


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short simulated flight with a stabilised gimbal."""
    bag = tmp_path_factory.mktemp("flights") / "gimbal"
    size = ["--width", "480", "--height", "360", "--fps", "5", "--duration", str(FRAMES / 5)]
    motion = ["--attitude-deg", "6", "--speed", "0.2", "--standoff", "1.0", "--passes", "1"]
    assert main(["simulate", "--out", str(bag), "--gimbal", *size, *motion, "--cracks", "6", "--seed", "3"]) == 0
    return bag


@pytest.fixture(scope="module")
def report(flight: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Report of its replay without the pose topic."""
    folder = tmp_path_factory.mktemp("replays")
    model = write_tiny_model(folder / "tiny")
    # A busy machine may need long for each frame.
    options = ReplayOptions(
        flight,
        folder / "out",
        topics={"pose": ""},
        video=False,
        map=False,
        parameters={"model": str(model)},
        wait_budget_s=300.0,
    )
    replay(options, lambda line: None)
    return dict(json.loads((folder / "out" / "report.json").read_text()))


def test_simulate_gimbal_rotates_on_the_drone(flight: Path) -> None:
    with open_bag(flight) as bag:
        messages = [deserialize(message.data, TF) for message in bag.messages(["/tf"])]
    gimbals = [pose for message in messages for _, child, pose in transforms_of(message) if child == "gimbal_link"]
    assert len(gimbals) > 100
    turns = [abs(pose.quaternion[:3]).max() for pose in gimbals]
    assert max(turns) > 0.02


def test_replay_tf_only_positions_match_truth(report: dict[str, Any]) -> None:
    assert report["sources"]["pose"] == "tf"
    assert report["frames"]["arrays_3d_received"] == FRAMES
    accuracy = report["accuracy"]
    assert accuracy["position_error_m"]["median"] < 0.05
    assert accuracy["position_inside_95"] > 0.8
    assert any("the camera's pose is taken from tf, map to camera_optical_frame" in note for note in report["notes"])
