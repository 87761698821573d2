# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice between several topics of one type by name, rate, motion and frame."""

from __future__ import annotations

import argparse
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

from crack_perception.cli.common import add_topic_arguments, topics_of
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
from crack_perception.geometry.poses.pose import Pose

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


def rangefinder(
    topic: str, heights_m: list[float] | float = 3.0, frame: str = "sensor", beam_rad: float = 0.01, hz: float = 5.0
) -> list[Entry]:
    """Return the readings of a rangefinder."""
    readings = heights_m if isinstance(heights_m, list) else [heights_m] * 30
    rows: list[Entry] = []
    for index, range_m in enumerate(readings):
        reading = range_reading()
        reading.header.frame_id, reading.field_of_view = frame, beam_rad
        reading.range, reading.max_range = range_m, 40.0
        rows.append((topic, RANGE, int(index / hz * SECOND), reading))
    return rows


def climb(topic: str = "/pose", hz: float = 5.0, count: int = 60, sign: float = 1.0) -> list[Entry]:
    """Return poses that rise by 0.5 m/s."""
    rows: list[Entry] = []
    for index in range(count):
        risen = pose()
        risen.pose.position.z = sign * 0.5 * index / hz
        rows.append((topic, POSE, int(index / hz * SECOND), risen))
    return rows


HALF = 0.5**0.5
DOWN = ("/tf_static", TF, 0, transform("base_link", "camera", (0, 0, 0), (HALF, -HALF, 0, 0)))
"""A camera that looks down: its z axis is -z of the vehicle."""


@pytest.mark.parametrize(
    ("topic", "frame"),
    [
        ("/mavros/distance_sensor/altimeter", "lidar"),
        ("/lidarDown/range", "lidar"),
        ("/range", "rangefinder_down_link"),
        ("/teraranger/bottom", "lidar"),
        ("/rear_lidar", "lidar"),
        ("/lidar_up/range", "lidar"),
        ("/sonar/left", "lidar"),
    ],
)
def test_find_inputs_single_rangefinder_named_for_another_direction_is_not_used(
    tmp_path: Path, topic: str, frame: str
) -> None:
    rows = [*stream("/pose", 20, speed=0.1), *rangefinder(topic, 12.0, frame)]
    inputs = found(tmp_path / "one", rows)
    assert "range" not in inputs.by_input
    assert any(
        f"range: no topic is used, rejected are {topic} (named for another direction" in note
        and "--topic range=/x" in note
        for note in inputs.notes
    )
    assert found(tmp_path / "two", rows, {"range": topic}).by_input["range"].name == topic


@pytest.mark.parametrize("topic", ["/range", "/front_lidar", "/background_lidar", "/feedback/range", "/outside/range"])
def test_find_inputs_single_rangefinder_without_another_direction_is_used(tmp_path: Path, topic: str) -> None:
    inputs = found(tmp_path, [*stream("/pose", 20, speed=0.1), *rangefinder(topic)])
    assert inputs.by_input["range"].name == topic
    assert not any("range" in note for note in inputs.notes)


def test_find_inputs_downward_rangefinder_of_a_downward_camera_is_used(tmp_path: Path) -> None:
    rows = rangefinder("/altimeter", [2.0 + 0.1 * index for index in range(60)])
    inputs = found(tmp_path / "mounted", [DOWN, *climb(), *rows])
    assert inputs.by_input["range"].name == "/altimeter"
    with open_bag(write_bag(tmp_path / "named", [("/down/image", IMAGE, 0, image(frame="cam")), *rows])) as bag:
        assert find_inputs(bag, {}).by_input["range"].name == "/altimeter"
    rows_ahead: list[Entry] = [("/cam/image", IMAGE, 0, image()), *rows]
    with open_bag(write_bag(tmp_path / "given", rows_ahead)) as bag:
        looks_down = Pose.of((0, 0, 0), (HALF, -HALF, 0, 0))
        assert find_inputs(bag, {}, looks_down).by_input["range"].name == "/altimeter"
        assert "range" not in find_inputs(bag, {}).by_input


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_find_inputs_range_that_follows_the_height_is_not_used(tmp_path: Path, sign: float) -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 60)
    rows = rangefinder("/lidar", [2.0 + 0.1 * index + float(noise[index]) for index in range(60)])
    inputs = found(tmp_path, [*climb(sign=sign), *rows])
    assert "range" not in inputs.by_input
    assert any("follow the height" in note for note in inputs.notes)


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_find_inputs_range_to_a_wall_during_a_climb_is_used(tmp_path: Path, slope: float) -> None:
    rows = rangefinder("/lidar", [3.0 + slope * 0.1 * index for index in range(60)])
    assert found(tmp_path, [*climb(), *rows]).by_input["range"].name == "/lidar"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (rangefinder("/sonar", beam_rad=0.7), "its beam of 40 degrees"),
        (rangefinder("/lidar", [50.0] * 20 + [3.0] * 10), "67 % of its readings are outside its limits"),
    ],
)
def test_find_inputs_doubtful_only_rangefinder_is_used_with_a_note(
    tmp_path: Path, rows: list[Entry], expected: str
) -> None:
    inputs = found(tmp_path, [*stream("/pose", 20, speed=0.1), *rows])
    assert inputs.by_input["range"].name == rows[0][0]
    assert any(expected in note and "--topic range=" in note for note in inputs.notes)


