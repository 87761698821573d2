"""What the benchmark ran on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from crack_perception.cores import usable_cores

_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "scikit-learn", "torch")
_CPU_INFO = Path("/proc/cpuinfo")


def machine_figures() -> dict[str, Any]:
    """Processor, memory, system, versions, and how busy the machine was just before."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False),
        "threads": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "ros": os.environ.get("ROS_DISTRO") or f"rclpy {_version('ros-rclpy') or 'of unknown version'}",
        "rmw": os.environ.get("RMW_IMPLEMENTATION") or "default",
        "load_before": os.getloadavg()[0],
    }


def _processor() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
