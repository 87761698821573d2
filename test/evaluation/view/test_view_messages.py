# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Scene made from messages: each topic and frame has a path of its own, of bounded size; videos are decoded."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_bags import START_NS, TYPES, header, message, transform, write_bag

from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.recordings.definitions import COMPRESSED_VIDEO, VEHICLE_ODOMETRY
from crack_perception.evaluation.replay.input_topics import POSE, TF
from crack_perception.evaluation.view.messages import MessageView, show_bag
from crack_perception.evaluation.view.paths import BoundedPath, FramePoses

NO_TURN = (0.0, 0.0, 0.0, 1.0)


class Shown:
    """Recorder of the calls to a scene."""

    def __init__(self) -> None:
        self.poses: dict[str, list[list[float]]] = defaultdict(list)
        self.paths: dict[str, np.ndarray] = {}
        self.paths_shown = 0
        self.images: dict[str, list[tuple[int, ...]]] = defaultdict(list)
        self.times_ns: list[int] = []

    def set_time(self, stamp_ns: int) -> None:
        self.times_ns.append(stamp_ns)

    def show_pose(self, name: str, position_m: np.ndarray, quaternion: np.ndarray) -> None:
        self.poses[name].append(position_m.tolist())

    def show_path(self, name: str, vertices_m: np.ndarray) -> None:
        self.paths[name] = vertices_m
        self.paths_shown += 1

    def show_image(self, name: str, image: np.ndarray) -> None:
        self.images[name].append(image.shape)


def pose(x_m: float, offset_ns: int) -> Any:
    at = message("geometry_msgs/msg/Point", x=x_m, y=0.0, z=1.0)
    turn = message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
    content = message("geometry_msgs/msg/Pose", position=at, orientation=turn)
    return message(POSE, header=header(offset_ns, "map"), pose=content)


def shown_of(path: Path) -> tuple[Shown, dict[str, int]]:
    scene = Shown()
    with open_bag(path) as bag:
        counts, notes = show_bag(scene, bag)  # type: ignore[arg-type]
    assert notes == []
    return scene, counts


def test_show_bag_set_points_have_a_path_beside_the_poses(tmp_path: Path) -> None:
    entries = []
    for number in range(10):
        entries.append(("/drone/pose", POSE, number * 1000, pose(0.1 * number, number * 1000)))
        entries.append(("/drone/setpoint", POSE, number * 1000 + 1, pose(5.0, number * 1000 + 1)))
    scene, counts = shown_of(write_bag(tmp_path / "bag", entries))
    assert counts == {"/drone/pose": 10, "/drone/setpoint": 10}
    assert scene.paths["drone/pose"][:, 0] == pytest.approx(0.1 * np.arange(10))
    assert scene.paths["drone/setpoint"][:, 0] == pytest.approx(np.full(10, 5.0))


def test_show_bag_with_tf_alone_has_the_paths_of_vehicle_and_camera(tmp_path: Path) -> None:
    entries = [
        ("/tf_static", TF, 0, transform("base_link", "camera_link", (0.0, 0.0, 0.2), NO_TURN)),
        ("/tf_static", TF, 0, transform("gimbal", "camera_optical_frame", (0.0, 0.0, 0.0), NO_TURN)),
    ]
    for number in range(5):
        entries.append(("/tf", TF, number, transform("map", "base_link", (0.5 * number, 0.0, 0.0), NO_TURN)))
        entries.append(("/tf", TF, number, transform("base_link", "camera_yaw", (1.0, 0.0, 0.0), NO_TURN)))
        entries.append(("/tf", TF, number, transform("base_link", "rotor_0", (0.1, 0.0, 0.0), NO_TURN)))
    scene, _ = shown_of(write_bag(tmp_path / "bag", entries))
    assert set(scene.paths) == {"tf/base_link", "tf/camera_yaw"}
    assert scene.paths["tf/base_link"][:, 0] == pytest.approx(0.5 * np.arange(5))
    assert scene.paths["tf/camera_yaw"][:, 0] == pytest.approx(1.0 + 0.5 * np.arange(5))


def test_show_of_unsynchronised_px4_odometry_is_in_ros_axes_and_at_the_time_of_arrival() -> None:
    scene = Shown()
    view = MessageView(scene)  # type: ignore[arg-type]
    fields = {name: np.zeros(3, np.float32) for name in ("velocity", "angular_velocity", "velocity_variance")}
    fields |= {name: np.full(3, 1e-4, np.float32) for name in ("position_variance", "orientation_variance")}
    for number in range(2):
        odometry = TYPES.types[VEHICLE_ODOMETRY](
            timestamp=5_000_000 + number,
            timestamp_sample=5_000_000 + number,
            pose_frame=1,
            position=np.array([2.0, 1.0, -3.0], np.float32),
            q=np.array([1.0, 0.0, 0.0, 0.0], np.float32),
            velocity_frame=1,
            reset_counter=0,
            quality=0,
            **fields,
        )
        assert view.show("/fmu/out/vehicle_odometry", VEHICLE_ODOMETRY, odometry, START_NS)
    assert scene.poses["fmu/out/vehicle_odometry"][0] == pytest.approx([1.0, 2.0, 3.0])
    assert abs(scene.times_ns[-1] - START_NS) < 10**9


def test_show_paths_while_messages_arrive_shows_what_has_grown_with_bounded_size() -> None:
    scene = Shown()
    view = MessageView(scene)  # type: ignore[arg-type]
    for number in range(10_000):
        view.show("/pose", POSE, pose(0.001 * number, number), number)
    view.show_paths()
    view.show_paths()
    assert scene.paths_shown == 1
    view.show("/pose", POSE, pose(10.0, 10_000), 10_000)
    view.show_paths()
    path = scene.paths["pose"]
    assert scene.paths_shown == 2 and 900 < len(path) <= 2001
    assert path[0, 0] == 0.0 and path[-1, 0] == 10.0 and np.all(np.diff(path[:, 0]) > 0)


def test_bounded_path_keeps_the_first_and_the_last_vertex_and_even_spacing() -> None:
    path = BoundedPath(most=8)
    assert path.vertices_m().shape == (0, 3)
    for number in range(101):
        path.add(np.array([number, 0.0, 0.0]))
    vertices = path.vertices_m()[:, 0]
    assert len(vertices) <= 9 and (vertices[0], vertices[-1]) == (0.0, 100.0)
    assert len(set(np.diff(vertices[:-1]).tolist())) == 1


def test_frame_poses_of_a_loop_or_a_broken_chain_end() -> None:
    frames = FramePoses()
    loop = transform("a", "base_link", (1.0, 0.0, 0.0), NO_TURN)
    loop.transforms.append(transform("base_link", "a", (1.0, 0.0, 0.0), NO_TURN).transforms[0])
    assert len(list(frames.push(loop, False))) <= 2


def test_show_bag_decodes_video(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed (extra 'video')")
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    from stack_publishers import VideoEncoder

    encoder = VideoEncoder()
    stamp = header().stamp
    entries = [
        ("/video", COMPRESSED_VIDEO, number, TYPES.types[COMPRESSED_VIDEO](stamp, "camera", data, "h264"))
        for number, data in enumerate(np.frombuffer(encoder.packet()[0], np.uint8) for _ in range(4))
    ]
    scene, counts = shown_of(write_bag(tmp_path / "bag", entries))
    assert counts == {"/video": 4} and scene.images["video"] == [(240, 320, 3)] * 4
