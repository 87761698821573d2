# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recognition of images that show temperature instead of light: they show no cracks, and no widths."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

# Encodings in which only thermal and depth cameras send their images.
_COUNTS = ("16uc1", "16sc1", "32fc1", "y16", "32sc1", "64fc1")
_NAMES = re.compile(r"(?:^|[^a-z0-9])(thermal|thermo|lwir|flir|boson|lepton|tau2|hadron|seek|optris)", re.IGNORECASE)
_MONO16 = "mono16"
# Sizes of thermal sensors and of their halves.
_SENSOR_SIZES = frozenset(
    {
        *((80, 60), (160, 120), (206, 156), (240, 180), (256, 192), (320, 240), (320, 256), (336, 256)),
        *((382, 288), (384, 288), (464, 348), (640, 480), (640, 512), (1024, 768), (1280, 1024)),
    }
)
# Temperatures that surfaces have, in hundredths and tenths of a kelvin (-40 to 120 degrees Celsius).
_COUNTS_OF_SURFACES = ((23315, 39315), (2331, 3931))
_TAILS = (0.001, 0.999)
_INSPECTED_PER_SIDE = 80


def reason_for_refusal(encoding: str, frame: str, pixels: npt.NDArray[Any] | None, is_declared_visible: bool) -> str:
    """Return why an image is not one of visible light; empty if nothing indicates that.

    Args:
        encoding: As the message gives it.
        frame: Name of the camera's frame.
        pixels: (H, W) samples of a 16-bit image of one channel; None of other images.
        is_declared_visible: The user has declared that 16-bit samples are those of visible light (``image_bits``).
    """
    remedy = "Cracks show in visible light only: remap 'image' to the colour camera"
    if encoding.strip().lower() in _COUNTS:
        return f"images of encoding '{encoding.strip()}' come from thermal or depth cameras. {remedy}"
    if pixels is None or encoding.lower() != _MONO16 or is_declared_visible:
        return ""
    if match := _NAMES.search(frame):
        return f"the 16-bit images of frame '{frame}' are thermal ('{match[1]}'). {remedy}"
    height, width = pixels.shape
    if (width, height) not in _SENSOR_SIZES:
        return ""
    step = max(1, min(width, height) // _INSPECTED_PER_SIDE)
    low, high = np.quantile(pixels[::step, ::step], _TAILS)
    if any(least <= low and high <= most for least, most in _COUNTS_OF_SURFACES):
        return (
            f"the 16-bit samples lie between {low:.0f} and {high:.0f}, as temperatures of a thermal camera do. "
            f"{remedy}, or set image_bits if this is one"
        )
    return ""
