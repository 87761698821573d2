# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Settings of a simulated flight, with defaults and limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from crack_perception.errors import UsageError
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.simulation.flight.place import MOST_FACETS
from crack_perception.simulation.flight.presets import LENSES, PRESETS

# Lowest, highest allowed value.
_LIMITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "duration_s": (0.1, 3600.0),
        "fps": (0.1, 240.0),
        "width": (32, 8192),
        "height": (32, 8192),
        "hfov_deg": (2.0, 160.0),
        "standoff_m": (0.05, 50.0),
        "speed_m_s": (0.0, 20.0),
        "attitude_deg": (0.0, 15.0),
        "exposure_ms": (0.0, 100.0),
        "image_noise": (0.0, 20.0),
        "jpeg_quality": (1, 100),
        "pose_noise_m": (0.0, 5.0),
        "attitude_noise_deg": (0.0, 20.0),
        "range_noise_m": (0.0, 5.0),
        "texture_mm_per_px": (0.001, 100.0),
        "range_noise_share": (0.0, 0.5),
        "noise_white_share": (0.0, 1.0),
        "pose_dropout": (0.0, 0.9),
        "image_dropout": (0.0, 0.9),
        "facets": (1, MOST_FACETS),
        "passes": (1, 20),
        "cracks": (0, 500),
        "seed": (0, 2**63 - 1),
    }
)


@dataclass(frozen=True)
class FlightSettings:
    """Settings of one flight; None derives the value from the wall (:mod:`crack_perception.simulation.flight.plan`).

    Raises:
        UsageError: A number outside its limits, an unknown lens, a texture without scale, labels without texture, or
            several facets of one photograph.
    """

    seed: int = 0
    duration_s: float = 20.0
    facets: int = 1
    passes: int = 1
    fps: float = 10.0
    width: int = 1920
    height: int = 1080
    hfov_deg: float = 50.0
    distortion: str = "plumb_bob"
    standoff_m: float | None = None
    speed_m_s: float | None = None
    attitude_deg: float = 2.0
    gimbal: bool = False
    exposure_ms: float = 2.0
    image_noise: float = 1.0
    compressed: bool = False
    jpeg_quality: int | None = None
    pose_noise_m: float = 0.01
    attitude_noise_deg: float = 0.3
    range_noise_m: float = 0.01
    range_noise_share: float = 0.0
    noise_white_share: float = 0.1
    pose_dropout: float = 0.0
    image_dropout: float = 0.0
    cracks: int | None = None
    texture: Path | None = None
    texture_mm_per_px: float | None = None
    texture_labels: Path | None = None

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and lowest <= value <= highest):
                raise UsageError(f"{name} is {value:g}", f"Give a number from {lowest:g} to {highest:g}")
        if self.distortion not in LENSES:
            raise UsageError(f"the distortion {self.distortion!r} is unknown", f"Supported: {', '.join(LENSES)}")
        if self.texture is None and (self.texture_mm_per_px is not None or self.texture_labels is not None):
            raise UsageError("a texture scale or labels are given without a texture", "Add --texture IMAGE")
        if self.texture is not None and self.texture_mm_per_px is None:
            raise UsageError(f"the scale of the texture {self.texture} is missing", "Add --texture-mm-per-px MM")
        if self.texture is not None and self.facets > 1:
            raise UsageError("a photograph is a single facet", "Remove --facets or --texture")

    def random(self, purpose: str) -> np.random.Generator:
        """Return an independent generator per purpose, so that a change to one does not affect the others."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    @property
    def leg_duration_s(self) -> float:
        """Duration of one facet in one pass."""
        return self.duration_s / (self.facets * self.passes)

    @property
    def camera(self) -> CameraModel:
        """Camera with the focal length for ``hfov_deg`` (of the undistorted lens)."""
        half_rad = math.radians(self.hfov_deg) / 2
        fisheye = self.distortion == "equidistant"
        focal_px = self.width / 2 / (half_rad if fisheye else math.tan(half_rad))
        k = [[focal_px, 0, (self.width - 1) / 2], [0, focal_px, (self.height - 1) / 2], [0, 0, 1]]
        # CameraInfo has no name for an ideal lens: by convention it is plumb_bob with zero coefficients.
        model = "plumb_bob" if self.distortion == "none" else self.distortion
        coefficients = np.array(LENSES[self.distortion] or np.zeros(5))
        return CameraModel.of(self.width, self.height, np.array(k), coefficients, model)


def settings_of(preset: str, chosen: Mapping[str, Any]) -> FlightSettings:
    """Return the settings of a preset, overridden by ``chosen`` values that are not None."""
    known = {field.name for field in fields(FlightSettings)}
    picked = {name: value for name, value in chosen.items() if name in known and value is not None}
    return FlightSettings(**{**PRESETS[preset], **picked})
