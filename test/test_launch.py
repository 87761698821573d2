# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the launch files with the real launch system and nodes; skipped if launch is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("launch.actions", reason="launch is not installed; it comes with a distribution's ROS 2")
pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed; it comes with a distribution's ROS 2")

import psutil
import rclpy
from launch import LaunchDescription
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node

pytestmark = pytest.mark.slow

LAUNCH_FOLDER = Path(__file__).resolve().parents[1] / "launch"
TIMEOUT_S = 120.0

RUN_LAUNCH_FILE = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
path, *arguments = sys.argv[1:]
source = PythonLaunchDescriptionSource(path)
include = IncludeLaunchDescription(source, launch_arguments=[a.split(":=", 1) for a in arguments])
service = LaunchService()
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""


def load(name: str) -> ModuleType:
    """Import the launch file as a module."""
    spec = importlib.util.spec_from_file_location(name.replace(".", "_"), LAUNCH_FOLDER / name)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", RUN_LAUNCH_FILE, str(LAUNCH_FOLDER / name), *arguments]


@contextmanager
def launched(name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a launch file; it is interrupted at the end as by Ctrl-C, and its process group is always ended."""
    process = subprocess.Popen(command(name, *arguments), start_new_session=True)
    try:
        yield process
        os.killpg(process.pid, signal.SIGINT)
        process.wait(TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def observer() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("launch_observer", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def call(observer: Node, kind: type, name: str, request: object) -> object:
    """Call a service, which must appear in time, and return its response."""
    client = observer.create_client(kind, name)
    assert client.wait_for_service(TIMEOUT_S), f"no service {name}"
    executor = rclpy.executors.SingleThreadedExecutor(context=observer.context)
    future = client.call_async(request)
    executor.add_node(observer)
    executor.spin_until_future_complete(future, TIMEOUT_S)
    executor.remove_node(observer)
    observer.destroy_client(client)
    assert future.done(), f"no answer from {name}"
    return future.result()


def wait_until_active(observer: Node, node: str) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    label = "unknown"
    while label != "active":
        assert time.monotonic() < deadline_s, f"{node} is {label}"
        label = call(observer, GetState, f"{node}/get_state", GetState.Request()).current_state.label
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["drone.launch.py", "replay.launch.py"])
def test_launch_arguments_have_descriptions(name: str) -> None:
    description = load(name).generate_launch_description()
    assert isinstance(description, LaunchDescription)
    arguments = description.get_launch_arguments()
    assert len(arguments) > 10
    assert [argument.name for argument in arguments if len(argument.description) < 10] == []


def test_launch_choices_match_node() -> None:
    from crack_perception.ros.detector.parameter_specs import SPECS

    choices = {spec.name: list(spec.choices) for spec in SPECS if spec.choices}
    arguments = {argument.name: argument for argument in load("drone.launch.py").ARGUMENTS}
    for name in ("image_transport", "pose_source", "backend"):
        assert arguments[name].choices == ["", *choices[name]]


def test_drone_launch_active_node_with_remappings(
    observer: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variable = load("drone.launch.py").PROFILE_VARIABLE
    monkeypatch.delenv(variable)
    parameters = tmp_path / "mine.yaml"
    parameters.write_text("/**:\n  ros__parameters:\n    camera_extrinsic:\n      translation: [0.1, 0.0, 0.05]\n")
    arguments = (
        f"params_file:={parameters}",
        *("namespace:=drone7", "image_topic:=/front/image", "image_transport:=compressed"),
        *("pose_source:=odom", "odom_topic:=state", "fastdds_large_images:=true", "model:=standard"),
        *(f"map_folder:={tmp_path / 'map'}", "mapper_autostart:=true"),
    )
    with launched("drone.launch.py", *arguments) as launch:
        node = "/drone7/crack_node"
        wait_until_active(observer, node)
        subscribed = dict(observer.get_subscriber_names_and_types_by_node("crack_node", "/drone7"))
        assert subscribed["/front/image/compressed"] == ["sensor_msgs/msg/CompressedImage"]
        assert subscribed["/drone7/state"] == ["nav_msgs/msg/Odometry"]
        request = GetParameters.Request(names=["pose_source", "model", "camera_extrinsic.translation"])
        values = call(observer, GetParameters, f"{node}/get_parameters", request).values
        assert [values[0].string_value, values[1].string_value] == ["odom", "standard"]
        assert list(values[2].double_array_value) == [0.10, 0.0, 0.05]
        children = psutil.Process(launch.pid).children(recursive=True)
        environments = [child.environ() for child in children if "crack_node" in " ".join(child.cmdline())]
        profiles = {Path(environment[variable]) for environment in environments}
        assert [profile.name for profile in profiles] == ["fastdds_large_images.xml"]
        assert all(profile.is_file() for profile in profiles)
        wait_until_active(observer, "/drone7/crack_mapper")
        mapped = dict(observer.get_subscriber_names_and_types_by_node("crack_mapper", "/drone7"))
        assert mapped["/drone7/crack_node/detections_3d"] == ["vision_msgs/msg/Detection3DArray"]
        assert (tmp_path / "map" / "crack_map.sqlite").is_file()
    assert launch.returncode == 0


def test_drone_launch_mapper_follows_node_name_and_is_optional(observer: Node) -> None:
    with launched("drone.launch.py", "node_name:=finder", "autostart:=false", "mapper_autostart:=true"):
        wait_until_active(observer, "/crack_mapper")
        request = GetParameters.Request(names=["sources", "database"])
        sources, database = call(observer, GetParameters, "/crack_mapper/get_parameters", request).values
        assert list(sources.string_array_value) == ["finder"] and database.string_value == ""
    description = load("drone.launch.py").generate_launch_description()
    assert "mapper" in {argument.name for argument in description.get_launch_arguments()}


def test_drone_launch_without_arguments_starts_both_nodes_and_ends_with_0(observer: Node) -> None:
    with launched("drone.launch.py") as launch:
        wait_until_active(observer, "/crack_node")
        wait_until_active(observer, "/crack_mapper")
    assert launch.returncode == 0


def test_drone_launch_stack_and_camera_give_topics_parameters_and_converter(observer: Node) -> None:
    pytest.importorskip("px4_msgs", reason="px4_msgs is not installed")
    arguments = ("stack:=px4_gimbal", "camera:=realsense", "namespace:=uav_1", "mapper:=false", "depth_topic:=/other")
    arguments += ("frame_prefix:=uav_1/",)
    with launched("drone.launch.py", *arguments) as launch:
        wait_until_active(observer, "/uav_1/crack_node")
        wait_until_active(observer, "/uav_1/px4_transforms")
        subscribed = dict(observer.get_subscriber_names_and_types_by_node("crack_node", "/uav_1"))
        assert "/uav_1/camera/camera/color/image_raw" in subscribed and "/other" in subscribed
        converted = dict(observer.get_subscriber_names_and_types_by_node("px4_transforms", "/uav_1"))
        assert converted["/uav_1/fmu/out/vehicle_odometry"] == ["px4_msgs/msg/VehicleOdometry"]
        request = GetParameters.Request(names=["pose_source", "depth_relative_sigma", "severity_preset"])
        values = call(observer, GetParameters, "/uav_1/crack_node/get_parameters", request).values
        assert (values[0].string_value, values[1].double_value) == ("tf", 0.02)
        assert values[2].string_value == "gb50204"
        request = GetParameters.Request(names=["camera_frame", "base_frame", "map_frame"])
        frames = call(observer, GetParameters, "/uav_1/px4_transforms/get_parameters", request).values
        found = [frame.string_value for frame in frames]
        assert found == ["uav_1/gimbal_camera_optical_frame", "uav_1/base_link", "map"]
    assert launch.returncode == 0


def test_drone_launch_own_parameters_take_precedence_over_the_profile(observer: Node, tmp_path: Path) -> None:
    parameters = tmp_path / "mine.yaml"
    parameters.write_text("/**:\n  ros__parameters:\n    depth_relative_sigma: 0.07\n")
    with launched("drone.launch.py", "stack:=px4_mavros", "camera:=zed", f"params_file:={parameters}", "mapper:=false"):
        wait_until_active(observer, "/crack_node")
        request = GetParameters.Request(names=["depth_relative_sigma", "image_is_rectified", "pose_source"])
        values = call(observer, GetParameters, "/crack_node/get_parameters", request).values
        assert (values[0].double_value, values[1].bool_value, values[2].string_value) == (0.07, True, "odom")


def test_drone_launch_names_the_users_file_and_what_it_overrides(tmp_path: Path) -> None:
    copy, log = tmp_path / "copy.yaml", tmp_path / "log"
    shipped = (LAUNCH_FOLDER.parent / "config" / "drone.yaml").read_text(encoding="utf-8")
    copy.write_text(f"{shipped}    treshold: 0.5\n", encoding="utf-8")
    arguments = (f"params_file:={copy}", "camera:=ffmpeg", "stack:=px4_mavros", "mapper:=false", "autostart:=false")
    with log.open("wb") as output:
        launch = subprocess.Popen(
            command("drone.launch.py", *arguments), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline_s = time.monotonic() + TIMEOUT_S
        while "'treshold'" not in log.read_text():
            assert launch.poll() is None and time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.05)
        os.killpg(launch.pid, signal.SIGINT)
        assert launch.wait(TIMEOUT_S) == 0, log.read_text()
    finally:
        if launch.poll() is None:
            os.killpg(launch.pid, signal.SIGKILL)
            launch.wait()
    text = log.read_text()
    assert f"{copy} sets 'treshold'" in text and "launch_params_" not in text, text
    assert f"{copy} takes precedence" in text and "image_transport: raw instead of ffmpeg" in text, text


@pytest.mark.parametrize(
    ("own", "of_node", "of_mapper"),
    [
        ("", "odom", "odom"),
        ("crack_node: {ros__parameters: {map_frame: site}}\n", "site", "site"),
        ("crack_mapper: {ros__parameters: {map_frame: site}}\n", "odom", "site"),
    ],
)
def test_drone_launch_map_frame_of_the_profile_reaches_the_mapper(
    own: str, of_node: str, of_mapper: str, observer: Node, tmp_path: Path
) -> None:
    arguments = ["stack:=gazebo", "camera:=gazebo"]
    if own:
        (tmp_path / "mine.yaml").write_text(own)
        name = "params_file" if own.startswith("crack_node") else "mapper_params_file"
        arguments.append(f"{name}:={tmp_path / 'mine.yaml'}")
    with launched("drone.launch.py", *arguments):
        request = GetParameters.Request(names=["map_frame"])
        for node, expected in (("/crack_node", of_node), ("/crack_mapper", of_mapper)):
            wait_until_active(observer, node)
            (frame,) = call(observer, GetParameters, f"{node}/get_parameters", request).values
            assert frame.string_value == expected


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("drone.launch.py", "stack:=/missing.yaml"),
        ("drone.launch.py", "mapper_params_file:=/missing.yaml"),
        ("drone.launch.py", "params_file:=/missing.yaml"),
        ("replay.launch.py", "bag:=/missing"),
    ],
)
def test_launch_with_a_missing_file_fails_before_anything_starts(name: str, argument: str) -> None:
    done = subprocess.run(command(name, argument), capture_output=True, text=True, timeout=TIMEOUT_S)
    output = done.stdout + done.stderr
    assert done.returncode == 1 and "/missing" in output and "process started" not in output


def test_launch_wrong_choice_named() -> None:
    done = subprocess.run(
        command("drone.launch.py", "image_transport:=pigeon"), capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode != 0
    assert "image_transport" in done.stdout + done.stderr
    assert "compressed" in done.stdout + done.stderr


def player_environment(folder: Path, script: str) -> dict[str, str]:
    """Write a bag to ``folder/flight``; return an environment in which ``ros2`` is a script instead of the player."""
    write_flight(folder / "flight", frames=1)
    (folder / "bin").mkdir()
    (folder / "bin" / "ros2").write_text(script)
    (folder / "bin" / "ros2").chmod(0o755)
    return os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


# Creates a file to signal that it plays, then waits until it is ended.
ENDLESS_PLAYER = """#!/bin/sh
touch "$(dirname "$0")/playing"
exec sleep 1000
"""

# Writes the states of the nodes and its arguments, then ends like a player at the end of its bag.
STATE_PLAYER = f"""#!{sys.executable}
import json, pathlib, sys
import rclpy
from lifecycle_msgs.srv import GetState
rclpy.init()
node = rclpy.create_node("stand_in_player")
states = []
for name in ("crack_mapper", "crack_node"):
    client = node.create_client(GetState, f"/crack_drone/{{name}}/get_state")
    assert client.wait_for_service(60.0)
    future = client.call_async(GetState.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=60.0)
    states.append(future.result().current_state.label)
pathlib.Path(sys.argv[0]).with_name("seen").write_text(json.dumps([states, sys.argv[1:]]))
"""


@contextmanager
def endless_replay(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start a replay whose player does not end, and return it with its log."""
    environment, log = player_environment(folder, ENDLESS_PLAYER), folder / "log"
    with log.open("wb") as output:
        launch = subprocess.Popen(
            command("replay.launch.py", f"bag:={folder / 'flight'}", f"map_folder:={folder / 'map'}", *arguments),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        deadline_s = time.monotonic() + TIMEOUT_S
        while not (folder / "bin" / "playing").exists():
            assert launch.poll() is None and time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.05)
        yield launch, log
    finally:
        if launch.poll() is None:
            os.killpg(launch.pid, signal.SIGKILL)
            launch.wait()


def child_of(launch: subprocess.Popen[bytes], executable: str) -> psutil.Process:
    """Find the process that runs an executable."""
    children = psutil.Process(launch.pid).children(recursive=True)
    (child,) = [child for child in children if any(Path(word).name == executable for word in child.cmdline())]
    return child


def replay_output(folder: Path, code: int, *arguments: str) -> tuple[int, str]:
    """Run replay.launch.py with a player that ends with this code; return exit code and output."""
    environment = player_environment(folder, f"#!/bin/sh\nexit {code}\n")
    done = subprocess.run(
        command("replay.launch.py", f"bag:={folder / 'flight'}", *arguments),
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT_S,
        env=environment,
    )
    return done.returncode, done.stdout + done.stderr


def test_replay_launch_ends_when_the_node_cannot_be_configured(tmp_path: Path) -> None:
    code, output = replay_output(tmp_path, 0, f"model:={tmp_path / 'missing'}")
    assert code == 1 and "Cannot configure" in output and "/crack_node refused to configure" in output


def test_replay_launch_ends_when_the_mapper_cannot_be_configured(tmp_path: Path) -> None:
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "crack_map.sqlite").mkdir()
    code, output = replay_output(tmp_path, 0, f"map_folder:={tmp_path / 'map'}")
    assert code == 1 and "/crack_mapper refused to configure" in output


