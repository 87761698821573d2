# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Types of PX4's own messages (px4_msgs, an optional package), and their stamps on the node's clock."""

from __future__ import annotations

from rclpy.node import Node

from crack_perception.errors import UserError
from crack_perception.geometry.poses.boot_clock import BootClock
from crack_perception.ros.common.health import Health

try:
    from px4_msgs.msg import GimbalDeviceAttitudeStatus, VehicleOdometry
except ImportError:
    GimbalDeviceAttitudeStatus = VehicleOdometry = None


def check_installed(wanted_by: str) -> None:
    """Check that px4_msgs is installed.

    Args:
        wanted_by: What needs it, for the error.

    Raises:
        UserError: It is not.
    """
    if VehicleOdometry is None:
        raise UserError(
            f"{wanted_by} but px4_msgs cannot be imported",
            "Build px4_msgs of your PX4 release in this workspace and source it, or use MAVROS (stack:=px4_mavros; "
            "odom_type 'Odometry')",
        )


class Px4Clock:
    """Stamps of PX4's messages on the node's clock; a clock that is not synchronised is reported once."""

    def __init__(self, node: Node, health: Health) -> None:
        self._node = node
        self._health = health
        self._clock = BootClock()
        self._is_reported = False

    def converted(self, stamp_ns: int) -> int:
        """Return the stamp [ns] of a message that arrived now."""
        stamp_ns = self._clock.converted(stamp_ns, self._node.get_clock().now().nanoseconds)
        if self._clock.offset_ns is not None and not self._is_reported:
            self._is_reported = True
            self._health.report(
                "px4_clock",
                f"PX4 stamps its messages with the time since its start, {self._clock.offset_ns / 1e9:.0f} s behind "
                "this node's clock: they are shifted by their time of arrival. Set PX4's UXRCE_DDS_SYNCT to 1, or "
                "use_sim_time in a simulation, for exact stamps",
            )
        return stamp_ns
