# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cameras by name, by focal length in pixels, or by sensor and lens."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from crack_perception.errors import UsageError
from crack_perception.mapping.coverage.view import CameraGeometry

# Width of the sensor and focal length [mm], then the size of the image [px], from the manufacturers' data sheets.
_DATA: Mapping[str, tuple[float, float, int, int]] = MappingProxyType(
    {
        "dji-mavic-3e": (17.3, 12.29, 5280, 3956),
        "dji-zenmuse-p1-35mm": (35.9, 35.0, 8192, 5460),
        "dji-zenmuse-p1-50mm": (35.9, 50.0, 8192, 5460),
        "sony-a7r4-35mm": (35.7, 35.0, 9504, 6336),
        "raspberry-pi-hq-16mm": (6.287, 16.0, 4056, 3040),
        "raspberry-pi-camera-3": (6.45, 4.74, 4608, 2592),
    }
)
CAMERAS = tuple(_DATA)
"""Names of the cameras."""

_NUMBERS = re.compile(r"\s*,\s*")


def camera_of(text: str) -> CameraGeometry:
    """Return the camera of a name or of ``FX,WIDTH,HEIGHT`` in pixels.

    Raises:
        UsageError: It is neither.
    """
    if text in _DATA:
        sensor_mm, focal_mm, width_px, height_px = _DATA[text]
        return camera_with_lens(sensor_mm, focal_mm, width_px, height_px)
    try:
        numbers = [float(part) for part in _NUMBERS.split(text.strip())]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or not all(0.0 < number < math.inf for number in numbers):
        raise UsageError(
            f"--camera {text} is no camera that is known",
            f"Name one of {', '.join(CAMERAS)}, or give FX,WIDTH,HEIGHT in pixels (fx of camera_info)",
        )
    focal_px, width_px_, height_px_ = numbers
    return CameraGeometry(width_px_, height_px_, focal_px)


def camera_with_lens(sensor_mm: float, focal_mm: float, width_px: int, height_px: int) -> CameraGeometry:
    """Return the camera with this width of the sensor, focal length (real, not equivalent) and image size.

    Raises:
        UsageError: A number is not positive.
    """
    numbers = (sensor_mm, focal_mm, width_px, height_px)
    if not all(0.0 < number < math.inf for number in numbers):
        raise UsageError(
            f"the sensor of {sensor_mm:g} mm with {width_px} x {height_px} pixels and a lens of {focal_mm:g} mm is no "
            "camera",
            "Give positive numbers from the data sheet",
        )
    return CameraGeometry(float(width_px), float(height_px), focal_mm / sensor_mm * width_px)
