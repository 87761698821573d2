# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Soft shading of a wall: damp clouds, water runs, repair patches, and the edge of a cast shadow."""

from __future__ import annotations

import numpy as np

from crack_perception.simulation.wall.formwork import Panels
from crack_perception.simulation.wall.noise_fields import FloatImage, fractal_field, smooth_steps

_SHADOW_LEVEL = 0.72
_RUNS_PER_M = 1.2


def soft_shading(rng: np.random.Generator, shape: tuple[int, int], pitch_mm: float, panels: Panels) -> FloatImage:
    """Return a factor on the wall's brightness.

    Args:
        rng: Random generator.
        shape: ``(height, width)`` of the result.
        pitch_mm: Distance between its pixels [mm].
        panels: Panels whose tie holes leak water.

    Returns:
        ``(H, W)`` float32, 1 where the wall is clean.
    """
    shading = np.ones(shape, np.float32)
    shading -= 0.10 * _damp_clouds(rng, shape, pitch_mm)
    shading -= _water_runs(rng, shape, pitch_mm, panels)
    _repair_patches(rng, shading, pitch_mm)
    return shading


def cast_shadow(rng: np.random.Generator, shape: tuple[int, int], pitch_mm: float) -> FloatImage:
    """Return a factor on the brightness: a straight shadow edge with a penumbra across one corner of the wall."""
    height_mm, width_mm = shape[0] * pitch_mm, shape[1] * pitch_mm
    angle = rng.uniform(0.2, 0.6) * np.pi
    through = np.array([rng.uniform(0.55, 0.9) * width_mm, rng.uniform(0.3, 0.7) * height_mm])
    columns_mm = np.arange(shape[1], dtype=np.float32)[None, :] * np.float32(pitch_mm) - np.float32(through[0])
    rows_mm = np.arange(shape[0], dtype=np.float32)[:, None] * np.float32(pitch_mm) - np.float32(through[1])
    into_mm = columns_mm * np.float32(np.sin(angle)) + rows_mm * np.float32(np.cos(angle))
    penumbra_mm = rng.uniform(6, 25)
    return np.asarray(1 - (1 - _SHADOW_LEVEL) * smooth_steps(into_mm, -penumbra_mm, penumbra_mm), np.float32)


def _damp_clouds(rng: np.random.Generator, shape: tuple[int, int], pitch_mm: float) -> FloatImage:
    """Return darker clouds with ragged outlines, 0..1."""
    field = fractal_field(rng, shape, pitch_mm, lambda wavelength_mm: min(1.0, (wavelength_mm / 250) ** 0.8))
    deviation = max(float(field.std()), 1e-6)
    return smooth_steps(field, 0.5 * deviation, 2.6 * deviation)


def _water_runs(rng: np.random.Generator, shape: tuple[int, int], pitch_mm: float, panels: Panels) -> FloatImage:
    """Return vertical streaks below tie holes and from the top edge: dark dirt or light lime."""
    runs = np.zeros(shape, np.float32)
    width_mm = shape[1] * pitch_mm
    sources = [(x, y) for x, y in panels.tie_holes_mm if rng.random() < 0.5]
    sources += [(rng.uniform(0, width_mm), -50.0) for _ in range(rng.poisson(_RUNS_PER_M * width_mm / 1000))]
    rows_mm = np.arange(shape[0], dtype=np.float32) * np.float32(pitch_mm)
    columns_mm = np.arange(shape[1], dtype=np.float32)[None, :] * np.float32(pitch_mm)
    for x_mm, y_mm in sources:
        length_mm, half_width_mm = rng.uniform(200, 1100), rng.uniform(6, 30)
        knots = rng.normal(0, 0.25 * half_width_mm, 12).cumsum()
        path_mm = x_mm + np.interp(rows_mm, y_mm + np.linspace(0, length_mm, 12), knots)
        below = (rows_mm - y_mm) / length_mm
        fade = np.where((below > 0) & (below < 1), np.minimum(below * 12, 1) * np.clip(1 - below, 0, 1) ** 0.7, 0)
        strength = rng.uniform(0.03, 0.11) * (-0.5 if rng.random() < 0.3 else 1.0)
        across = (columns_mm - path_mm[:, None]) / np.float32(half_width_mm)
        runs += (np.float32(strength) * fade[:, None] * np.exp(-0.5 * across**2)).astype(np.float32)
    return runs


def _repair_patches(rng: np.random.Generator, shading: FloatImage, pitch_mm: float) -> None:
    """Draw trowelled patches of another tone with slightly wavy sides, in place."""
    area_m2 = shading.size * pitch_mm**2 * 1e-6
    wobble = fractal_field(rng, (shading.shape[0], shading.shape[1]), pitch_mm, lambda wavelength_mm: 2.0)
    rows_mm = np.arange(shading.shape[0])[:, None] * pitch_mm
    columns_mm = np.arange(shading.shape[1])[None, :] * pitch_mm
    for _ in range(max(1, rng.poisson(0.25 * area_m2))):
        centre_x, centre_y = rng.uniform(0, [shading.shape[1] * pitch_mm, shading.shape[0] * pitch_mm])
        half_x, half_y = rng.uniform(60, 260, 2)
        outside = np.maximum(np.abs(columns_mm - centre_x) - half_x, np.abs(rows_mm - centre_y) - half_y)
        inside = np.clip(0.5 - (outside + wobble) / 8.0, 0, 1)
        shading += (rng.choice([-0.06, -0.04, 0.05, 0.07]) * inside).astype(np.float32)