def test_replay_launch_starts_the_player_when_both_nodes_are_active(tmp_path: Path) -> None:
    done = subprocess.run(
        command("replay.launch.py", f"bag:={tmp_path / 'flight'}", "namespace:=crack_drone", "rate:=0.5"),
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT_S,
        env=player_environment(tmp_path, STATE_PLAYER),
    )
    states, words = json.loads((tmp_path / "bin" / "seen").read_text())
    assert states == ["active", "active"], done.stdout + done.stderr
    assert words == ["bag", "play", str(tmp_path / "flight"), "--rate", "0.5", "--clock", "100", "--delay", "3.0"]


def test_replay_launch_interrupted_while_the_bag_plays_saves_and_ends_with_0(tmp_path: Path) -> None:
    with endless_replay(tmp_path) as (launch, log):
        os.killpg(launch.pid, signal.SIGINT)
        assert launch.wait(TIMEOUT_S) == 0, log.read_text()
    assert (tmp_path / "map" / "crack_map.sqlite").is_file()
    assert "Traceback" not in log.read_text()


def test_replay_launch_interrupted_while_the_nodes_start_ends_with_0(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        launch = subprocess.Popen(
            command("replay.launch.py", f"bag:={tmp_path / 'flight'}"),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=player_environment(tmp_path, ENDLESS_PLAYER),
            start_new_session=True,
        )
    try:
        deadline_s = time.monotonic() + TIMEOUT_S
        while log.read_text().count("process started") < 2:
            assert launch.poll() is None and time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.01)
        os.killpg(launch.pid, signal.SIGINT)
        assert launch.wait(TIMEOUT_S) == 0, log.read_text()
    finally:
        if launch.poll() is None:
            os.killpg(launch.pid, signal.SIGKILL)
            launch.wait()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("executable", ["crack_node", "crack_mapper"])
