# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Client side of a running node: spinning client node, polling, lifecycle transitions and parameters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.node_process import NodeProcess

_POLL_S = 0.02
_PING_S = 2.0


def wait_until(condition: Callable[[], bool], timeout_s: float, check: Callable[[], None]) -> bool:
    """Poll until a condition holds or the time is over; returns whether it holds.

    Args:
        condition: Condition to wait for.
        timeout_s: Maximum waiting time [s].
        check: Called at every poll; raises when the condition can no longer be met.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        check()
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


@contextmanager
def spinning_node(name: str, domain: int) -> Iterator[Node]:
    """Create a node in its own context, spun by a thread until the context manager exits.

    The separate context does not affect signal handlers and other ROS nodes of the process.
    """
    context = Context()
    context.init(domain_id=domain)
    node = Node(name, context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=_spin, args=(executor,), name="replay executor", daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        context.try_shutdown()


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        return


TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}


class LifecycleClient:
    """Client of a node's ``change_state`` service, as in nav2's lifecycle manager.

    Args:
        node: Client node, spun by another thread.
        target: Full name of the lifecycle node.
        process: Process of the lifecycle node.
    """

    def __init__(self, node: Node, target: str, process: NodeProcess) -> None:
        self._node = node
        self._target = target
        self._process = process
        self._client = node.create_client(ChangeState, f"{target}/change_state")
        # Announced after the other: when this one is answered, the node has discovered both.
        self._ping = node.create_client(GetState, f"{target}/get_state")
        self._is_reachable = False

    def close(self) -> None:
        """Destroy the clients."""
        self._node.destroy_client(self._client)
        self._node.destroy_client(self._ping)

    def change(self, name: str, timeout_s: float) -> None:
        """Request a transition (a key of ``TRANSITIONS``) and wait until it is finished.

        Raises:
            UserError: The node does not respond in time, ends, or refuses the transition.
        """
        future = self.request(name, timeout_s)
        if not wait_until(future.done, timeout_s, self._process.check_alive):
            raise self._failed(f"{self._target} did not finish `{name}` within {timeout_s:.0f} s")
        if not future.result().success:
            raise self._failed(f"{self._target} refused to {name}")

    def request(self, name: str, timeout_s: float) -> Any:
        """Request a transition once the node's services are available; returns the future of the response.

        Raises:
            UserError: The services are not available in time, or the node ends.
        """
        if not wait_until(self._client.service_is_ready, timeout_s, self._process.check_alive):
            raise self._failed(f"{self._target} has no lifecycle services after {timeout_s:.0f} s")
        if not (self._is_reachable or self._reach(timeout_s)):
            raise self._failed(f"{self._target} did not answer within {timeout_s:.0f} s")
        return self._client.call_async(ChangeState.Request(transition=Transition(id=TRANSITIONS[name])))

    def _reach(self, timeout_s: float) -> bool:
        """Ask for the state until the node answers; return whether it did in time.

        A service counts as ready once this process has discovered it. Until the node has discovered the client, too,
        which takes long on a busy machine, requests are lost without an error. A lost question can be repeated.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._is_reachable and time.monotonic() < deadline_s:
            future = self._ping.call_async(GetState.Request())
            self._is_reachable = wait_until(future.done, _PING_S, self._process.check_alive)
            if not self._is_reachable:
                self._ping.remove_pending_request(future)
        return self._is_reachable

    def _failed(self, problem: str) -> UserError:
        return UserError(f"{problem}; its log ends with:\n{self._process.log_tail()}\n")


_PATIENCE_S = 60.0


def read_parameters(node: Node, target: str, check: Callable[[], None]) -> dict[str, Any]:
    """Read all parameters of a running node, by name.

    Args:
        node: Client node, spun by another thread.
        target: Full name of the other node.
        check: Raises when the other node has ended.

    Raises:
        UserError: The node does not respond.
    """

    def call(kind: Any, service: str, request: Any) -> Any:
        client: Any = node.create_client(kind, f"{target}/{service}")
        if wait_until(client.service_is_ready, _PATIENCE_S, check):
            future = client.call_async(request)
            if wait_until(future.done, _PATIENCE_S, check):
                return future.result()
        raise UserError(f"{target} did not respond to {service} within {_PATIENCE_S:.0f} s")

    names = sorted(call(ListParameters, "list_parameters", ListParameters.Request()).result.names)
    values = call(GetParameters, "get_parameters", GetParameters.Request(names=names)).values
    return {
        name: _plain(parameter_value_to_python(value))
        for name, value in zip(names, values, strict=True)
        if value.type != ParameterType.PARAMETER_NOT_SET
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else list(value)
