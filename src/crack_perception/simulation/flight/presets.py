# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Presets, lenses and defaults of a flight; without heavy imports, so that the command's help stays fast."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# Coefficients of typical lenses by distortion model of CameraInfo.
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
        # The demonstration: the defaults, with two passes.
        "demo": {"duration_s": 22.0, "passes": 2},
        # An inspection from a safe distance: two walls and a soffit in two passes, with the errors of a good
        # autopilot (1 degree, 2 cm, 2 % of the range) and drop-outs.
        "survey": {
            "standoff_m": 3.0,
            "speed_m_s": 0.5,
            "fps": 4.0,
            "duration_s": 60.0,
            "facets": 3,
            "passes": 2,
            "cracks": 6,
            "attitude_deg": 1.5,
            "exposure_ms": 1.0,
            "compressed": True,
            "pose_noise_m": 0.02,
            "attitude_noise_deg": 1.0,
            "range_noise_m": 0.0,
            "range_noise_share": 0.02,
            "pose_dropout": 0.05,
            "image_dropout": 0.03,
        },
        # Close enough to measure fine cracks: 0.14 mm per pixel.
        "close": {"standoff_m": 0.5, "hfov_deg": 30.0, "speed_m_s": 0.08, "exposure_ms": 1.0, "attitude_deg": 1.0},
        # Small and short, for experiments.
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
