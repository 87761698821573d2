"""Names and numbers to choose a flight from; imports nothing heavy, so that the command's help stays quick."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# Coefficients of ordinary lenses, by the names of CameraInfo.
LENSES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "plumb_bob": (-0.12, 0.035, 0.0004, -0.0003, 0.0),
        "rational_polynomial": (0.35, 0.06, 0.0003, -0.0002, 0.002, 0.47, 0.09, 0.006),
        "equidistant": (-0.015, 0.004, -0.002, 0.0004),
        "none": (),
    }
)

DEFAULT_CRACKS = 10
DEFAULT_STANDOFF_M = 1.5
DEFAULT_SPEED_M_S = 0.3

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # What the defaults are: the demonstration.
        "demo": {},
        # Close enough to measure fine cracks: 0.14 mm a pixel.
        "close": {"standoff_m": 0.5, "hfov_deg": 30.0, "speed_m_s": 0.08, "exposure_ms": 1.0, "attitude_deg": 1.0},
        # Small and short, for trying things out.
        "quick": {
            "width": 640,
            "height": 480,
            "duration_s": 3.0,
            "fps": 5.0,
            "standoff_m": 0.5,
            "speed_m_s": 0.2,
            "cracks": 6,
        },
    }
)