def test_replay_launch_whose_node_dies_while_the_bag_plays_ends_with_1(executable: str, tmp_path: Path) -> None:
    with endless_replay(tmp_path) as (launch, log):
        child_of(launch, executable).kill()
        assert launch.wait(TIMEOUT_S) == 1, log.read_text()
    assert f"/{executable} ended with -9 before the bag was over" in log.read_text()


def test_replay_launch_at_the_end_of_the_bag_saves_the_plan_and_ends_with_0(tmp_path: Path) -> None:
    code, output = replay_output(tmp_path, 0, f"map_folder:={tmp_path / 'map'}")
    assert code == 0 and "Saved" in output, output
    saved = {path.name for path in (tmp_path / "map").iterdir()}
    assert {"crack_map.sqlite", "crack_map.geojson", "crack_map.csv", "crack_map.svg", "crack_map.png"} <= saved


def test_replay_launch_whose_player_fails_ends_with_an_error(tmp_path: Path) -> None:
    code, output = replay_output(tmp_path, 3)
    assert code == 1 and "ended with 3" in output, output


def test_replay_launch_whose_map_cannot_be_saved_ends_with_an_error(tmp_path: Path) -> None:
    parameters = tmp_path / "mapper.yaml"
    parameters.write_text("/**:\n  ros__parameters:\n    output_folder: /proc/crack_map\n")
    code, output = replay_output(tmp_path, 0, f"mapper_params_file:={parameters}")
    assert code == 1 and "the map was not saved" in output, output


