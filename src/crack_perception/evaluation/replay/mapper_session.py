# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Control of the real crack_mapper during a replay: start, connection and saving of the map."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rclpy.node import Node
from std_srvs.srv import Trigger

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.node_client import LifecycleClient
from crack_perception.evaluation.replay.node_process import NodeProcess, assignments, renamed

MAPPER_MODULE = "crack_perception.ros.mapper_node"
MAP_NAME = "crack_map"

_START_PATIENCE_S = 180.0
_SAVE_PATIENCE_S = 120.0
# Parameters that must have the same value in the node and the mapper.
_SHARED_PARAMETERS = ("map_frame", "severity_preset", "severity_edges_mm", "severity_confidence")


def clear_map_folder(folder: Path) -> None:
    """Remove the map, database and photographs of an earlier replay.

    Raises:
        OSError: A file cannot be removed.
    """
    for file in folder.glob(f"{MAP_NAME}*"):
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink()


def mapper_arguments(folder: Path, namespace: str, source: str, node_parameters: Mapping[str, Any]) -> list[str]:
    """Return the mapper's command line after ``--ros-args``.

    Args:
        folder: Folder of the database and the exports.
        namespace: Namespace of the mapper and the source node.
        source: Name of the node whose detections are mapped.
        node_parameters: Parameters of the source node.
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
    """Running mapper.

    Args:
        node: Client node, spun by another thread.
        target: Full name of the mapper.
        process: Process of the mapper.
    """

    def __init__(self, node: Node, target: str, process: NodeProcess) -> None:
        self._node = node
        self._target = target
        self._process = process
        self._lifecycle = LifecycleClient(node, target, process)
        self._save = node.create_client(Trigger, f"{target}/save")

    def bring_up(self) -> None:
        """Configure and activate the mapper.

        Raises:
            UserError: The mapper does not start, refuses a transition, or ends.
        """
        self._lifecycle.change("configure", _START_PATIENCE_S)
        self._lifecycle.change("activate", _START_PATIENCE_S)

    def save(self, wait_for: Callable[[Callable[[], bool]], None]) -> str:
        """Request the export of the map.

        Args:
            wait_for: Keeps the clock running until a condition holds.

        Returns:
            The reason of a failure; empty on success.
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
