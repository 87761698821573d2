# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The SROS 2 policy allows exactly what the nodes have on the ROS graph: no less, and no more."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from flying_node import init_ros
from patience import wait_for
from rclpy.parameter import Parameter

from crack_perception.ros.detector.node import CrackNode
from crack_perception.ros.mapper.node import CrackMapper

POLICY = Path(__file__).parents[2] / "config" / "sros2" / "policy.xml"
# Since ROS 2 Jazzy; a permission for it does nothing before.
SINCE_JAZZY = {"get_type_description"}


@pytest.fixture
def nodes(tiny_model: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Both nodes, active, with the parameters that open most topics."""
    init_ros()
    database = Parameter("database", value=str(tmp_path / "map.sqlite"))
    made = [CrackNode([Parameter("model", value=str(tiny_model))]), CrackMapper([database])]
    for node in made:
        assert node.trigger_configure().name == node.trigger_activate().name == "SUCCESS"
    yield {node.get_name(): node for node in made}
    for node in made:
        node.stop()
        node.destroy_node()


def allowed(node: str, elements: str, permission: str) -> list[str]:
    """Full names of the topics or services that the policy allows a node in the root namespace."""
    names = []
    for profile in ElementTree.parse(POLICY).getroot().iter("profile"):
        if profile.get("node") == node and profile.get("ns") == "/":
            for group in profile.findall(elements):
                if group.get(permission) == "ALLOW":
                    names += [element.text.strip() for element in group]
    return [name.replace("~", f"/{node}") if name[0] == "~" else f"/{name.lstrip('/')}" for name in names]


@pytest.mark.parametrize("name", ["crack_node", "crack_mapper"])
def test_policy_topics_and_services_are_those_of_the_graph(nodes: dict[str, Any], name: str) -> None:
    node = nodes[name]
    for query, elements, permission in (
        (node.get_publisher_names_and_types_by_node, "topics", "publish"),
        (node.get_subscriber_names_and_types_by_node, "topics", "subscribe"),
        (node.get_service_names_and_types_by_node, "services", "reply"),
        (node.get_client_names_and_types_by_node, "services", "request"),
    ):
        named = allowed(name, elements, permission)
        assert len(set(named)) == len(named), f"{permission}: named twice"
        later = {service for service in named if service.rpartition("/")[2] in SINCE_JAZZY}

        def real(query: Any = query) -> set[str]:
            return {topic for topic, _ in query(name, "/")}

        # The graph hears of a node's own topics a moment after they were made.
        with contextlib.suppress(AssertionError):
            wait_for(lambda real=real, named=named, later=later: real() | later == set(named), 20.0)
        assert real() | later == set(named), f"{permission} of {name}"


def test_policy_has_an_enclave_for_each_node_and_no_wildcard() -> None:
    root = ElementTree.parse(POLICY).getroot()
    assert [enclave.get("path") for enclave in root.iter("enclave")] == [
        "/crack_perception/crack_node",
        "/crack_perception/crack_mapper",
    ]
    assert not [element.text for element in root.iter() if "*" in (element.text or "")]
