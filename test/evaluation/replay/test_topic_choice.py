# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice between several topics of one type by name, rate, motion and frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_bags import (
    POSE,
    Entry,
    camera_info,
    compressed_image,
    header,
    image,
    pose,
    range_reading,
    transform,
    write_bag,
)

from crack_perception.cli.main import main
from crack_perception.errors import UsageError
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.replay.input_topics import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    RANGE,
    TF,
    InputTopics,
    find_inputs,
)

SECOND = 1_000_000_000


def moving(x: float, frame: str = "map") -> Any:
    """Return a PoseStamped at x."""
    still = pose(frame)
    still.pose.position.x = x
    return still


def stream(topic: str, hz: float, speed: float = 0.0, frame: str = "map", at: float = 0.0) -> list[Entry]:
    """Return poses over five seconds."""
    count = int(5 * hz)
    return [(topic, POSE, int(i / hz * SECOND), moving(at + speed * i / hz, frame)) for i in range(count)]


def found(tmp_path: Path, entries: list[Entry], overrides: dict[str, str] | None = None) -> InputTopics:
    """Return the inputs of a bag with these messages and those of a camera."""
    camera: list[Entry] = [("/cam/image_raw", IMAGE, i * SECOND, image()) for i in range(6)]
    rows = sorted([*camera, *entries], key=lambda entry: entry[2])
    with open_bag(write_bag(tmp_path / "bag", rows)) as bag:
        return find_inputs(bag, overrides or {})


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (stream("/a_goal_pose", 10), "goal"),
        (stream("/a/setpoint_position/local", 50, speed=0.2, at=3), "goal or command"),
        (stream("/a", 0.3, speed=1), "messages per second"),
        (stream("/a", 30), "never moves"),
        (stream("/a", 50, speed=0.1, frame="camera"), "frame of the vehicle"),
        (stream("/a", 20, speed=0.1, frame="odom", at=4), "not given in a map frame"),
        (stream("/a", 20, speed=0.1, at=0.01), "same content"),
    ],
)
def test_find_inputs_vehicle_pose_is_chosen_and_noted(tmp_path: Path, other: list[Entry], why: str) -> None:
    inputs = found(tmp_path, [*stream("/pose", 50, speed=0.1), *other])
    assert inputs.by_input["pose"].name == "/pose"
    assert any("/pose was chosen" in note and why in note and "--topic pose=" in note for note in inputs.notes)


def test_find_inputs_single_goal_pose_is_not_used(tmp_path: Path) -> None:
    inputs = found(tmp_path, stream("/move_base_simple/goal", 10))
    assert "pose" not in inputs.by_input
    assert any("no topic is used, rejected are /move_base_simple/goal" in note for note in inputs.notes)


def test_find_inputs_two_moving_poses_need_an_override(tmp_path: Path) -> None:
    entries = [*stream("/a", 20, speed=0.1), *stream("/b", 30, speed=0.2, at=5)]
    with pytest.raises(UsageError, match=r"/a .*/b .*--topic pose=/x"):
        found(tmp_path / "one", entries)
    assert found(tmp_path / "two", entries, {"pose": "/a"}).by_input["pose"].name == "/a"


def test_find_inputs_two_equal_cameras_raise(tmp_path: Path) -> None:
    rows: list[Entry] = [("/front/image", IMAGE, i * SECOND, image()) for i in range(6)]
    with pytest.raises(UsageError, match=r"/cam/image_raw.*/front/image.*--topic image=/x"):
        found(tmp_path, rows)


def test_find_inputs_depth_png_is_no_camera_image(tmp_path: Path) -> None:
    depth = compressed_image("png")
    head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x80\x00\x00\x01\xe0\x10\x00\x00\x00\x00"
    depth.data = np.frombuffer(head, np.uint8)
    rows: list[Entry] = [("/a/x", COMPRESSED_IMAGE, i * SECOND, depth) for i in range(6)]
    assert found(tmp_path, rows).by_input["image"].name == "/cam/image_raw"


def test_find_inputs_camera_info_of_other_size_is_not_used(tmp_path: Path) -> None:
    info = camera_info()
    info.width, info.height = 640, 480
    inputs = found(tmp_path, [("/other/camera_info", CAMERA_INFO, 0, info)])
    assert "camera_info" not in inputs.by_input
    assert any("image size differs" in note for note in inputs.notes)


def test_find_inputs_downward_rangefinder_is_not_used(tmp_path: Path) -> None:
    half = 0.5**0.5
    down, ahead = range_reading(), range_reading()
    down.header, ahead.header = header(frame="a"), header(frame="b")
    rows: list[Entry] = [
        # x of frame b is z of the camera; x of frame a is y of the camera, downwards.
        ("/tf_static", TF, 0, transform("camera", "b", (0, 0, 0), (0, -half, 0, half))),
        ("/tf_static", TF, 0, transform("camera", "a", (0, 0, 0), (0, 0, half, half))),
        *((topic, RANGE, i * SECOND, reading) for i in range(6) for topic, reading in (("/a", down), ("/b", ahead))),
    ]
    inputs = found(tmp_path, rows)
    assert inputs.by_input["range"].name == "/b"
    assert any("not aligned with the camera" in note for note in inputs.notes)


def test_replay_ambiguous_topics_exit_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[Entry] = [(topic, IMAGE, i, image()) for i in range(3) for topic in ("/a/image", "/b/image")]
    bag = write_bag(tmp_path / "bag", rows)
    assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 2
    assert "--topic image=/x" in capsys.readouterr().err
    for wrong in ("lens=/a", "image", "image="):
        assert main(["replay", str(bag), "--out", str(tmp_path / "out"), "--topic", wrong]) == 2
