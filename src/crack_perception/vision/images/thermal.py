# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recognition of images that show temperature instead of light: they show no cracks, and no widths.

Thermal drivers send counts (16UC1, mono16), but also grey pictures after a gain control, and colour palettes, raw,
compressed or as video. Those look like any other picture, so the names of frame and topic decide.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

# Encodings in which only thermal and depth cameras send their images.
_COUNTS = ("16uc1", "16sc1", "32fc1", "y16", "32sc1", "64fc1")
# Words of a name, not parts of words: isothermal and flirt are none. Numbers may follow: boson640, lepton3.
_THERMAL = re.compile(
    r"(thermal|thermo)(cam|camera|image|imager|imaging|view|viewer|vision|graphy|graphic|gram|color|colour|raw|ir)?s?"
    r"|lwir|mwir|flirboson|flirlepton|boson|bosonplus|lepton|purethermal|tau2|seekthermal|optris|wiris|mlx90640|mlx90641"
)
# Makers and cameras whose other sensors see light.
_BRANDS = re.compile(r"flir|hadron|seek")
_LIGHT = re.compile(
    r"rgb|bgr|eo|visible|visual|color|colour|daylight|blackfly|bfs|grasshopper|chameleon|firefly|oryx|spinnaker|pointgrey"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# A mosaic of colours lies before no thermal sensor.
_MOSAIC = "bayer_"
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
_REMEDY = (
    "Cracks show in visible light only: remap 'image' to the colour camera, or set image_is_visible_light if this is "
    "one"
)


def refusal_by_name(encoding: str, frame: str, topic: str) -> str:
    """Return why the images of a camera are not those of visible light by its names; empty if nothing indicates that.

    Args:
        encoding: Of the pixels, as the message gives it; empty if unknown.
        frame: Name of the camera's frame.
        topic: Name of the images' topic.
    """
    encoding = encoding.strip()
    if encoding.lower() in _COUNTS:
        return f"images of encoding '{encoding}' come from thermal or depth cameras. {_REMEDY}"
    if encoding.lower().startswith(_MOSAIC):
        return ""
    for kind, name in (("frame", frame), ("topic", topic)):
        if word := thermal_word(name):
            return f"the images of {kind} '{name}' are thermal ('{word}'). {_REMEDY}"
    return ""


@lru_cache(maxsize=64)
def thermal_word(name: str) -> str:
    """Return the word of a frame's or topic's name that names a thermal camera; empty without one.

    ``boson_camera``, ``/uav_1/ThermalCamera/image_raw`` and ``flir_boson640`` have one; ``isothermal_wall`` and
    ``flirt`` have none, nor has ``flir_blackfly``, a camera of visible light.
    """
    words = [word.lower() for part in re.split(r"[^A-Za-z0-9]+", name) for word in _words(part)]
    for word in words:
        if _THERMAL.fullmatch(word):
            return word
    if any(_LIGHT.fullmatch(word) for word in words):
        return ""
    return next((word for word in words if _BRANDS.fullmatch(word)), "")


def _words(part: str) -> list[str]:
    """Return the words of a part of a name without separators: itself, and those that capital letters separate."""
    whole = part.rstrip("0123456789")
    return [part, whole, *_WORD.findall(part)] if part else []


def refusal_by_samples(pixels: npt.NDArray[Any]) -> str:
    """Return why 16-bit samples (H, W), or three equal channels (H, W, 3), are temperatures; empty if they are not."""
    height, width = pixels.shape[:2]
    if (width, height) not in _SENSOR_SIZES:
        return ""
    step = max(1, min(width, height) // _INSPECTED_PER_SIDE)
    samples = pixels[::step, ::step]
    if samples.ndim == 3:
        if not (samples == samples[..., :1]).all():
            return ""
        samples = samples[..., 0]
    low, high = np.quantile(samples, _TAILS)
    if any(least <= low and high <= most for least, most in _COUNTS_OF_SURFACES):
        between = f"{low:.0f} and {high:.0f}"
        return f"the 16-bit samples lie between {between}, as temperatures of a thermal camera do. {_REMEDY}"
    return ""
