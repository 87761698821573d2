"""Drives a lifecycle node through its transitions, as nav2's lifecycle manager does."""

from __future__ import annotations

from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.node_process import NodeProcess
from crack_perception.evaluation.replay.waiting import wait_until

TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}


class LifecycleClient:
    """Client of one node's ``change_state`` service.

    Args:
        node: A node that another thread spins.
        target: Full name of the lifecycle node.
        process: The process that it runs in.
    """

    def __init__(self, node: Node, target: str, process: NodeProcess) -> None:
        self._node = node
        self._target = target
        self._process = process
        self._client = node.create_client(ChangeState, f"{target}/change_state")

    def change(self, name: str, timeout_s: float) -> None:
        """Ask for a transition (a key of ``TRANSITIONS``) and wait until it is done.

        Raises:
            UserError: The node does not answer in time, dies, or refuses.
        """
        future = self.ask(name, timeout_s)
        if not wait_until(future.done, timeout_s, self._process.check_alive):
            raise self._failed(f"{self._target} did not finish `{name}` within {timeout_s:.0f} s")
        if not future.result().success:
            raise self._failed(f"{self._target} refused to {name}")

    def ask(self, name: str, timeout_s: float) -> Any:
        """Ask for a transition once the node offers its services; returns the future of the answer.

        Raises:
            UserError: The services do not appear in time, or the node dies.
        """
        if not wait_until(self._client.service_is_ready, timeout_s, self._process.check_alive):
            raise self._failed(f"{self._target} offers no lifecycle services after {timeout_s:.0f} s")
        return self._client.call_async(ChangeState.Request(transition=Transition(id=TRANSITIONS[name])))

    def close(self) -> None:
        """Drop the client."""
        self._node.destroy_client(self._client)

    def _failed(self, problem: str) -> UserError:
        return UserError(f"{problem}; it said:\n{self._process.log_tail()}\n")
