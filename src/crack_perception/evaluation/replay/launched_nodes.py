# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Nodes of ``replay.launch.py``: activated before the bag plays, deactivated and saved after it."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_srvs.srv import Trigger

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.node_client import LifecycleClient, ask, read_parameters

# Generous, because they only matter on failure: other programs may use most of the machine.
_START_PATIENCE_S = 180.0
_STOP_PATIENCE_S = 60.0
_SAVE_PATIENCE_S = 120.0
# A lost request is repeated; saving twice does no harm but takes time.
_REPEAT_SAVE_S = 15.0
# Parameters of the mapper of which at least one is set where the map is kept.
_KEEPING = ("database", "output_folder")


class _ShownElsewhere:
    """Nodes that launch started: it shows their output and reports their exit."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.check_alive = check

    def log_tail(self) -> str:
        return ""


class LaunchedNodes:
    """Lifecycle of the nodes of a launch; its functions block, so they run in a thread of their own.

    Args:
        node: Client node, spun by another thread.
        mapper: Full name of the mapper; empty without one.
        detector: Full name of the node whose detections it maps.
        check: Raises UserError when the launch is being ended.
    """

    def __init__(self, node: Node, mapper: str, detector: str, check: Callable[[], None]) -> None:
        self._node = node
        self._check = check
        self._save = node.create_client(Trigger, f"{mapper}/save") if mapper else None
        process = _ShownElsewhere(check)
        self._detector = LifecycleClient(node, detector, process)
        self._mapper = LifecycleClient(node, mapper, process) if mapper else None

    def activate(self, timeout_s: float = _START_PATIENCE_S) -> None:
        """Configure and activate the nodes, the mapper first, because it listens to the other.

        Args:
            timeout_s: Maximum time for each step [s].

        Raises:
            UserError: A node does not respond in time or refuses a transition.
        """
        for client in filter(None, (self._mapper, self._detector)):
            for transition in ("configure", "activate"):
                client.change(transition, timeout_s)

    def finish(self, stop_timeout_s: float = _STOP_PATIENCE_S, save_timeout_s: float = _SAVE_PATIENCE_S) -> str:
        """Process what has arrived, deactivate the detecting node, and save the map, even if the former fails.

        Returns:
            The mapper's report; empty without a mapper.

        Raises:
            UserError: A node does not respond in time, or the map was not saved.
        """
        problems: list[str] = []
        report = ""
        for work in (lambda: self._deactivate(stop_timeout_s), lambda: self._save_map(save_timeout_s)):
            try:
                report = work()
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise UserError("; ".join(problems))
        return report

    def _deactivate(self, timeout_s: float) -> str:
        self._detector.change("deactivate", timeout_s)
        return ""

    def _save_map(self, timeout_s: float) -> str:
        if self._save is None or self._mapper is None:
            return ""
        self._mapper.reach(timeout_s)
        parameters = read_parameters(self._node, self._mapper.target, self._check)
        if not any(parameters.get(name) for name in _KEEPING):
            return "The map is not kept: set map_folder to keep it"
        answer = ask(self._save, Trigger.Request(), timeout_s, self._check, _REPEAT_SAVE_S)
        if answer is None:
            raise UserError(f"{self._mapper.target} did not save its map within {timeout_s:.0f} s")
        if not answer.success:
            raise UserError(f"the map was not saved: {answer.message}")
        return str(answer.message)
