# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Detect and map cracks in concrete from a drone's camera, with pose and covariance, for ROS 2.

The public API is what ``__all__`` lists; everything else is private and may change in any release. Names are imported
on first use, so that ``import crack_perception`` needs neither OpenCV nor ONNX Runtime.

>>> from crack_perception import CrackDetector, CrackMap
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crack_perception.errors import UserError as UserError
    from crack_perception.mapping.storage.map_file import CrackMap as CrackMap
    from crack_perception.mapping.storage.map_file import MapCrack as MapCrack
    from crack_perception.recognition.cracks import Crack as Crack
    from crack_perception.recognition.cracks import Cracks as Cracks
    from crack_perception.recognition.detector import CrackDetector as CrackDetector

__all__ = ["Crack", "CrackDetector", "CrackMap", "Cracks", "MapCrack", "UserError"]

__version__ = "0.2.0"

# From 1.32 on, ONNX Runtime sends usage data over the network unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_MODULE_OF = {
    "Crack": "recognition.cracks",
    "CrackDetector": "recognition.detector",
    "CrackMap": "mapping.storage.map_file",
    "Cracks": "recognition.cracks",
    "MapCrack": "mapping.storage.map_file",
    "UserError": "errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
