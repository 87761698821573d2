# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Benchmark document: format, machine description, reading and writing."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from crack_perception.cores import usable_cores
from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.tile_times import RATIOS

FORMAT, FORMAT_VERSION = "crack_perception/benchmark", 1
NODE_OVER_INFERENCE = "node_over_inference"

_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "scikit-learn", "torch")
_CPU_INFO = Path("/proc/cpuinfo")


def machine_figures() -> dict[str, Any]:
    """Return processor, memory, system, versions and the current load of the machine."""
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


def read_document(path: Path) -> dict[str, Any]:
    """Read the document of an earlier run.

    Raises:
        UserError: The file cannot be read or is not a benchmark document.
    """
    remedy = "Give a file written by `crack_perception benchmark --out FILE`"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", remedy) from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}", remedy) from None
    version = (document.get("format"), document.get("format_version")) if isinstance(document, dict) else None
    if version != (FORMAT, FORMAT_VERSION) or not set(empty_document()) <= set(document):
        raise UserError(f"{path} is not a benchmark document of version {FORMAT_VERSION}", remedy)
    return dict(document)


def empty_document() -> dict[str, Any]:
    """Return a document without measurements."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "machine": {},
        "model": {},
        "parts": [],
        "tile_ms": {},
        "ratios": dict.fromkeys((*RATIOS, NODE_OVER_INFERENCE)),
        "ratio_spread": {},
        "missing": "",
        "sustained": {},
        "fixed_rates": {},
        "stages_ms": {},
        NODE_OVER_INFERENCE: None,
        "overload": None,
        "idle": None,
        "soak": None,
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
