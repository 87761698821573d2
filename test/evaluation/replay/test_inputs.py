# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reading of bags, assignment of topics to inputs, and the replay plan."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from evaluation_bags import (
    START_NS,
    TYPES,
    Entry,
    camera_info,
    compressed_image,
    image,
    message,
    pose,
    range_reading,
    transform,
    write_bag,
)
from rosbags.rosbag2 import StoragePlugin

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.recordings.messages import read_header
from crack_perception.evaluation.replay.input_topics import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    POSE,
    RANGE,
    TF,
    find_inputs,
)
from crack_perception.evaluation.replay.plan import ReplayOptions, plan_replay
from crack_perception.evaluation.replay.ros_isolation import isolated_ros
from crack_perception.evaluation.replay.static_transforms import map_above, transforms_of
from crack_perception.geometry.poses.pose import Pose

STRING = "std_msgs/msg/String"


def found(path: Path, overrides: dict[str, str] | None = None) -> dict[str, str]:
    """Return the topic of each input."""
    with open_bag(path) as bag:
        return {name: topic.name for name, topic in find_inputs(bag, overrides or {}).by_input.items()}


def planned(path: Path, **options: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the parameters and notes of the plan for a bag."""
    with open_bag(path) as bag:
        plan = plan_replay(bag, ReplayOptions(bag=path, out=path / "out", **options))
        return dict(plan.parameters), plan.notes


@pytest.mark.parametrize("order", ["little", "big"])
def test_read_header_returns_stamp_and_frame(order: str) -> None:
    data = TYPES.serialize_cdr(image(offset_ns=123, frame="cam"), IMAGE, little_endian=order == "little")
    assert read_header(bytes(data)) == (START_NS + 123, "cam")


@pytest.mark.parametrize("length", [0, 3, 12, 17, 18])
def test_read_header_truncated_raises(length: int) -> None:
    data = bytes(TYPES.serialize_cdr(image(frame="cam"), IMAGE))
    with pytest.raises(ValueError, match=r"Header|frame_id"):
        read_header(data[:length])


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_bag_messages_are_ordered_and_unchanged(tmp_path: Path, storage: StoragePlugin) -> None:
    entries: list[Entry] = [
        ("/b", IMAGE, 20, image("mono8")),
        ("/a", IMAGE, 10, image("bgr8")),
        ("/a", IMAGE, 30, image("rgb8")),
        ("/c", IMAGE, 40, image("rgb8")),
    ]
    path = write_bag(tmp_path / "bag", sorted(entries, key=lambda entry: entry[2]), storage)
    with open_bag(path) as bag:
        messages = list(bag.messages(["/a", "/b"]))
        assert [(topic.name, topic.type_name, topic.count) for topic in bag.topics] == [
            ("/a", IMAGE, 2),
            ("/b", IMAGE, 1),
            ("/c", IMAGE, 1),
        ]
    assert [(item.topic, item.stamp_ns - START_NS) for item in messages] == [("/a", 10), ("/b", 20), ("/a", 30)]
    assert messages[1].data == bytes(TYPES.serialize_cdr(image("mono8"), IMAGE))


def test_open_bag_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"), open_bag(tmp_path / "nowhere"):
        pass


def test_open_bag_folder_without_bag_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metadata\.yaml"), open_bag(tmp_path):
        pass


def test_open_bag_damaged_storage_raises(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", [("/a", IMAGE, 0, image())])
    next(path.glob("*.mcap")).write_bytes(b"this is no MCAP file, whatever its name says")
    with pytest.raises(UserError, match="cannot be read"), open_bag(path):
        pass


def test_find_inputs_by_type_encoding_and_namespace(tmp_path: Path) -> None:
    path = write_bag(
        tmp_path / "bag",
        [
            ("/a_lonely/image", IMAGE, 0, image("bgr8")),
            ("/cam/camera_info", CAMERA_INFO, 0, camera_info()),
            ("/cam/depth", IMAGE, 0, image("16UC1")),
            ("/cam/image_raw", IMAGE, 0, image("bgr8")),
            ("/cam/image_raw/compressed", COMPRESSED_IMAGE, 0, compressed_image()),
            ("/other/camera_info", CAMERA_INFO, 0, camera_info()),
            ("/drone/pose", POSE, 0, pose()),
            ("/drone/range", RANGE, 0, range_reading()),
            ("/tf", TF, 0, transform("map", "base_link", (0, 0, 0), (0, 0, 0, 1))),
            ("/chatter", STRING, 0, message(STRING, data="hello")),
        ],
    )
    assert found(path) == {
        "image": "/cam/image_raw",
        "camera_info": "/cam/camera_info",
        "depth": "/cam/depth",
        "pose": "/drone/pose",
        "range": "/drone/range",
        "/tf": "/tf",
    }


def test_find_inputs_compressed_image_has_its_camera_info(tmp_path: Path) -> None:
    path = write_bag(
        tmp_path / "bag",
        [
            ("/cam/camera_info", CAMERA_INFO, 0, camera_info()),
            ("/cam/depth/compressedDepth", COMPRESSED_IMAGE, 0, compressed_image("16UC1; compressedDepth png")),
            ("/cam/image_raw/compressed", COMPRESSED_IMAGE, 0, compressed_image("bgr8; jpeg compressed bgr8")),
        ],
    )
    assert found(path) == {"image": "/cam/image_raw/compressed", "camera_info": "/cam/camera_info"}
    assert planned(path)[0]["image_transport"] == "compressed"


def test_find_inputs_override_takes_precedence_and_empty_disables(tmp_path: Path) -> None:
    path = write_bag(
        tmp_path / "bag",
        [
            ("/a/image", IMAGE, 0, image()),
            ("/b/image", IMAGE, 0, image()),
            ("/drone/pose", POSE, 0, pose()),
            ("/drone/range", RANGE, 0, range_reading()),
        ],
    )
    assert found(path, {"image": "/b/image", "range": ""}) == {"image": "/b/image", "pose": "/drone/pose"}


def test_find_inputs_wrong_override_raises(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", [("/a/image", IMAGE, 0, image()), ("/drone/pose", POSE, 0, pose())])
    with pytest.raises(UserError, match=r"no topic /c.*/a/image"):
        found(path, {"image": "/c"})
    with pytest.raises(UserError, match=r"PoseStamped.*sensor_msgs/msg/Image"):
        found(path, {"image": "/drone/pose"})


def test_find_inputs_without_images_names_topics_and_remedy(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", [("/drone/pose", POSE, 0, pose()), ("/depth", IMAGE, 0, image("32FC1"))])
    with pytest.raises(UserError, match=r"no camera images.*/drone/pose.*--topic image="):
        found(path)


def test_plan_replay_extrinsic_is_chained_from_static_transforms(tmp_path: Path) -> None:
    half = 0.5**0.5
    path = write_bag(
        tmp_path / "bag",
        [
            ("/tf_static", TF, 0, transform("base_link", "gimbal", (1, 0, 0), (0, 0, half, half))),
            # Given in the camera's frame: the gimbal is 2 m along the camera's x axis.
            ("/tf_static", TF, 1, transform("camera", "gimbal", (2, 0, 0), (0, 0, 0, 1))),
            ("/image", IMAGE, 2, image()),
            ("/drone/pose", POSE, 3, pose("world")),
        ],
    )
    parameters, notes = planned(path)
    assert parameters["pose_source"] == "pose"
    assert parameters["map_frame"] == "world"
    # The gimbal is rotated by 90 degrees about z: its -x is the vehicle's -y.
    assert [float(n) for n in parameters["camera_extrinsic.translation"].strip("[]").split(",")] == pytest.approx(
        [1.0, -2.0, 0.0]
    )
    assert [float(n) for n in parameters["camera_extrinsic.rotation"].strip("[]").split(",")] == pytest.approx(
        [0.0, 0.0, half, half]
    )
    assert any("base_link to camera" in note for note in notes)


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ([("map", "odom"), ("odom", "base"), ("base", "camera")], "map"),
        ([("utm", "map"), ("map", "base"), ("/base", "/camera")], "map"),
        ([("odom", "base"), ("base", "camera")], "odom"),
        ([("uav1/map", "uav1/base"), ("uav1/base", "camera"), ("earth", "uav1/map")], "uav1/map"),
        ([("a", "camera"), ("camera", "a")], "a"),
        ([("map", "base")], None),
        ([("", "camera")], None),
        ([("/", "base"), ("base", "camera")], "base"),
        ([("map", "camera"), ("", "map")], "map"),
    ],
)
def test_plan_replay_tf_only_sets_the_map_frame(
    tmp_path: Path, edges: list[tuple[str, str]], expected: str | None
) -> None:
    transforms = [
        ("/tf" if number % 2 else "/tf_static", TF, number, transform(parent, child, (1, 0, 0), (0, 0, 0, 1)))
        for number, (parent, child) in enumerate(edges)
    ]
    moving = ("/tf", TF, 50, transform("map2", "base2", (1, 0, 0), (0, 0, 0, 1)))
    path = write_bag(tmp_path / "bag", [*transforms, moving, ("/image", IMAGE, 60, image())])
    parameters, notes = planned(path)
    assert parameters["pose_source"] == "tf"
    assert parameters.get("map_frame") == expected
    assert any("tf" in note for note in notes)


def test_plan_replay_moving_gimbal_uses_tf(tmp_path: Path) -> None:
    path = write_bag(
        tmp_path / "bag",
        [
            ("/tf_static", TF, 0, transform("gimbal", "camera", (1, 0, 0), (0, 0, 0, 1))),
            ("/tf", TF, 1, transform("map", "base_link", (1, 0, 0), (0, 0, 0, 1))),
            ("/tf", TF, 2, transform("base_link", "gimbal", (1, 0, 0), (0, 0, 0, 1))),
            ("/image", IMAGE, 3, image()),
            ("/drone/pose", POSE, 4, pose()),
        ],
    )
    parameters, notes = planned(path)
    assert (parameters["pose_source"], parameters["map_frame"]) == ("tf", "map")
    assert any("/drone/pose is not used" in note for note in notes)


def test_plan_replay_pose_with_covariance_sets_the_type(tmp_path: Path) -> None:
    kind = "geometry_msgs/msg/PoseWithCovarianceStamped"
    stamped = pose()
    covered = message("geometry_msgs/msg/PoseWithCovariance", pose=stamped.pose, covariance=np.zeros(36))
    entry = message(kind, header=stamped.header, pose=covered)
    path = write_bag(tmp_path / "bag", [("/image", IMAGE, 0, image()), ("/ekf/pose", kind, 1, entry)])
    parameters, _ = planned(path)
    assert (parameters["pose_source"], parameters["pose_type"]) == ("pose", "PoseWithCovarianceStamped")


def test_plan_replay_unconnected_static_transforms_are_noted(tmp_path: Path) -> None:
    path = write_bag(
        tmp_path / "bag",
        [
            ("/tf_static", TF, 0, transform("base_link", "gimbal", (1, 0, 0), (0, 0, 0, 0))),
            ("/image", IMAGE, 1, image()),
            ("/drone/pose", POSE, 2, pose()),
        ],
    )
    parameters, notes = planned(path)
    assert "camera_extrinsic.rotation" not in parameters
    assert any("does not connect base_link with camera" in note for note in notes)


ODOMETRY = "nav_msgs/msg/Odometry"


def odometry(child: str) -> Any:
    """Return an Odometry at the origin."""
    zero = message("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
    twist = message("geometry_msgs/msg/Twist", linear=zero, angular=zero)
    return message(
        ODOMETRY,
        header=pose().header,
        child_frame_id=child,
        pose=message("geometry_msgs/msg/PoseWithCovariance", pose=pose().pose, covariance=np.zeros(36)),
        twist=message("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)),
    )


POSED: Entry = ("/drone/pose", POSE, 1, pose())
MOUNT: Entry = ("/tf_static", TF, 0, transform("base_link", "camera", (1, 0, 0), (0, 0, 0, 1)))


def located(path: Path, rows: list[Entry], **options: Any) -> tuple[str, ...]:
    """Return the warnings about the positions of a bag with these rows and a calibrated camera with a range."""
    camera: list[Entry] = [
        ("/image", IMAGE, 2, image()),
        ("/camera_info", CAMERA_INFO, 3, camera_info()),
        ("/range", RANGE, 4, range_reading()),
    ]
    write_bag(path, sorted([*rows, *camera], key=lambda row: row[2]))
    with open_bag(path) as bag:
        notes = plan_replay(bag, ReplayOptions(bag=path, out=path / "out", **options)).notes
    return tuple(note for note in notes if note.startswith("warning: "))


@pytest.mark.parametrize(
    ("rows", "is_known"),
    [
        ([POSED], False),
        ([POSED, ("/tf_static", TF, 0, transform("base_link", "lidar", (1, 0, 0), (0, 0, 0, 1)))], False),
        ([("/odom", ODOMETRY, 1, odometry("base_link"))], False),
        ([("/odom", ODOMETRY, 1, odometry(""))], False),
        ([POSED, MOUNT], True),
        ([POSED, ("/tf_static", TF, 0, transform("uav/base_link", "camera", (1, 0, 0), (0, 0, 0, 1)))], True),
        ([POSED, ("/uav/tf_static", TF, 0, MOUNT[3])], True),
        ([("/odom", ODOMETRY, 1, odometry("camera"))], True),
        ([POSED, ("/tf", TF, 0, transform("map", "camera", (1, 0, 0), (0, 0, 0, 1)))], True),
        ([], True),
    ],
)
def test_plan_replay_unknown_mounting_is_warned_of(tmp_path: Path, rows: list[Entry], is_known: bool) -> None:
    problems = located(tmp_path / "bag", rows)
    assert bool(problems) is not is_known
    if problems:
        assert "how the camera is mounted" in problems[0]
        assert "camera_extrinsic" in problems[0] and "--params" in problems[0] and "pose_of" in problems[0]


@pytest.mark.parametrize(
    ("settings", "is_known"),
    [
        ("pose_of: optical", True),
        ("pose_of: camera", True),
        ("pose_of: body", False),
        ("camera_extrinsic: {rotation: [0.0, 0.7071068, 0.0, 0.7071068]}", True),
        ("camera_extrinsic: {translation: [0.1, 0.0, 0.0]}", False),
        ("pose_source: none", True),
        ("threshold: 0.5", False),
    ],
)
@pytest.mark.parametrize("key", ["/**", "crack_node", "/drone1/crack_node"])
def test_plan_replay_mounting_given_by_parameters_is_known(
    tmp_path: Path, settings: str, is_known: bool, key: str
) -> None:
    parameters = tmp_path / "mine.yaml"
    parameters.write_text(f"{key}:\n  ros__parameters:\n    {settings}\n")
    assert bool(located(tmp_path / "bag", [POSED], params_file=parameters)) is not is_known


def test_plan_replay_mounting_given_as_an_option_is_known(tmp_path: Path) -> None:
    assert not located(tmp_path / "bag", [POSED], parameters={"pose_of": "optical"})


def test_plan_replay_without_a_distance_has_no_positions_to_question(tmp_path: Path) -> None:
    assert not located(tmp_path / "one", [POSED], topics={"range": ""})
    assert located(tmp_path / "two", [POSED], topics={"range": ""}, parameters={"standoff_m": "3.0"})


@pytest.mark.parametrize(
    ("topic", "is_rectified"),
    [("/cam/image_rect", True), ("/cam/image_rect_color", True), ("/cam/image_raw", False), ("/rectory/image", False)],
)
def test_plan_replay_rectified_topic_name_sets_the_parameter(tmp_path: Path, topic: str, is_rectified: bool) -> None:
    path = write_bag(
        tmp_path / "bag", [(topic, IMAGE, 0, image()), ("/cam/camera_info", CAMERA_INFO, 0, camera_info())]
    )
    parameters, notes = planned(path)
    assert parameters.get("image_is_rectified", "false") == str(is_rectified).lower()
    assert any("image_is_rectified" in note for note in notes) is is_rectified


def test_plan_replay_missing_and_unused_topics_are_noted(tmp_path: Path) -> None:
    path = write_bag(
        tmp_path / "bag", [("/image", IMAGE, 0, image()), ("/chatter", STRING, 1, message(STRING, data="hello"))]
    )
    notes = " | ".join(planned(path)[1])
    for expected in ("/chatter", "no camera_info", "no pose", "neither range nor depth"):
        assert expected in notes


def test_plan_replay_invalid_options_raise(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", [("/image", IMAGE, 0, image())])
    with pytest.raises(UserError, match="--rate 0"):
        planned(path, rate=0.0)
    with pytest.raises(UserError, match=r"none\.yaml"):
        planned(path, params_file=tmp_path / "none.yaml")
    (tmp_path / "torn.yaml").write_text("/**: [")
    with pytest.raises(UserError, match="is not YAML"):
        planned(path, params_file=tmp_path / "torn.yaml")
    for wrong in (math.inf, math.nan, 1e9):
        with pytest.raises(UserError, match="--rate"):
            planned(path, rate=wrong)
    with pytest.raises(UserError, match="--min-width-px nan"):
        planned(path, min_width_px=math.nan)
    with pytest.raises(UserError, match=r"none\.json"):
        planned(path, truth=tmp_path / "none.json")


@pytest.mark.parametrize("domain", ["abc", "-1", "233", "1.5"])
def test_isolated_ros_invalid_domain_raises(monkeypatch: pytest.MonkeyPatch, domain: str) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    with pytest.raises(UserError, match=f"ROS_DOMAIN_ID '{domain}' is not"), isolated_ros():
        pass


def test_isolated_ros_names_an_existing_configuration_of_cyclone_dds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CYCLONEDDS_URI", raising=False)
    with isolated_ros():
        uri = os.environ["CYCLONEDDS_URI"]
        assert uri.startswith("file:///") and Path(uri.removeprefix("file://")).is_file()
    assert "CYCLONEDDS_URI" not in os.environ


def test_isolated_ros_configuration_of_the_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYCLONEDDS_URI", "file:///mine.xml")
    with isolated_ros():
        assert os.environ["CYCLONEDDS_URI"] == "file:///mine.xml"


def test_isolated_ros_runs_at_the_same_time_have_different_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them has opened a port yet, so that the reservation alone keeps them apart."""
    with contextlib.ExitStack() as runs:
        domains = []
        for _ in range(30):
            monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
            domains.append(runs.enter_context(isolated_ros()))
        assert len(set(domains)) == len(domains)


def test_map_above_the_body_of_a_vehicle_is_no_map() -> None:
    mounted = ("drone1/base_link", "camera", Pose.identity())
    assert map_above([mounted], "camera") is None
    assert map_above([mounted, ("world", "drone1/base_link", Pose.identity())], "camera") == "world"


def test_transforms_of_leaves_out_what_the_node_refuses() -> None:
    def item(parent: str, child: str, w: float = 1.0) -> SimpleNamespace:
        turn = SimpleNamespace(x=0.0, y=0.0, z=0.0, w=w)
        place = SimpleNamespace(x=0.0, y=0.0, z=0.0)
        moved = SimpleNamespace(translation=place, rotation=turn)
        return SimpleNamespace(header=SimpleNamespace(frame_id=parent), child_frame_id=child, transform=moved)

    items = [item("map", "camera"), item("camera", "/camera"), item("map", "half", 0.5), item("", "lost")]
    assert [found[:2] for found in transforms_of(SimpleNamespace(transforms=items))] == [("map", "camera")]