def tf_rows(*topics: str) -> list[Entry]:
    return [(topic, TF, index, transform("map", "base", (0, 0, 0), (0, 0, 0, 1))) for index, topic in enumerate(topics)]


@pytest.mark.parametrize(
    ("image_topic", "topics", "expected"),
    [
        ("/cam/image", ("/tf", "/tf_static"), ("/tf", "/tf_static")),
        ("/cam/image", ("/drone1/tf", "/drone1/tf_static"), ("/drone1/tf", "/drone1/tf_static")),
        ("/drone1/cam/image", ("/drone1/tf", "/drone2/tf", "/tf_static"), ("/drone1/tf", "/tf_static")),
        ("/drone1/cam/image", ("/tf", "/drone1/tf"), ("/drone1/tf", None)),
        ("/drone1/cam/image", ("/drone10/tf", "/drone1/tf"), ("/drone1/tf", None)),
        ("/cam/image", ("/tf", "/drone1/tf"), ("/tf", None)),
        ("/cam/image", ("/transforms",), (None, None)),
    ],
)
def test_find_inputs_transforms_are_those_of_the_cameras_drone(
    tmp_path: Path, image_topic: str, topics: tuple[str, ...], expected: tuple[str | None, str | None]
) -> None:
    rows = [(image_topic, IMAGE, 0, image()), *tf_rows(*topics)]
    with open_bag(write_bag(tmp_path / "bag", rows)) as bag:
        inputs = find_inputs(bag, {})
    names = tuple(inputs.by_input[name].name if name in inputs.by_input else None for name in ("/tf", "/tf_static"))
    assert names == expected
    for name in names:
        if name is not None and name not in ("/tf", "/tf_static"):
            assert any(f"{name} was chosen" in note for note in inputs.notes)


def test_find_inputs_transforms_of_two_other_drones_need_an_override(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", [("/cam/image", IMAGE, 0, image()), *tf_rows("/drone1/tf", "/drone2/tf")])
    with open_bag(path) as bag:
        with pytest.raises(UsageError, match=r"/drone1/tf .*/drone2/tf .*--topic tf=/x"):
            find_inputs(bag, {})
        assert find_inputs(bag, {"/tf": "/drone2/tf"}).by_input["/tf"].name == "/drone2/tf"
        assert "/tf" not in find_inputs(bag, {"/tf": ""}).by_input


def test_topics_of_names_the_transforms_without_a_slash() -> None:
    parser = argparse.ArgumentParser()
    add_topic_arguments(parser)
    arguments = parser.parse_args(["--topic", "tf=/drone1/tf", "--topic", "tf_static="])
    assert topics_of(arguments) == {"/tf": "/drone1/tf", "/tf_static": ""}


def test_replay_ambiguous_topics_exit_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[Entry] = [(topic, IMAGE, i, image()) for i in range(3) for topic in ("/a/image", "/b/image")]
    bag = write_bag(tmp_path / "bag", rows)
    assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 2
    assert "--topic image=/x" in capsys.readouterr().err
    for wrong in ("lens=/a", "image", "image="):
        assert main(["replay", str(bag), "--out", str(tmp_path / "out"), "--topic", wrong]) == 2
