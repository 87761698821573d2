"""Reads all parameters of a running node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from crack_perception.errors import UserError
from crack_perception.evaluation.replay.waiting import wait_until

_PATIENCE_S = 60.0


def read_parameters(node: Node, target: str, check: Callable[[], None]) -> dict[str, Any]:
    """All parameters of a node by name.

    Args:
        node: A node that another thread spins.
        target: Full name of the other node.
        check: Raises when the other node has died.

    Raises:
        UserError: The node does not answer.
    """

    def call(kind: Any, service: str, request: Any) -> Any:
        client: Any = node.create_client(kind, f"{target}/{service}")
        if wait_until(client.service_is_ready, _PATIENCE_S, check):
            future = client.call_async(request)
            if wait_until(future.done, _PATIENCE_S, check):
                return future.result()
        raise UserError(f"{target} does not answer {service} within {_PATIENCE_S:.0f} s")

    names = sorted(call(ListParameters, "list_parameters", ListParameters.Request()).result.names)
    values = call(GetParameters, "get_parameters", GetParameters.Request(names=names)).values
    return {
        name: _plain(parameter_value_to_python(value))
        for name, value in zip(names, values, strict=True)
        if value.type != ParameterType.PARAMETER_NOT_SET
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else list(value)
