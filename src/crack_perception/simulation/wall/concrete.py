# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Procedural concrete surface: natural grey levels, relief lit from above, pores and traces of formwork."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.wall import formwork, stains
from crack_perception.simulation.wall.noise_fields import FloatImage, fractal_field, smooth_steps
from crack_perception.simulation.wall.pores import draw_pores

_MEAN_LEVEL = 172.0
# Standard deviation per octave in grey levels, measured on photographs of concrete: nearly flat, more for clouds.
_FINE_DEVIATION = 1.5
_CLOUD_DEVIATION = 1.9
# Mean colour of concrete in daylight relative to its brightness (B, G, R) and its direction of variation.
_TINT = np.array([1.010, 1.003, 0.987], np.float32)
_WARM = np.array([-1.0, 0.1, 0.9], np.float32)
_SOFT_PITCH_MM = 4.0
_BLOCK_ROWS = 256


def concrete_texture(rng: np.random.Generator, shape: tuple[int, int], mm_per_px: float) -> NDArray[np.uint8]:
    """Generate an uncracked concrete wall.

    Args:
        rng: Random generator.
        shape: ``(height, width)`` in pixels.
        mm_per_px: Size of a pixel.

    Returns:
        ``(H, W, 3)`` uint8 BGR.
    """
    soft_shape = _soft_shape(shape, mm_per_px)
    roughness = smooth_steps(fractal_field(rng, soft_shape, _SOFT_PITCH_MM, _cloud_deviation), 0.0, 7.0)
    luma = _grain(rng, shape, mm_per_px)
    _light_relief(rng, luma, roughness, mm_per_px)
    panels = formwork.random_panels(rng, shape, mm_per_px)
    formwork.draw_joints(rng, luma, panels, mm_per_px)
    draw_pores(rng, luma, roughness, mm_per_px)
    formwork.draw_tie_holes(rng, luma, panels, mm_per_px)
    soft = stains.soft_shading(rng, soft_shape, _SOFT_PITCH_MM, panels)
    soft *= 1 - 0.05 * roughness
    warmth = fractal_field(rng, soft_shape, _SOFT_PITCH_MM, lambda wavelength_mm: 0.5 if wavelength_mm > 8 else 0.15)
    # Rough and stained areas hold dirt, which is warmer than clean cement paste.
    warmth += 1.8 * roughness + 18.0 * np.clip(1 - soft, 0, 0.2)
    soft *= stains.cast_shadow(rng, soft_shape, _SOFT_PITCH_MM)
    return _coloured(luma, soft, warmth)


def _soft_shape(shape: tuple[int, int], mm_per_px: float) -> tuple[int, int]:
    """Return the size of the coarse planes for everything without sharp edges."""
    height, width = (max(8, round(length * mm_per_px / _SOFT_PITCH_MM)) for length in shape)
    return height, width


def _cloud_deviation(wavelength_mm: float) -> float:
    return 2.4 if wavelength_mm > 30 else 1.2


def _grain(rng: np.random.Generator, shape: tuple[int, int], mm_per_px: float) -> FloatImage:
    """Return cement clouds and fine grain around the mean level."""
    luma = fractal_field(
        rng,
        shape,
        mm_per_px,
        lambda wavelength_mm: _FINE_DEVIATION if wavelength_mm < 16 else min(_CLOUD_DEVIATION, wavelength_mm / 16),
    )
    luma += np.float32(_MEAN_LEVEL)
    return luma


def _light_relief(rng: np.random.Generator, luma: FloatImage, roughness: FloatImage, mm_per_px: float) -> None:
    """Add the shading of a bumpy surface under light from above; rough areas also get small dark pits."""
    height, width = luma.shape
    relief = fractal_field(rng, (height, width), mm_per_px, lambda wavelength_mm: 1.0 if wavelength_mm < 5 else 0.0)
    relief /= np.float32(max(float(relief.std()), 1e-6))
    for top, bottom in _row_blocks(height):
        rough = _rows_of(roughness, (height, width), top, bottom)
        rows = np.arange(top, bottom)
        slope = relief[np.minimum(rows + 1, height - 1)] - relief[np.maximum(rows - 1, 0)]
        pits = np.maximum(np.float32(-1.9) + np.float32(0.55) * rough - relief[top:bottom], 0)
        block = luma[top:bottom]
        block += (np.float32(0.6) + np.float32(2.4) * rough) * slope
        block -= np.float32(18) * (np.float32(0.5) + rough) * pits


def _coloured(luma: FloatImage, soft: FloatImage, warmth: FloatImage) -> NDArray[np.uint8]:
    """Combine brightness and soft shading, and tint the result."""
    height, width = luma.shape
    texture = np.empty((height, width, 3), np.uint8)
    for top, bottom in _row_blocks(height):
        shade, warm = (_rows_of(plane, (height, width), top, bottom) for plane in (soft, warmth))
        coloured = (luma[top:bottom] * shade)[..., None] * _TINT + warm[..., None] * _WARM
        texture[top:bottom] = np.clip(np.rint(coloured), 0, 255)
    return texture


def _row_blocks(height: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows processed together, so that memory stays near that of two planes."""
    for top in range(0, height, _BLOCK_ROWS):
        yield top, min(top + _BLOCK_ROWS, height)


def _rows_of(plane: FloatImage, shape: tuple[int, int], top: int, bottom: int) -> FloatImage:
    """Return rows ``top`` to ``bottom`` of a coarse plane resized to a wall's ``shape``."""
    rows, columns = np.arange(top, bottom, dtype=np.float32), np.arange(shape[1], dtype=np.float32)
    map_x = (columns + 0.5) * np.float32(plane.shape[1] / shape[1]) - 0.5
    map_y = (rows + 0.5) * np.float32(plane.shape[0] / shape[0]) - 0.5
    grid_x, grid_y = np.meshgrid(map_x, map_y)
    resized = cv2.remap(plane, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(resized, np.float32)
