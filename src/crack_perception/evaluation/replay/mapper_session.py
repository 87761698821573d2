"""The real crack_mapper beside the node under test: started, left to map, told to save."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rclpy.node import Node
from std_srvs.srv import Trigger

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.lifecycle_client import LifecycleClient
from crack_perception.evaluation.replay.node_arguments import assignments, renamed
from crack_perception.evaluation.replay.node_process import NodeProcess
from crack_perception.evaluation.replay.waiting import wait_until

MAPPER_MODULE = "crack_perception.ros.mapper_node"
MAP_NAME = "crack_map"

_START_PATIENCE_S = 180.0
_DISCOVERY_PATIENCE_S = 60.0
_SAVE_PATIENCE_S = 120.0
# What the mapper has to agree on with the node whose findings it maps.
_SHARED_PARAMETERS = ("map_frame", "severity_preset", "severity_edges_mm", "severity_confidence")


def clear_map_folder(folder: Path) -> None:
    """Remove the map of an earlier replay, its database among it.

    Raises:
        OSError: A file cannot be removed.
    """
    for file in folder.glob(f"{MAP_NAME}*"):
        file.unlink()


def mapper_arguments(folder: Path, namespace: str, source: str, node_parameters: Mapping[str, Any]) -> list[str]:
    """The mapper's command line after ``--ros-args``.

    Args:
        folder: For the database and the exports.
        namespace: Of the mapper and its source.
        source: Name of the node whose findings are mapped.
        node_parameters: Parameters of that node.
    """
    parameters = {
        "sources": f"[{source}]",
        "database": str(folder / f"{MAP_NAME}.sqlite"),
        "output_folder": str(folder),
        "autostart": "false",
        "use_sim_time": "true",
    }
    for name in _SHARED_PARAMETERS:
        if name in node_parameters:
            parameters[name] = str(node_parameters[name])
    return [*renamed("crack_mapper", namespace), *assignments(parameters)]


class MapperSession:
    """A running mapper between its start and its end.

    Args:
        node: A node that another thread spins.
        target: Full name of the mapper.
        process: The process that it runs in.
    """

    def __init__(self, node: Node, target: str, process: NodeProcess) -> None:
        self._node = node
        self._target = target
        self._process = process
        self._lifecycle = LifecycleClient(node, target, process)
        self._save = node.create_client(Trigger, f"{target}/save")

    def bring_up(self, topics: Mapping[str, int]) -> None:
        """Configure and activate the mapper and wait until topics have so many subscriptions.

        Raises:
            UserError: The mapper does not start, refuses, dies, or does not listen.
        """
        self._lifecycle.change("configure", _START_PATIENCE_S)
        self._lifecycle.change("activate", _START_PATIENCE_S)

        def deaf_to() -> list[str]:
            return [topic for topic, count in topics.items() if self._node.count_subscribers(topic) < count]

        if not wait_until(lambda: not deaf_to(), _DISCOVERY_PATIENCE_S, self._process.check_alive):
            raise UserError(f"{self._target} is active but does not listen to {', '.join(deaf_to())}")

    def save(self, wait_for: Callable[[Callable[[], bool]], None]) -> str:
        """Have the exports written.

        Args:
            wait_for: Keeps the clock going until a condition holds.

        Returns:
            Why they were not; empty when they were.
        """
        try:
            self._process.check_alive()
            future = self._save.call_async(Trigger.Request())
            deadline_s = time.monotonic() + _SAVE_PATIENCE_S
            wait_for(lambda: future.done() or time.monotonic() > deadline_s)
            if not future.done():
                return f"{self._target} did not save its map within {_SAVE_PATIENCE_S:.0f} s"
            answer = future.result()
            return "" if answer.success else str(answer.message)
        except UserError as error:
            return str(error)
