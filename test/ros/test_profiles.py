# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Every shipped profile against publishers that speak like the drivers, and the errors of profiles."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("map_msgs", reason="map_msgs is not installed: run scripts/setup")
pytest.importorskip("px4_msgs", reason="px4_msgs is not installed; scripts/setup builds its messages")
pytest.importorskip("av", reason="PyAV is not installed (extra 'video')")

import rclpy
from patience import wait_for
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from stack_publishers import CAMERAS, CRACK_M, RANGE_M, STACKS, init_with
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

from crack_perception.errors import UserError
from crack_perception.parameter_files import parameter_values
from crack_perception.ros.common.lifecycle import ManagedNode
from crack_perception.ros.detector.node import CrackNode
from crack_perception.ros.detector.parameter_specs import SPECS
from crack_perception.ros.mapper.node import CrackMapper
from crack_perception.ros.profiles import (
    INPUTS,
    Profile,
    beside_file,
    map_frame_of,
    names,
    read_profile,
    topics_of,
)
from crack_perception.ros.px4.parameters import SPECS as TRANSFORMS_SPECS
from crack_perception.ros.px4.transforms import Px4Transforms

CONFIG = Path(__file__).resolve().parents[2] / "config"
PERIOD_S = 0.02
FRAME_EVERY = 5
# One of several drones: its frames on tf have a prefix.
PREFIXED = ("px4_gimbal", "realsense", "uav_1/")
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
    ("px4_mavros", "rtsp"),
    ("gazebo", "gazebo"),
    ("gazebo_gimbal", "gazebo"),
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
        if isinstance(node, ManagedNode):
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


@pytest.mark.parametrize(("stack", "camera", "prefix"), [*((*pair, "") for pair in PAIRS), PREFIXED])
def test_profile_with_its_drivers_locates_and_maps_the_crack(
    stack: str, camera: str, prefix: str, tiny_model: Path, clean_ros: ExitStack
) -> None:
    profile = read_profile(CONFIG, "cameras", camera).over(read_profile(CONFIG, "stacks", stack))
    profile = profile.with_frame_prefix(prefix)
    extra = {"model": str(tiny_model), "standoff_m": RANGE_M} if stack != "gazebo" else {"model": str(tiny_model)}
    topics = topics_of(profile, {}, "")
    converters = {name: topic for name, topic in profile.topics.items() if name not in INPUTS}
    init_with(topics | converters)
    # As the launch file gives the frame of the map to all nodes.
    map_frame = map_frame_of(profile, in_shipped("drone.yaml", "/crack_node"), True)
    common = beside_file({"map_frame": map_frame}, in_shipped("mapper.yaml", "/crack_mapper"), True)
    nodes: list[Any] = [CrackNode(overridden({**profile.parameters, **extra})), CrackMapper(overridden(common))]
    for name in profile.nodes:
        nodes.append(Px4Transforms(overridden({**common, **profile.node_parameters.get(name, {})})))
    driver = Node("driver", use_global_arguments=False)
    located: list[Detection3DArray] = []
    mapped: list[Detection3DArray] = []
    frames: set[str] = set()
    for topic, into in (("/crack_node/detections_3d", located), ("/crack_mapper/map", mapped)):
        driver.create_subscription(
            Detection3DArray, topic, lambda m, into=into: into.append(m) if m.detections else None, 10
        )
    driver.create_subscription(TFMessage, "/tf", lambda m: frames.update(t.child_frame_id for t in m.transforms), 10)
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
        return bool(located and mapped)

    wait_for(fly)
    for array in (located[-1], mapped[-1]):
        assert array.header.frame_id == map_frame
        place = array.detections[0].bbox.center.position
        assert (place.x, place.y, place.z) == pytest.approx(CRACK_M, abs=0.1)
    if prefix:
        assert frames and all(frame.startswith("uav_1/") for frame in frames)


def in_shipped(file: str, node: str) -> dict[str, Any]:
    """Return what a shipped parameter file sets for a node."""
    return parameter_values(CONFIG / file, node)


def overridden(values: Mapping[str, Any]) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in values.items()]


def test_map_frame_of_a_profile_yields_to_the_users_own_file_only() -> None:
    profile = read_profile(CONFIG, "stacks", "gazebo")
    shipped = in_shipped("drone.yaml", "/crack_node")
    assert shipped["map_frame"] == "map" and map_frame_of(profile, shipped, True) == "odom"
    assert map_frame_of(profile, {"map_frame": "world"}, False) == "world"
    assert map_frame_of(profile, {"model": "nano"}, False) == "odom"
    assert map_frame_of(Profile(), {"map_frame": "site"}, False) == "site"
    assert map_frame_of(Profile(), {}, False) == "map"


def test_frames_of_two_drones_differ_in_every_profile_and_share_the_map() -> None:
    for name in names(CONFIG, "stacks"):
        profile = read_profile(CONFIG, "stacks", name)
        first, second = profile.with_frame_prefix("uav_1/"), profile.with_frame_prefix("/uav_2")
        assert profile.with_frame_prefix("") == profile
        assert map_frame_of(first, {}, False) == map_frame_of(second, {}, False) == map_frame_of(profile, {}, False)
        assert frames_of(first).isdisjoint(frames_of(second)), name
        assert all(frame.startswith("uav_1/") for frame in frames_of(first))
        if "camera_frame" in profile.parameters:
            assert first.parameters["camera_frame"] == f"uav_1/{profile.parameters['camera_frame']}"
    transforms = read_profile(CONFIG, "stacks", "px4_gimbal").with_frame_prefix("uav_1").node_parameters
    assert transforms["px4_transforms"]["base_frame"] == "uav_1/base_link"


def frames_of(profile: Profile) -> set[str]:
    """Return the frames that a profile names, without that of the map."""
    parameters = [profile.parameters, *profile.node_parameters.values()]
    return {str(values[name]) for values in parameters for name in ("base_frame", "camera_frame") if name in values}


@pytest.mark.parametrize(
    ("bridge", "stack"), [("gazebo_bridge.yaml", "gazebo"), ("gazebo_gimbal_bridge.yaml", "gazebo_gimbal")]
)
def test_gazebo_bridge_topics_are_those_of_the_profiles_and_follow_a_namespace(bridge: str, stack: str) -> None:
    bridged = {entry["ros_topic_name"]: entry for entry in yaml.safe_load((CONFIG / bridge).read_text())}
    assert {name for name in bridged if name.startswith("/")} <= {"/clock", "/tf"}
    profile = read_profile(CONFIG, "cameras", "gazebo").over(read_profile(CONFIG, "stacks", stack))
    assert set(profile.topics.values()) <= set(bridged)
    assert ("/tf" in bridged) == (profile.parameters["pose_source"] == "tf")


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
