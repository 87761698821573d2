# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bond of a node with a lifecycle manager (nav2's), which notices by it that the node hangs or has died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crack_perception.errors import UserError
from crack_perception.ros.common.parameter_table import ParameterSpec

if TYPE_CHECKING:
    from crack_perception.ros.common.lifecycle import ManagedNode

PERIOD = "bond_heartbeat_period"
BOND_SPEC = ParameterSpec(
    PERIOD,
    0.0,
    "Period of the heartbeats of a bond with nav2's lifecycle manager, which needs bondpy [s]; 0: no bond",
    0.0,
    10.0,
)

# As nav2's own nodes: the topic is relative to the namespace, the bond has the name of the node.
_TOPIC = "bond"
# Longest time that the manager, or this node's executor, may be busy.
_HEARTBEAT_TIMEOUT_S = 10.0


class ManagerBond:
    """Bond that a node keeps while it is active.

    Args:
        node: The node; its parameter ``bond_heartbeat_period`` is read when the bond is checked and opened.
    """

    def __init__(self, node: ManagedNode) -> None:
        self._node = node
        self._bond: Any = None

    @property
    def is_wanted(self) -> bool:
        """True if the parameter asks for a bond."""
        return bool(self._node.has_parameter(PERIOD) and self._node.get_parameter(PERIOD).value > 0)

    def check(self) -> None:
        """Check that a bond can be opened if it is wanted.

        Raises:
            UserError: bondpy is not installed.
        """
        if self.is_wanted:
            _bond_class()

    def open(self) -> None:
        """Open the bond if it is wanted, and send heartbeats from a thread."""
        if not self.is_wanted or self._bond is not None:
            return
        # bondpy takes the node first, bondcpp last.
        bond = _bond_class()(self._node, _TOPIC, self._node.get_name(), on_broken=self._on_broken)
        bond.set_heartbeat_period(float(self._node.get_parameter(PERIOD).value))
        bond.set_heartbeat_timeout(_HEARTBEAT_TIMEOUT_S)
        bond.start()
        self._bond = bond

    def close(self) -> None:
        """Break the bond, which tells the manager that the node is no longer active."""
        bond, self._bond = self._bond, None
        if bond is not None:
            bond.set_broken_callback(None)
            bond.shutdown()
            # bondpy ends them, but leaves them in the node's lists.
            self._node.destroy_subscription(bond.sub)
            self._node.destroy_publisher(bond.pub)

    def _on_broken(self) -> None:
        # The node goes on: it may fly on without its manager, which decides about a restart.
        self._node.log_warning("The bond with the lifecycle manager is broken: is the manager running?")


def _bond_class() -> Any:
    """Return bondpy's class.

    Raises:
        UserError: bondpy is not installed.
    """
    try:
        from bondpy.bondpy import Bond
    except ImportError as error:
        raise UserError(
            f"{PERIOD} asks for a bond, but bondpy cannot be imported ({error})",
            "Install it (ros-$ROS_DISTRO-bondpy), or set it to 0.0 and the manager's bond_timeout to 0.0",
        ) from error
    return Bond
