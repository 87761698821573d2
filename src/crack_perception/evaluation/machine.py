# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Description of the machine that figures were measured on."""

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
# Flag of the processor -> name, the fastest first; x86-64, then ARM.
_INSTRUCTION_SETS = {
    "avx512_vnni": "AVX-512 and VNNI",
    "avx512f": "AVX-512",
    "avx2": "AVX2, no AVX-512",
    "avx": "AVX, no AVX2",
    "sse4_2": "SSE4.2, no AVX",
    "sve": "NEON and SVE",
    "asimddp": "NEON with dot products",
    "asimd": "NEON",
}


def processor_figures(cpu_info: str | None = None) -> dict[str, Any]:
    """Return ``processor``, ``instruction_set`` and ``usable_cores``.

    Neural networks run three to four times as fast with AVX-512 as without, so that times say little without it.

    Args:
        cpu_info: Content of /proc/cpuinfo; None for that of this machine.
    """
    if cpu_info is None:
        cpu_info = _CPU_INFO.read_text(encoding="utf-8", errors="replace") if _CPU_INFO.is_file() else ""
    fields: dict[str, str] = {}
    for line in cpu_info.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    known = (name for flag, name in _INSTRUCTION_SETS.items() if flag in flags)
    return {
        "processor": fields.get("model name") or fields.get("Model") or platform.processor() or platform.machine(),
        "instruction_set": next(known, "unknown instruction set"),
        "usable_cores": usable_cores(),
    }


def machine_figures() -> dict[str, Any]:
    """Return processor, memory, system, versions and the current load of the machine."""
    return {
        **processor_figures(),
        "cores": psutil.cpu_count(logical=False),
        "threads": os.cpu_count(),
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "ros": os.environ.get("ROS_DISTRO") or f"rclpy {_version('ros-rclpy') or 'of unknown version'}",
        "rmw": _middleware(),
        "load_before": os.getloadavg()[0],
    }


def processor_text(figures: dict[str, Any]) -> str:
    """Return processor, instruction set and cores in words; documents of earlier versions have only the processor."""
    instruction_set = figures.get("instruction_set", "unknown instruction set")
    cores = f", {figures['usable_cores']} cores" if "usable_cores" in figures else ""
    return f"{figures['processor']} with {instruction_set}{cores}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _middleware() -> str:
    """Return the name of the middleware in use; ROS 2 from wheels does not choose it by ``RMW_IMPLEMENTATION``."""
    try:
        import rclpy
    except ImportError:
        return "none"
    return str(rclpy.get_rmw_implementation_identifier())
