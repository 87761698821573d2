# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the launch files and the RViz configuration that do not need launch."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from crack_perception import middleware
from crack_perception.parameter_files import parameter_values
from crack_perception.ros.profiles import Profile, overridden, read_profile

ROOT = Path(__file__).resolve().parents[1]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))


def forward_references(source: str) -> list[str]:
    """Return the arguments whose default refers to an argument that is not declared before them."""
    declared: list[str] = []
    found: list[str] = []
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        if ast.unparse(call.func) not in ("argument", "DeclareLaunchArgument") or not call.args:
            continue
        if not isinstance(call.args[0], ast.Constant):
            continue  # the helper's own definition
        for inner in ast.walk(call):
            if isinstance(inner, ast.Call) and ast.unparse(inner.func) == "LaunchConfiguration":
                name = ast.literal_eval(inner.args[0])
                if name not in declared:
                    found.append(f"{call.args[0].value} -> {name}")
        declared.append(str(call.args[0].value))
    assert declared
    return found


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_argument_default_refers_only_to_earlier_arguments(path: Path) -> None:
    assert forward_references(path.read_text(encoding="utf-8")) == []


def test_argument_forward_reference_detected() -> None:
    source = 'argument("a", LaunchConfiguration("b"), "x")\nargument("b", "true", "y")'
    assert forward_references(source) == ["a -> b"]


def test_rviz_topics_all_remapped() -> None:
    constants = {}
    for node in ast.parse((ROOT / "launch" / "drone.launch.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("SHOWN_IN_RVIZ", "MAP_SHOWN_IN_RVIZ"):
            constants[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
    config = yaml.safe_load((ROOT / "rviz" / "drone.rviz").read_text(encoding="utf-8"))
    displays = config["Visualization Manager"]["Displays"]
    shown = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    remapped = {f"/crack_node/{topic}" for topic in constants["SHOWN_IN_RVIZ"]}
    remapped |= {f"/crack_mapper/{topic}" for topic in constants["MAP_SHOWN_IN_RVIZ"]}
    assert shown == remapped and "/crack_mapper/markers" in shown


def test_foxglove_layout_shows_the_topics_of_rviz_in_panels_that_exist() -> None:
    text = (ROOT / "config" / "foxglove_layout.json").read_text(encoding="utf-8")
    layout = json.loads(text)
    panels = set(re.findall(r'"([A-Za-z0-9]+![a-z]+)"', json.dumps(layout["layout"])))
    assert panels == set(layout["configById"])
    rviz = (ROOT / "rviz" / "drone.rviz").read_text(encoding="utf-8")
    of_rviz = set(re.findall(r"Value: (/crack_\w+/\S+)", rviz)) - {"/crack_node/annotated"}
    of_foxglove = set(layout["configById"]["3D!scene"]["topics"])
    assert of_foxglove == of_rviz


@pytest.mark.parametrize(
    ("version", "profile", "discovery"),
    [
        ("3.3.13", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_LOCALHOST_ONLY"),
        ("7.1.4", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE"),
        ("9.1.2", "FASTDDS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE"),
    ],
)
def test_variables_follow_the_installed_rclpy_not_ros_distro(
    version: str, profile: str, discovery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DISTRO", "humble")
    monkeypatch.setattr(middleware.metadata, "version", lambda name: version)
    assert middleware.profile_variable() == profile
    assert middleware.local_discovery()[0] == discovery


def test_overridden_copy_of_the_shipped_parameters_lists_what_it_changes_of_a_profile() -> None:
    profile = read_profile(ROOT / "config", "cameras", "ffmpeg").over(read_profile(ROOT / "config", "stacks", "px4"))
    copy = parameter_values(ROOT / "config" / "drone.yaml", "/crack_node")
    changes = overridden(profile, copy)
    assert "image_transport: raw instead of ffmpeg" in changes
    assert any(change.startswith("pose_source: auto instead of ") for change in changes)
    assert overridden(profile, {"threshold": 0.5, "image_transport": "ffmpeg"}) == []
    assert overridden(Profile(), copy) == []
