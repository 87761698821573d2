# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Flight logs of PX4 and videos joined into bags: poses in ROS axes, times with the offset, damaged inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed")
pytest.importorskip("pyulog", reason="pyulog is not installed")

from ulog_files import Row, write_ulog

from crack_perception.cli.main import main
from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import deserialize, open_bag
from crack_perception.evaluation.recordings.px4_log import DOWNWARD, read_px4_log
from crack_perception.simulation.flight.bag_writer import COMPRESSED_TOPIC, POSE_TOPIC, RANGE_TOPIC

START_US = 5_000_000
UTC_US = 1_700_000_000_000_000
RATE_HZ, OFFSET_S = 10.0, 0.5
CALIBRATION = """
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [60.0, 0, 31.5, 0, 60.0, 23.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.01, 0, 0, 0]}
"""


def flight() -> list[Row]:
    """Three seconds: north at 1 m/s, 4 m above the origin, heading east, with a wall 2 m ahead."""
    rows: list[Row] = [("sensor_gps", (START_US, UTC_US + START_US))]
    # Yaw of 90 degrees from north: FRD to NED.
    half = np.sqrt(0.5)
    for step in range(150):
        time_us = START_US + 20_000 * step
        north = 0.02 * step
        rows.append(("vehicle_local_position", (time_us, time_us, north, 0.5, -4.0, True, True)))
        rows.append(("vehicle_attitude", (time_us + 5_000, time_us + 4_000, half, 0.0, 0.0, half)))
        if step % 5 == 0:
            rows.append(("distance_sensor", (time_us, 0.1, 30.0, 2.0, 100, 0)))
            rows.append(("distance_sensor", (time_us, 0.1, 30.0, 4.0, 100, DOWNWARD)))
    return rows


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """Command line that joins a log with a video of two seconds."""
    write_ulog(tmp_path / "flight.ulg", START_US, flight())
    (tmp_path / "camera.yaml").write_text(CALIBRATION)
    writer = cv2.VideoWriter(str(tmp_path / "video.avi"), cv2.VideoWriter_fourcc(*"MJPG"), RATE_HZ, (64, 48))
    for number in range(20):
        noise = np.random.default_rng(number).integers(100, 200, (48, 64, 3), np.uint8)
        writer.write(noise)
    writer.release()
    command = ["join-log", str(tmp_path / "flight.ulg"), str(tmp_path / "video.avi"), "--out", str(tmp_path / "bag")]
    return [*command, "--camera", str(tmp_path / "camera.yaml"), "--video-offset", str(OFFSET_S)]


def messages(bag_path: Path, topic: str) -> list[tuple[int, Any]]:
    with open_bag(bag_path) as bag:
        kind = next(each.type_name for each in bag.topics if each.name == topic)
        return [(m.stamp_ns, deserialize(m.data, kind)) for m in bag.messages([topic])]


def test_join_gives_poses_images_and_ranges_in_time(inputs: list[str], tmp_path: Path) -> None:
    assert main(inputs) == 0
    poses = messages(tmp_path / "bag", POSE_TOPIC)
    stamp, pose = poses[50]
    seconds = (stamp - 1000 * (UTC_US + START_US)) / 1e9
    position, turn = pose.pose.position, pose.pose.orientation
    # North is y, up is z; heading east is the x axis, so the body is not turned.
    assert (position.x, position.z) == pytest.approx((0.5, 4.0), abs=1e-5)
    assert position.y == pytest.approx(seconds, abs=1e-4)
    assert (abs(turn.x), abs(turn.y), abs(turn.z), abs(turn.w)) == pytest.approx((0, 0, 0, 1), abs=1e-5)
    images = messages(tmp_path / "bag", COMPRESSED_TOPIC)
    assert len(images) == 20
    times_s = [(stamp - 1000 * (UTC_US + START_US)) / 1e9 for stamp, _ in images]
    np.testing.assert_allclose(times_s, OFFSET_S + np.arange(20) / RATE_HZ, atol=2e-3)
    ranges = messages(tmp_path / "bag", RANGE_TOPIC)
    assert len(ranges) == 30 and {message.range for _, message in ranges} == {2.0}


def test_join_video_cut_short_is_a_problem(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "video.avi"
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 6 // 10])
    assert main(inputs) == 1
    assert f"{video}: read " in capsys.readouterr().err
    assert messages(tmp_path / "bag", POSE_TOPIC)


def test_join_mount_is_on_tf_static(inputs: list[str], tmp_path: Path) -> None:
    assert main([*inputs, "--mount", "0.2,0,-0.1", "--mount-rpy", "0,90,0", "--fps", "5"]) == 0
    (_, mounts), *_ = messages(tmp_path / "bag", "/tf_static")
    camera = next(each for each in mounts.transforms if "camera" in each.child_frame_id)
    assert (camera.transform.translation.x, camera.transform.translation.z) == pytest.approx((0.2, -0.1))
    from crack_perception.geometry import rotations

    turn = camera.transform.rotation
    forward = rotations.to_matrix([turn.x, turn.y, turn.z, turn.w])[:, 2]
    np.testing.assert_allclose(forward, [0, 0, -1], atol=1e-9)
    assert len(messages(tmp_path / "bag", COMPRESSED_TOPIC)) == 10


def test_join_video_outside_the_log_says_so(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*inputs[:-1], "100"]) == 1
    assert "--video-offset" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()


def test_join_wrong_inputs_name_their_file(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "camera.yaml").write_text(CALIBRATION.replace("image_width: 64", "image_width: 128"))
    assert main(inputs) == 1
    assert "video.avi" in capsys.readouterr().err
    (tmp_path / "camera.yaml").write_text("image_width: 64")
    assert main(inputs) == 1
    assert "camera.yaml" in capsys.readouterr().err


def test_log_of_damaged_file_gives_what_precedes_or_says_so(tmp_path: Path) -> None:
    path = write_ulog(tmp_path / "flight.ulg", START_US, flight())
    data = path.read_bytes()
    for cut in (0, 10, 200, len(data) // 2, len(data) - 3):
        path.write_bytes(data[:cut])
        try:
            log = read_px4_log(path)
        except UserError as error:
            assert str(path) in str(error)
        else:
            assert len(log.poses) > 10


def test_log_invalid_positions_and_other_ranges_are_skipped(tmp_path: Path) -> None:
    rows = [
        (name, (*values[:5], values[0] > START_US + 1_000_000, True) if name == "vehicle_local_position" else values)
        for name, values in flight()
    ]
    log = read_px4_log(write_ulog(tmp_path / "a.ulg", START_US, rows), DOWNWARD)
    assert (log.stamps_ns[0] - log.start_ns) / 1e9 == pytest.approx(1.02, abs=0.03)
    assert set(log.ranges_m) == {4.0}
