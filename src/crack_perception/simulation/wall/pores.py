# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Draw air voids (bug holes): small irregular dark pits, many tiny and few large, denser where the surface is rough."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.wall.noise_fields import FloatImage

_PORES_PER_M2 = 1100.0
_SMALLEST_MM = 0.8
_LARGEST_MM = 11.0
# The number of pores above a diameter falls with this power of the diameter.
_SIZE_EXPONENT = 2.3
_OUTLINE_VERTICES = 10
_FIXED_POINT_BITS = 4


def draw_pores(rng: np.random.Generator, luma: FloatImage, roughness: FloatImage, mm_per_px: float) -> None:
    """Darken pores in place.

    Args:
        rng: Random generator.
        luma: ``(H, W)`` float32 grey levels, changed.
        roughness: ``(h, w)`` float32 in 0..1 over the same wall; four times as many pores at 1 as at 0.
        mm_per_px: Size of a pixel of ``luma``.
    """
    height, width = luma.shape
    count = rng.poisson(_PORES_PER_M2 * height * width * mm_per_px**2 * 1e-6)
    positions = rng.random((count, 2))
    rows = (positions[:, 1] * roughness.shape[0]).astype(int)
    columns = (positions[:, 0] * roughness.shape[1]).astype(int)
    kept = rng.random(count) < 0.25 + 0.75 * roughness[rows, columns]
    for x, y in positions[kept] * [width, height]:
        diameter_mm = min(_SMALLEST_MM * (1 - rng.random()) ** (-1 / _SIZE_EXPONENT), _LARGEST_MM)
        _draw_pore(rng, luma, x, y, diameter_mm / mm_per_px)


def _draw_pore(rng: np.random.Generator, luma: FloatImage, x: float, y: float, diameter_px: float) -> None:
    """Draw one pit: dark under its upper rim, lighter towards the illuminated lower one."""
    reach = int(np.ceil(diameter_px)) + 2
    left, top = int(x) - reach, int(y) - reach
    size = 2 * reach + 1
    if left < 0 or top < 0 or left + size > luma.shape[1] or top + size > luma.shape[0]:
        return
    centre = np.array([x - left, y - top])
    outline = _outline(rng, diameter_px) + centre
    mask = _filled(outline, size)
    lip = _filled(outline + [0.0, 0.6], size) - mask
    window = luma[top : top + size, left : left + size]
    depth = rng.uniform(0.35, 0.8)
    below = np.clip((np.arange(size, dtype=np.float32) - centre[1]) / max(diameter_px, 1.0) + 0.5, 0, 1)[:, None]
    window *= 1 - mask * np.float32(depth) * (1 - np.float32(0.45) * below)
    window += np.clip(lip, 0, 1) * rng.uniform(3.0, 14.0)


def _outline(rng: np.random.Generator, diameter_px: float) -> NDArray[np.float64]:
    """Return an irregular ellipse (V, 2) around the origin, more often vertical than horizontal."""
    angle = np.linspace(0, 2 * np.pi, _OUTLINE_VERTICES, endpoint=False)
    radius = diameter_px / 2 * np.exp(rng.normal(0, 0.13, _OUTLINE_VERTICES))
    stretch = np.exp(rng.normal(0.1, 0.2))
    turn = rng.normal(0.0, 0.7)
    points = np.column_stack([np.cos(angle) * radius / stretch, np.sin(angle) * radius * stretch])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return points @ rotation.T


def _filled(outline: NDArray[np.float64], size: int) -> FloatImage:
    """Return anti-aliased polygon coverage (size, size) in 0..1."""
    canvas = np.zeros((size, size), np.uint8)
    points = np.rint(outline * 2**_FIXED_POINT_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [points], (255,), lineType=cv2.LINE_AA, shift=_FIXED_POINT_BITS)
    return canvas.astype(np.float32) / np.float32(255)
