# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bonds with a lifecycle manager: opened where asked while the node is active, refused without bondpy."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import rclpy
from patience import wait_for
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String

from crack_perception.ros.common.bond import PERIOD
from crack_perception.ros.mapper.node import CrackMapper

CONFIG = Path(__file__).resolve().parents[3] / "config"
HAS_BONDPY = importlib.util.find_spec("bondpy") is not None


@pytest.fixture
def ros() -> Iterator[None]:
    rclpy.try_shutdown()
    rclpy.init()
    yield
    rclpy.try_shutdown()


def mapper(period_s: float) -> CrackMapper:
    return CrackMapper([Parameter(PERIOD, value=period_s)])


@pytest.mark.skipif(HAS_BONDPY, reason="bondpy is installed")
def test_configure_with_a_bond_but_without_bondpy_names_the_package(ros: None) -> None:
    node = mapper(0.1)
    assert node.trigger_configure().name != "SUCCESS"
    assert "bondpy cannot be imported" in node.failure and "bond_timeout" in node.failure
    node.destroy_node()


def test_activate_without_a_bond_needs_no_bondpy_and_opens_none(ros: None) -> None:
    node = mapper(0.0)
    assert node.trigger_configure().name == node.trigger_activate().name == "SUCCESS"
    assert not [name for name, _ in node.get_topic_names_and_types() if name.endswith("/bond")]
    node.stop()
    node.destroy_node()


class RecordedBond:
    """Records the calls of a bond; its constructor takes what bondpy's for ROS 2 takes, in that order."""

    made: ClassVar[list[RecordedBond]] = []

    def __init__(
        self,
        node: Node,
        topic: str,
        bond_id: str,
        on_broken: Callable[[], None] | None = None,
        on_formed: Callable[[], None] | None = None,
    ) -> None:
        self.topic, self.bond_id = topic, bond_id
        self.calls: list[object] = []
        self.on_broken: Callable[[], None] | None = on_broken
        self.pub = node.create_publisher(String, topic, 1)
        self.sub: Any = None
        self._node = node
        self.made.append(self)

    def set_heartbeat_period(self, period_s: float) -> None:
        self.calls.append(("period", period_s))

    def set_heartbeat_timeout(self, timeout_s: float) -> None:
        self.calls.append(("timeout", timeout_s))

    def set_broken_callback(self, on_broken: Callable[[], None] | None) -> None:
        self.on_broken = on_broken

    def start(self) -> None:
        self.sub = self._node.create_subscription(String, self.topic, lambda message: None, 1)
        self.calls.append("start")

    def shutdown(self) -> None:
        self.sub.destroy()
        self.pub.destroy()
        self.calls.append("shutdown")


def test_active_node_opens_a_bond_of_its_name_and_removes_it_from_the_graph(
    ros: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crack_perception.ros.common.bond._bond_class", lambda: RecordedBond)
    monkeypatch.setattr(RecordedBond, "made", [])
    node = mapper(0.1)
    node.trigger_configure()
    assert RecordedBond.made == []
    node.trigger_activate()
    (bond,) = RecordedBond.made
    assert (bond.topic, bond.bond_id) == ("bond", "crack_mapper")
    assert bond.calls == [("period", 0.1), ("timeout", 10.0), "start"]
    node.trigger_deactivate()
    assert bond.calls[-1] == "shutdown" and bond.on_broken is None
    assert bond.sub not in node.subscriptions and bond.pub not in node.publishers
    node.stop()
    node.destroy_node()


@pytest.mark.skipif(not HAS_BONDPY, reason="bondpy is not installed; it comes with a distribution's ROS 2")
def test_active_node_keeps_a_bond_and_breaks_it_when_it_is_deactivated(ros: None) -> None:
    from bondpy.bondpy import Bond

    node, manager = mapper(0.1), Node("lifecycle_manager")
    changes: list[str] = []
    bond = Bond(manager, "bond", "crack_mapper", lambda: changes.append("broken"), lambda: changes.append("formed"))
    executor = SingleThreadedExecutor()
    for each in (node, manager):
        executor.add_node(each)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()

    def transition(name: str) -> Any:
        task = executor.create_task(getattr(node, f"trigger_{name}"))
        wait_for(task.done)
        return task.result()

    try:
        for _ in range(2):
            transition("configure")
            transition("activate")
            if not changes:
                bond.start()
                wait_for(lambda: changes == ["formed"])
            transition("deactivate")
            transition("cleanup")
            wait_for(lambda: changes[-1] == "broken")
    finally:
        executor.shutdown()
        thread.join()
        node.stop()
        node.destroy_node()


def test_parameter_file_of_nav2s_manager_names_the_nodes_of_the_launch_file() -> None:
    content = yaml.safe_load((CONFIG / "nav2_lifecycle.yaml").read_text(encoding="utf-8"))
    ((name, values),) = content.items()
    launch = (CONFIG.parent / "launch" / "drone.launch.py").read_text(encoding="utf-8")
    parameters = values["ros__parameters"]
    assert name == "lifecycle_manager_crack" and parameters["autostart"] is True
    assert parameters["node_names"] == ["crack_mapper", "crack_node"]
    assert all(f'"{node}"' in launch for node in parameters["node_names"])
    assert parameters["bond_timeout"] > 0
