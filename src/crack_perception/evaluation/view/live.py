# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Topics of running nodes shown in Rerun while they are published."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from nav_msgs.msg import Path
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from crack_perception.evaluation.view.messages import SHOWN_TYPES, MessageView, stamp_of
from crack_perception.evaluation.view.scene import Scene

_LOOK_EVERY_S = 1.0
_PATH = "nav_msgs/msg/Path"
# Raw images are large; the annotated one is shown, and every compressed one.
_RAW = "sensor_msgs/msg/Image"
_WANTED_RAW = "annotated"


class LiveView:
    """Subscribe to every topic that can be shown, also to those that appear later.

    Args:
        scene: Where they are shown.
        shown: Updated with the numbers of shown messages.

    Attributes:
        notes: Why topics are not shown.
    """

    def __init__(self, node: Node, scene: Scene, shown: dict[str, int]) -> None:
        self._node = node
        self._scene = scene
        self._messages = MessageView(scene)
        self._topics: set[str] = set()
        self.shown = shown
        self.notes = self._messages.notes

    def look(self) -> None:
        """Subscribe to topics that have appeared, and show the paths so far."""
        self.show_paths()
        for topic, types in self._node.get_topic_names_and_types():
            if topic in self._topics or len(types) != 1 or not _is_shown(topic, types[0]):
                continue
            self._topics.add(topic)
            kind = _class_of(types[0])
            if kind is None:
                self.notes.append(f"{topic} is not shown: {types[0]} is not installed")
                continue
            self._node.create_subscription(kind, topic, self._taker(topic, types[0]), _profile(self._node, topic))

    def show_paths(self) -> None:
        """Show the paths so far."""
        self._messages.show_paths()

    def _taker(self, topic: str, type_name: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            if type_name == _PATH:
                is_shown = _show_path(self._scene, topic, message)
            else:
                now_ns = self._node.get_clock().now().nanoseconds
                is_shown = self._messages.show(topic, type_name, message, now_ns)
            if is_shown:
                self.shown[topic] = self.shown.get(topic, 0) + 1

        return take


def _is_shown(topic: str, type_name: str) -> bool:
    if type_name == _RAW:
        return topic.endswith(_WANTED_RAW)
    return type_name == _PATH or type_name in SHOWN_TYPES


def _class_of(type_name: str) -> Any | None:
    """Return the class of a message type; None where its package is not installed."""
    package, _, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def _profile(node: Node, topic: str) -> QoSProfile:
    """Return the quality of service that suits the publishers of a topic."""
    publishers = node.get_publishers_info_by_topic(topic)
    is_reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
    is_latched = all(p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in publishers)
    return QoSProfile(
        depth=5,
        reliability=ReliabilityPolicy.RELIABLE if is_reliable and publishers else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched and publishers else DurabilityPolicy.VOLATILE,
    )


def _show_path(scene: Scene, topic: str, message: Path) -> bool:
    scene.set_time(stamp_of(message))
    poses = [stamped.pose for stamped in message.poses]
    positions_m = np.array([(p.position.x, p.position.y, p.position.z) for p in poses]).reshape(-1, 3)
    turns = [(p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w) for p in poses]
    scene.show_poses(topic.strip("/"), positions_m, np.array(turns).reshape(-1, 4))
    return True


def show_live(
    scene: Scene,
    seconds: float,
    is_ended: Callable[[], bool] = lambda: False,
    shown: dict[str, int] | None = None,
) -> tuple[dict[str, int], list[str]]:
    """Show what running nodes publish.

    Args:
        seconds: How long; infinite: until interrupted.
        is_ended: Ends the view earlier.
        shown: Updated with the numbers of shown messages.

    Returns:
        Number of shown messages by topic, and why topics are not shown.
    """
    context = Context()
    rclpy.init(args=[], context=context)
    node = Node("crack_view", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    view = LiveView(node, scene, {} if shown is None else shown)
    end_s = time.monotonic() + seconds
    next_look_s = 0.0
    try:
        while time.monotonic() < end_s and not is_ended():
            if time.monotonic() >= next_look_s:
                view.look()
                next_look_s = time.monotonic() + _LOOK_EVERY_S
            executor.spin_once(timeout_sec=0.1)
    except KeyboardInterrupt:  # the end that is meant
        pass
    finally:
        view.show_paths()
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
    return view.shown, view.notes
