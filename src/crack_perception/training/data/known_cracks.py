# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Test cracks of exactly known width, rendered on real intact tiles.

They use the same anti-aliased renderer as the training cracks, but none of its random ranges: width, contrast and blur
are given. Only the crack is blurred; the tile around it stays unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from crack_perception.simulation.wall.crack_rendering import (
    crack_coverage,
    darken,
    random_crack_polyline,
    random_width_profile,
)
from crack_perception.vision.tiling import Image

_ROUGHNESS = 0.1
_WIDTH_VARIATION = 0.15
_STEP_PX = 4.0


@dataclass(frozen=True)
class KnownCrack:
    """Width, blur and contrasts of a test crack.

    Args:
        width_px: Mean width inside the tile, before the blur [px].
        blur_px: Standard deviation of the Gaussian blur [px]; 0 for none.
        contrasts: Shares of the brightness that is lost in the middle of the crack; one tile is rendered for each.
    """

    width_px: float
    blur_px: float
    contrasts: tuple[float, ...]


def draw_known_crack(tile: Image, crack: KnownCrack, rng: np.random.Generator) -> list[Image]:
    """Render the same crack at every contrast: from border to border, through the middle half of the tile.

    Args:
        tile: ``(T, T, 3)`` uint8 BGR.
        crack: Width, blur and contrasts.
        rng: Random number generator of the path.

    Returns:
        One tile for each contrast.
    """
    size = tile.shape[0]
    angle_rad = rng.uniform(0.0, np.pi)
    direction = np.array([np.cos(angle_rad), np.sin(angle_rad)])
    middle = rng.uniform(0.25, 0.75, 2) * size
    path = random_crack_polyline(rng, middle - size * direction, middle + size * direction, _ROUGHNESS, _STEP_PX)
    inside = ((path >= 0) & (path <= size - 1)).all(axis=1)
    widths = random_width_profile(rng, len(path), 1.0, _WIDTH_VARIATION)
    widths *= crack.width_px / float(widths[inside].mean() if inside.any() else 1.0)
    coverage = crack_coverage((size, size), path, widths)
    if crack.blur_px:
        coverage = np.asarray(cv2.GaussianBlur(coverage, (0, 0), crack.blur_px), np.float32)
    return [darken(tile, coverage, contrast, rng) for contrast in crack.contrasts]
