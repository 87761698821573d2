# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Environment variables that differ between ROS 2 distributions, selected by the installed rclpy.

``ROS_DISTRO`` is not used: it is unset with the PyPI wheels and may name another installation than the running one.
"""

from __future__ import annotations

from importlib import metadata

_NEWEST_RCLPY_WITH_FAST_DDS_2 = 8  # Jazzy has rclpy 7, Kilted 9
_NEWEST_RCLPY_WITH_LOCALHOST_ONLY = 3  # Humble; Iron has rclpy 4


def rclpy_major() -> int | None:
    """Return the major version of the installed rclpy; None if it is not installed or has no version."""
    try:
        return int(metadata.version("rclpy").split(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return None


def profile_variable() -> str:
    """Return the environment variable for the default profiles file of Fast DDS; Fast DDS 3 renamed it."""
    major = rclpy_major()
    is_fast_dds_2 = major is not None and major <= _NEWEST_RCLPY_WITH_FAST_DDS_2
    return "FASTRTPS_DEFAULT_PROFILES_FILE" if is_fast_dds_2 else "FASTDDS_DEFAULT_PROFILES_FILE"


def local_discovery() -> tuple[str, str]:
    """Return the environment variable and its value that limit discovery to this machine."""
    major = rclpy_major()
    if major is not None and major <= _NEWEST_RCLPY_WITH_LOCALHOST_ONLY:
        return "ROS_LOCALHOST_ONLY", "1"
    return "ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"
