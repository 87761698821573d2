# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Client side of a running node: spinning client node, polling, lifecycle transitions, services and parameters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from crack_perception.errors import UserError

_POLL_S = 0.02
_PING_S = 2.0
_REPEAT_S = 10.0


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
    context.init(args=[], domain_id=domain)  # not those of this program, which may hold any bytes
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


def ask(
    client: Any, request: Any, timeout_s: float, check: Callable[[], None], repeat_s: float = _PING_S
) -> Any | None:
    """Return the answer of a running node to a question, which is repeated until it is answered; None without one.

    A service counts as ready once this process has discovered it. Until the node has discovered the client, too, which
    takes long on a busy machine, requests are lost without an error.

    Args:
        client: Client of a service that may be called repeatedly; its node is spun by another thread.
        request: Question.
        timeout_s: Maximum waiting time [s].
        check: Raises when the other node has ended.
        repeat_s: Time without an answer after which the question is repeated [s].
    """
    asked: list[Any] = []
    deadline_s = time.monotonic() + timeout_s
    if not wait_until(client.service_is_ready, timeout_s, check):
        return None
    try:
        while (left_s := deadline_s - time.monotonic()) > 0:
            asked.append(client.call_async(request))
            # A busy node may answer an earlier question while the last one is on its way.
            if wait_until(lambda: any(future.done() for future in asked), min(left_s, repeat_s), check):
                return next(future.result() for future in asked if future.done())
        return None
    finally:
        for future in asked:
            client.remove_pending_request(future)


TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}


_GOALS = {
    "configure": State.PRIMARY_STATE_INACTIVE,
    "activate": State.PRIMARY_STATE_ACTIVE,
    "deactivate": State.PRIMARY_STATE_INACTIVE,
    "cleanup": State.PRIMARY_STATE_UNCONFIGURED,
}


class WatchedProcess(Protocol):
    """Process of a node, as in ``NodeProcess``."""

    def check_alive(self) -> None:
        """Raise UserError when the node has ended."""
        ...

    def log_tail(self) -> str:
        """Return the last lines of the node's output; empty where it is shown elsewhere."""
        ...


class LifecycleClient:
    """Client of a node's ``change_state`` service, as in nav2's lifecycle manager.

    Args:
        node: Client node, spun by another thread.
        target: Full name of the lifecycle node.
        process: Process of the lifecycle node.

    Attributes:
        target: See the arguments.
    """

    def __init__(self, node: Node, target: str, process: WatchedProcess) -> None:
        self._node = node
        self.target = target
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
        check = self._process.check_alive
        future = self.request(name, timeout_s)
        deadline_s = time.monotonic() + timeout_s
        # That one service of the node is discovered does not mean that all are: a request may be lost.
        while not wait_until(future.done, _REPEAT_S, check):
            left_s = deadline_s - time.monotonic()
            answer = ask(self._ping, GetState.Request(), left_s, check) if left_s > 0 else None
            if answer is None:
                raise self._failed(f"{self.target} did not finish `{name}` within {timeout_s:.0f} s")
            if wait_until(future.done, _PING_S, check):
                break
            self._client.remove_pending_request(future)
            if answer.current_state.id == _GOALS[name]:
                return
            future = self.request(name, timeout_s)
        if not future.result().success:
            raise self._failed(f"{self.target} refused to {name}")

    def request(self, name: str, timeout_s: float) -> Any:
        """Request a transition once the node's services are available; returns the future of the response.

        Raises:
            UserError: The services are not available in time, or the node ends.
        """
        self.reach(timeout_s)
        return self._client.call_async(ChangeState.Request(transition=Transition(id=TRANSITIONS[name])))

    def reach(self, timeout_s: float) -> None:
        """Wait until the node answers for the first time.

        Raises:
            UserError: The services are not available in time, or the node does not answer or ends.
        """
        if self._is_reachable:
            return
        if not wait_until(self._client.service_is_ready, timeout_s, self._process.check_alive):
            raise self._failed(f"{self.target} has no lifecycle services after {timeout_s:.0f} s")
        if ask(self._ping, GetState.Request(), timeout_s, self._process.check_alive) is None:
            raise self._failed(f"{self.target} did not answer within {timeout_s:.0f} s")
        self._is_reachable = True

    def _failed(self, problem: str) -> UserError:
        tail = self._process.log_tail()
        return UserError(f"{problem}; its log ends with:\n{tail}\n" if tail else problem)


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

    def answer(kind: Any, service: str, request: Any) -> Any:
        response = ask(node.create_client(kind, f"{target}/{service}"), request, _PATIENCE_S, check)
        if response is None:
            raise UserError(f"{target} did not respond to {service} within {_PATIENCE_S:.0f} s")
        return response

    names = sorted(answer(ListParameters, "list_parameters", ListParameters.Request()).result.names)
    values = answer(GetParameters, "get_parameters", GetParameters.Request(names=names)).values
    return {
        name: _plain(parameter_value_to_python(value))
        for name, value in zip(names, values, strict=True)
        if value.type != ParameterType.PARAMETER_NOT_SET
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else list(value)