@pytest.mark.parametrize("kind", ["text", "no metadata"])
def test_replay_launch_checks_the_bag_as_the_verb_does(kind: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.mcap").write_text("no recording")
    if kind == "no metadata":
        for name in ("a", "b"):
            write_flight(tmp_path / name, frames=1)
            (file,) = (tmp_path / name).glob("*.mcap")
            file.rename(tmp_path / f"{name}.mcap")
            shutil.rmtree(tmp_path / name)
    done = subprocess.run(
        command("replay.launch.py", f"bag:={tmp_path}"), capture_output=True, text=True, timeout=TIMEOUT_S
    )
    output = done.stdout + done.stderr
    expected = "neither an MCAP file" if kind == "text" else f"crack_perception replay {tmp_path}"
    assert done.returncode == 1 and expected in output and "process started" not in output, output


@pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2 bag is not installed; a distribution's ROS 2 has it")
def test_replay_launch_plays_the_bag_into_the_active_node(observer: Node, tmp_path: Path) -> None:
    from vision_msgs.msg import Detection2DArray

    write_flight(tmp_path / "flight", frames=10)
    received: list[Detection2DArray] = []
    observer.create_subscription(Detection2DArray, "/crack_node/detections", received.append, 10)
    launch = subprocess.Popen(command("replay.launch.py", f"bag:={tmp_path / 'flight'}"), start_new_session=True)
    executor = rclpy.executors.SingleThreadedExecutor(context=observer.context)
    executor.add_node(observer)
    try:
        deadline_s = time.monotonic() + TIMEOUT_S
        while launch.poll() is None and time.monotonic() < deadline_s:
            executor.spin_once(timeout_sec=0.1)
        assert launch.poll() is not None, "the launch did not end with the bag"
    finally:
        if launch.poll() is None:
            os.killpg(launch.pid, signal.SIGKILL)
    assert launch.returncode == 0
    assert {message.header.frame_id for message in received} == {"camera_optical_frame"}


def write_flight(folder: Path, frames: int) -> None:
    """Write a bag of grey 320 x 240 images at 5 Hz with their camera_info."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    import numpy as np

    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        image_type = "sensor_msgs/msg/Image"
        images = writer.add_connection("/camera/image_raw", image_type, typestore=store)
        for index in range(frames):
            stamp_ns = 1_700_000_000_000_000_000 + index * 200_000_000
            stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
            header = types["std_msgs/msg/Header"](stamp, "camera_optical_frame")
            pixels = np.full(240 * 320 * 3, 170, np.uint8)
            message = types[image_type](header, 240, 320, "bgr8", 0, 320 * 3, pixels)
            writer.write(images, stamp_ns, store.serialize_cdr(message, image_type))
