"""Names that differ between ROS 2 distributions, decided by the rclpy that is installed.

``ROS_DISTRO`` is not used: it is unset with the PyPI wheels and may name another installation than the one that runs.
"""

from __future__ import annotations

from importlib import metadata

_NEWEST_RCLPY_WITH_FAST_DDS_2 = 8  # Jazzy has rclpy 7, Kilted 9
_NEWEST_RCLPY_WITH_LOCALHOST_ONLY = 3  # Humble; Iron has rclpy 4


def rclpy_major() -> int | None:
    """Major version of the installed rclpy; None where there is none, or none that states its version."""
    try:
        return int(metadata.version("rclpy").split(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return None


def profile_variable() -> str:
    """Environment variable that names the default profiles file of Fast DDS; Fast DDS 3 warns of the former name."""
    major = rclpy_major()
    is_fast_dds_2 = major is not None and major <= _NEWEST_RCLPY_WITH_FAST_DDS_2
    return "FASTRTPS_DEFAULT_PROFILES_FILE" if is_fast_dds_2 else "FASTDDS_DEFAULT_PROFILES_FILE"


def local_discovery() -> tuple[str, str]:
    """Environment variable, and its value, that limit discovery to this machine."""
    major = rclpy_major()
    if major is not None and major <= _NEWEST_RCLPY_WITH_LOCALHOST_ONLY:
        return "ROS_LOCALHOST_ONLY", "1"
    return "ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"
