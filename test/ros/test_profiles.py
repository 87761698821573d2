# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Every shipped profile against publishers that speak like the drivers, and the errors of profiles."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("px4_msgs", reason="px4_msgs is not installed; scripts/setup builds its messages")
pytest.importorskip("av", reason="PyAV is not installed (extra 'video')")

import rclpy
from patience import wait_for
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from stack_publishers import CAMERAS, CRACK_M, RANGE_M, STACKS, init_with
from vision_msgs.msg import Detection3DArray

from crack_perception.errors import UserError
from crack_perception.ros.detector.node import CrackNode
from crack_perception.ros.detector.parameters import SPECS
from crack_perception.ros.profiles import INPUTS, names, read_profile, topics_of
from crack_perception.ros.px4.parameters import SPECS as TRANSFORMS_SPECS
from crack_perception.ros.px4.transforms import Px4Transforms

CONFIG = Path(__file__).resolve().parents[2] / "config"
PERIOD_S = 0.02
FRAME_EVERY = 5
# Every stack and every camera at least once.
PAIRS = [
    ("px4", "realsense"),
    ("px4_gimbal", "camera_ros"),
    ("px4_mavros", "usb_cam"),
    ("px4_mavros", "usb_cam_mjpeg"),
    ("ardupilot_mavros", "v4l2_camera"),
    ("ardupilot_mavros", "depthai"),
    ("mavros_gimbal", "ffmpeg"),
    ("px4", "foxglove"),
    ("px4_mavros", "zed"),
    ("gazebo", "gazebo"),
]


@pytest.fixture
def clean_ros() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack
    rclpy.try_shutdown()


def started(stack: ExitStack, nodes: list[Any]) -> None:
    """Spin nodes in a thread until the end of the test; lifecycle nodes are activated."""
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
        if isinstance(node, (CrackNode, Px4Transforms)):
            assert node.trigger_configure().name == "SUCCESS", node.failure
            assert node.trigger_activate().name == "SUCCESS", node.failure
    thread = threading.Thread(target=executor.spin, daemon=True)

    def stop() -> None:
        executor.shutdown()
        thread.join()
        for node in nodes:
            if hasattr(node, "stop"):
                node.stop()
            node.destroy_node()

    stack.callback(stop)
    thread.start()


def test_every_profile_is_in_a_pair() -> None:
    assert {stack for stack, _ in PAIRS} == set(names(CONFIG, "stacks")) == set(STACKS)
    assert {camera for _, camera in PAIRS} == set(names(CONFIG, "cameras")) == set(CAMERAS)


@pytest.mark.parametrize(("stack", "camera"), PAIRS)
def test_profile_with_its_drivers_locates_the_crack(
    stack: str, camera: str, tiny_model: Path, clean_ros: ExitStack
) -> None:
    profile = read_profile(CONFIG, "cameras", camera).over(read_profile(CONFIG, "stacks", stack))
    extra = {"model": str(tiny_model), "standoff_m": RANGE_M} if stack != "gazebo" else {"model": str(tiny_model)}
    topics = topics_of(profile, {}, "")
    converters = {name: topic for name, topic in profile.topics.items() if name not in INPUTS}
    init_with(topics | converters)
    overrides = [Parameter(name, value=value) for name, value in {**profile.parameters, **extra}.items()]
    nodes: list[Any] = [CrackNode(overrides)]
    for name in profile.nodes:
        parameters = profile.node_parameters.get(name, {})
        nodes.append(Px4Transforms([Parameter(key, value=value) for key, value in parameters.items()]))
    driver = Node("driver", use_global_arguments=False)
    located: list[Detection3DArray] = []
    driver.create_subscription(
        Detection3DArray, "/crack_node/detections_3d", lambda m: located.append(m) if m.detections else None, 10
    )
    started(clean_ros, [*nodes, driver])
    publish_pose, publish_image = STACKS[stack](driver), CAMERAS[camera](driver)
    turn = 0

    def fly() -> bool:
        nonlocal turn
        turn += 1
        now_ns = driver.get_clock().now().nanoseconds
        publish_pose(now_ns)
        if turn % FRAME_EVERY == 0:
            publish_image(now_ns - 40_000_000)
        time.sleep(PERIOD_S)
        return bool(located)

    wait_for(fly)
    detection = located[-1].detections[0]
    assert located[-1].header.frame_id == profile.parameters.get("map_frame", "map")
    place = detection.results[0].pose.pose.position
    assert (place.x, place.y, place.z) == pytest.approx(CRACK_M, abs=0.1)


def test_every_profile_sets_only_existing_parameters() -> None:
    specs = {spec.name: spec for spec in SPECS}
    of_nodes = {"px4_transforms": {spec.name for spec in TRANSFORMS_SPECS}}
    for kind in ("stacks", "cameras"):
        for name in names(CONFIG, kind):
            profile = read_profile(CONFIG, kind, name)
            for parameter, value in profile.parameters.items():
                assert specs[parameter].problem_with(specs[parameter].converted(value)) == "", name
            for node, parameters in profile.node_parameters.items():
                assert set(parameters) <= of_nodes[node]


def test_profile_topics_yield_to_arguments_and_are_relative_for_namespaces() -> None:
    profile = read_profile(CONFIG, "cameras", "realsense").over(read_profile(CONFIG, "stacks", "px4"))
    assert all(not topic.startswith("/") for topic in profile.topics.values())
    topics = topics_of(profile, {"image": "/left/image_raw"}, "compressed")
    assert topics["image"] == "/left/image_raw/compressed"
    assert topics["odom"] == "fmu/out/vehicle_odometry" and topics["range"] == "/drone/range"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a list\n", "is not a profile"),
        ("/**:\n  ros__parameters: {model: nano}\n", "belong into params_file"),
        ("topics: {imagee: /a}\n", "unknown input imagee"),
        ("nodes: [rm]\n", "starts the unknown rm"),
        ("topics: [a]\n", "topics of"),
        ("topics: {a\n", "not a readable YAML"),
    ],
)
def test_profile_that_is_none_is_refused_with_the_reason(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=reason):
        read_profile(CONFIG, "cameras", str(path))


def test_profile_of_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'realsens'.*realsense"):
        read_profile(CONFIG, "cameras", "realsens")
