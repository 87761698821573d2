# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Processes of the detector and the mapper in a soak test: lifecycle control, kill and restart."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.mapper_session import MAPPER_MODULE, mapper_arguments
from crack_perception.evaluation.replay.node_client import LifecycleClient, wait_until
from crack_perception.evaluation.replay.node_process import NodeProcess, assignments, renamed

NAMESPACE = "/soak"
DETECTOR, MAPPER = f"{NAMESPACE}/crack_node", f"{NAMESPACE}/crack_mapper"
PATIENCE_S = 120.0
DIAGNOSTICS_PERIOD_S = 0.5
NO_IMAGE_WARNING_S = 1.0
_DETECTOR_MODULE = "crack_perception.ros.crack_node"
# Every frame is processed completely, so that the same image always has the same scores.
_DETECTOR_PARAMETERS = {
    "autostart": "false",
    "use_sim_time": "true",
    "pose_source": "auto",
    "frame_budget_ms": "0.0",
    # A second look depends on the time that is left, so the scores of a picture would differ from frame to frame.
    "second_look": "false",
    "diagnostics_period_s": str(DIAGNOSTICS_PERIOD_S),
    "no_image_warning_s": str(NO_IMAGE_WARNING_S),
}


class RunningNode:
    """Lifecycle node in a separate process.

    Args:
        node: Node of the soak test, spun by another thread.
        target: Full name of the node.
        module: Python module of the node.
        arguments: Arguments after ``--ros-args``.
        log: File for its output.
    """

    def __init__(self, node: Node, target: str, module: str, arguments: list[str], log: Path) -> None:
        self._node = node
        self._target = target
        self._stack = ExitStack()
        self.process = self._stack.enter_context(NodeProcess(module, arguments, log))
        self._lifecycle = LifecycleClient(node, target, self.process)
        self._set = node.create_client(SetParametersAtomically, f"{target}/set_parameters_atomically")

    def change(self, *transitions: str) -> None:
        """Call lifecycle transitions.

        Raises:
            UserError: A transition is refused or not answered.
        """
        for name in transitions:
            self._lifecycle.change(name, PATIENCE_S)

    def set(self, **parameters: Any) -> str:
        """Set parameters (``a__b`` stands for ``a.b``); return the reason if they were refused, else empty.

        Raises:
            UserError: The node does not respond.
        """
        wanted = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in parameters.items()
        ]
        if wait_until(self._set.service_is_ready, PATIENCE_S, self.process.check_alive):
            future = self._set.call_async(SetParametersAtomically.Request(parameters=wanted))
            if wait_until(future.done, PATIENCE_S, self.process.check_alive):
                result: Any = future.result().result
                return "" if result.successful else str(result.reason)
        raise UserError(f"{self._target} does not answer set_parameters_atomically")

    def kill(self) -> None:
        """End the process by SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self.close()

    def close(self) -> None:
        """End the process if it runs, and destroy the clients."""
        self._stack.close()
        self._node.destroy_client(self._set)
        self._lifecycle.close()


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """Make all writes of a process to files fail inside the block, by its file size limit."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


class SoakNodes:
    """Detector and mapper.

    Args:
        node: Node of the soak test, spun by another thread.
        folder: Folder of the map and the logs.
        flight_parameters: Parameters of the detector for the flight.
        model: Name of the model.
        on_start: Called with the name and the process id of every process that starts.
    """

    def __init__(
        self,
        node: Node,
        folder: Path,
        flight_parameters: Mapping[str, str],
        model: str,
        transport: str,
        on_start: Callable[[str, int], None],
    ) -> None:
        self._node = node
        self.folder = folder
        self._on_start = on_start
        self._mappers = 0
        parameters = {**flight_parameters, **_DETECTOR_PARAMETERS, "model": model, "image_transport": transport}
        self._shared = {"map_frame": "map"}
        self.detector = RunningNode(
            node,
            DETECTOR,
            _DETECTOR_MODULE,
            [*renamed("crack_node", NAMESPACE), *assignments(parameters)],
            folder / "crack_node.log",
        )
        on_start(DETECTOR, self.detector.process.pid)
        self.mapper = self._start_mapper()

    def restart_mapper(self) -> None:
        """Start a new mapper with the map of the previous one, which has ended."""
        self.mapper = self._start_mapper()

    def stray_mapper(self, folder: Path) -> RunningNode:
        """Return a second mapper with a different name, whose map is in this folder."""
        # If two names are given, the first one is used.
        arguments = renamed("stray_mapper", NAMESPACE)
        arguments += mapper_arguments(folder, NAMESPACE, "crack_node", self._shared)
        return RunningNode(
            self._node, f"{NAMESPACE}/stray_mapper", MAPPER_MODULE, arguments, self.folder / "stray_mapper.log"
        )

    def check_alive(self) -> None:
        """Raise UserError if a node has ended by itself."""
        self.detector.process.check_alive()
        self.mapper.process.check_alive()

    def close(self) -> None:
        """End all running processes."""
        self.detector.close()
        self.mapper.close()

    def _start_mapper(self) -> RunningNode:
        self._mappers += 1
        arguments = mapper_arguments(self.folder, NAMESPACE, "crack_node", self._shared)
        arguments += assignments({"diagnostics_period_s": str(DIAGNOSTICS_PERIOD_S)})
        mapper = RunningNode(
            self._node, MAPPER, MAPPER_MODULE, arguments, self.folder / f"crack_mapper_{self._mappers}.log"
        )
        self._on_start(MAPPER, mapper.process.pid)
        return mapper
