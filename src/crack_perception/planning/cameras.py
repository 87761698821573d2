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

_SIDES_PX = (64, 100_000)
_ANGLES_DEG = (0.2, 150.0)
"""Of pinhole cameras; wider lenses are fisheyes, whose images need another model."""
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
    if not _is_picture(width_px_, height_px_):
        raise UsageError(
            f"--camera {text} has images of {width_px_:g} x {height_px_:g} px",
            f"Give FX,WIDTH,HEIGHT with sides from {_SIDES_PX[0]} to {_SIDES_PX[1]} px",
        )
    return _checked(CameraGeometry(width_px_, height_px_, focal_px))


def camera_with_lens(sensor_mm: float, focal_mm: float, width_px: int, height_px: int) -> CameraGeometry:
    """Return the camera with this width of the sensor, focal length (real, not equivalent) and image size.

    Raises:
        UsageError: A number is not one of a camera.
    """
    numbers = (sensor_mm, focal_mm)
    if not all(0.0 < number < math.inf for number in numbers) or not _is_picture(width_px, height_px):
        raise UsageError(
            f"the sensor of {sensor_mm:g} mm with {width_px} x {height_px} pixels and a lens of {focal_mm:g} mm is no "
            "camera",
            "Give the numbers of its data sheet",
        )
    return _checked(CameraGeometry(float(width_px), float(height_px), focal_mm / sensor_mm * width_px))


def _is_picture(width_px: float, height_px: float) -> bool:
    """Return whether a camera can have images of this size."""
    return all(_SIDES_PX[0] <= side <= _SIDES_PX[1] for side in (width_px, height_px))


def _checked(camera: CameraGeometry) -> CameraGeometry:
    """Return a camera whose angle of view is that of a lens.

    Raises:
        UsageError: It is not, for example because the focal length is in millimetres.
    """
    angle_deg = math.degrees(2.0 * math.atan2(0.5 * camera.width_px, camera.focal_px))
    if not _ANGLES_DEG[0] <= angle_deg <= _ANGLES_DEG[1]:
        raise UsageError(
            f"a focal length of {camera.focal_px:.4g} px with images of {camera.width_px:.0f} px is an angle of view "
            f"of {angle_deg:.3g} deg",
            "Give the focal length of the camera: of FX in pixels, of --focal-mm the real one",
        )
    return camera
