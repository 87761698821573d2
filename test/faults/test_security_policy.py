# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The SROS 2 policy allows exactly what the nodes have on the ROS graph: no less, and no more."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from patience import PATIENCE_S

from crack_perception.evaluation.replay.ros_isolation import isolated_ros
from crack_perception.ros.mapper.coverage import MOST_GRIDS

POLICY = Path(__file__).parents[2] / "config" / "sros2" / "policy.xml"
# Since ROS 2 Jazzy; a permission for it does nothing before.
SINCE_JAZZY = {"get_type_description"}
# Topics that appear with the surfaces of the map.
LATER = {f"surface_{number}" for number in range(1, MOST_GRIDS + 1)}
# Its type is that of an optional package.
LATER |= set() if find_spec("geographic_msgs") else {"revisit_geo_path"}


# Both nodes, active, with the parameters that open most topics, in a process and a domain of their own: the graph is
# asked by name, and would answer with nodes of these names that earlier tests left. A line a moment with what it holds.
NODES = """
import json, sys, time
import rclpy
from rclpy.parameter import Parameter
from crack_perception.ros.detector.node import CrackNode
from crack_perception.ros.mapper.node import CrackMapper
rclpy.init()
nodes = [
    CrackNode([Parameter("model", value=sys.argv[1])]),
    CrackMapper([Parameter("database", value=sys.argv[2]), Parameter("geo_origin", value=[47.4, 8.5, 400.0, 0.0])]),
]
for node in nodes:
    assert node.trigger_configure().name == node.trigger_activate().name == "SUCCESS"
while True:
    graph = {}
    for node in nodes:
        name = node.get_name()
        graph[name] = {
            "publish": node.get_publisher_names_and_types_by_node(name, "/"),
            "subscribe": node.get_subscriber_names_and_types_by_node(name, "/"),
            "reply": node.get_service_names_and_types_by_node(name, "/"),
            "request": node.get_client_names_and_types_by_node(name, "/"),
        }
    print(json.dumps(graph), flush=True)
    time.sleep(0.1)
"""


def allowed(node: str, elements: str, permission: str) -> list[str]:
    """Full names of the topics or services that the policy allows a node in the root namespace."""
    names = []
    for profile in ElementTree.parse(POLICY).getroot().iter("profile"):
        if profile.get("node") == node and profile.get("ns") == "/":
            for group in profile.findall(elements):
                if group.get(permission) == "ALLOW":
                    names += [element.text.strip() for element in group]
    return [name.replace("~", f"/{node}") if name[0] == "~" else f"/{name.lstrip('/')}" for name in names]


def test_policy_topics_and_services_are_those_of_the_graph(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    permissions = {"publish": "topics", "subscribe": "topics", "reply": "services", "request": "services"}
    expected = {}
    for name in ("crack_node", "crack_mapper"):
        for permission, elements in permissions.items():
            named = allowed(name, elements, permission)
            assert len(set(named)) == len(named), f"{name}, {permission}: named twice"
            expected[name, permission] = set(named)
    monkeypatch.delenv("ROS_DOMAIN_ID")
    deadline_s = time.monotonic() + PATIENCE_S
    command = [sys.executable, "-c", NODES, str(tiny_model), str(tmp_path / "map.sqlite")]
    with isolated_ros(), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            real: dict[tuple[str, str], set[str]] = {}
            # The graph hears of a node's own topics a moment after they were made.
            while real != expected and time.monotonic() < deadline_s:
                graph = json.loads(process.stdout.readline())
                real = {key: {topic for topic, _ in graph[key[0]][key[1]]} for key in expected}
                for key, names in real.items():
                    names |= {name for name in expected[key] if name.rpartition("/")[2] in SINCE_JAZZY | LATER}
        finally:
            process.kill()
    assert real == expected


def test_policy_has_an_enclave_for_each_node_and_no_wildcard() -> None:
    root = ElementTree.parse(POLICY).getroot()
    assert [enclave.get("path") for enclave in root.iter("enclave")] == [
        "/crack_perception/crack_node",
        "/crack_perception/crack_mapper",
    ]
    assert not [element.text for element in root.iter() if "*" in (element.text or "")]
