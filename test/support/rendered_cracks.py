# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Small images of cracks with known centreline and width, and the errors of lines measured on them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.camera.rendering import blur_kernel
from crack_perception.simulation.wall.concrete import concrete_texture
from crack_perception.simulation.wall.crack_rendering import (
    crack_coverage,
    darken,
    random_crack_polyline,
    random_width_profile,
)
from crack_perception.vision.lines.line import CrackLine
from crack_perception.vision.lines.measurement import crack_line_batches

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

SHAPE = (512, 768)
WHOLE = np.array([[0, 0, SHAPE[1], SHAPE[0]]], np.int32)
MM_PER_PX = 0.5
NEAR_PX = 3.0


@dataclass(frozen=True, eq=False)
class RenderedCrack:
    """Image (H, W, 3) with one crack: centreline (N, 2) and width (N,) in pixels."""

    image: Image
    line_px: Floats
    width_px: Floats

    @property
    def length_px(self) -> float:
        return float(np.linalg.norm(np.diff(self.line_px, axis=0), axis=1).sum())


def plain_surface(level: int = 170) -> Image:
    return np.full((*SHAPE, 3), level, np.uint8)


def concrete(seed: int) -> Image:
    return concrete_texture(np.random.default_rng(seed), SHAPE, MM_PER_PX)


def photographed(light: Image, rng: np.random.Generator, noise_levels: float = 1.0) -> Image:
    """Apply lens blur and noise of the simulated camera."""
    blurred = cv2.filter2D(light, -1, blur_kernel(np.zeros(2))).astype(np.float64)
    return np.clip(np.rint(blurred + rng.normal(0, noise_levels, (*light.shape[:2], 1))), 0, 255).astype(np.uint8)


def rendered_crack(seed: int, surface: Image, width_px: float, contrast: float) -> RenderedCrack:
    """Render a random winding crack across the middle of a surface, with varying width and thin ends."""
    rng = np.random.default_rng([77, seed])
    direction_rad = rng.uniform(0, np.pi)
    half = rng.uniform(150, 230) * np.array([np.cos(direction_rad), np.sin(direction_rad)])
    middle = np.array(SHAPE[::-1]) / 2 + rng.uniform(-15, 15, 2)
    line = random_crack_polyline(rng, middle - half, middle + half, rng.uniform(0.05, 0.1), 5.5)
    widths = random_width_profile(rng, len(line), width_px, rng.uniform(0.1, 0.3))
    from_tip = np.minimum(np.arange(len(line)), np.arange(len(line))[::-1]) / (0.1 * len(line))
    widths *= 0.25 + 0.75 * np.clip(from_tip, 0, 1)
    widths *= width_px / widths.mean()
    drawn = darken(surface, crack_coverage(SHAPE, line, widths), contrast, rng)
    return RenderedCrack(photographed(drawn, rng), line, widths)


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of measured lines.

    Attributes:
        width_px: (V,) error of the width at every vertex on the crack.
        width_sigmas: (V,) the same in units of the standard deviation.
        centre_px: (V,) distance of the vertices from the true centreline.
        length: Error of the measured length as a share of the true one.
    """

    width_px: Floats
    width_sigmas: Floats
    centre_px: Floats
    length: float


def errors_of(crack: RenderedCrack, lines: list[CrackLine]) -> Errors:
    """Compare measured lines with the crack; vertices away from it are ignored."""
    width_px, sigmas, centre_px, length_px = [np.empty(0)], [np.empty(0)], [np.empty(0)], 0.0
    for line in lines:
        distance_px, true_px = _nearest(line.points_px, crack)
        on = distance_px < np.maximum(NEAR_PX, true_px / 2)
        error_px = line.width_px[on] - true_px[on]
        width_px.append(error_px)
        sigmas.append(error_px / line.width_sigma_px[on])
        centre_px.append(distance_px[on])
        steps_px = np.linalg.norm(np.diff(line.points_px, axis=0), axis=1)
        length_px += float(steps_px[on[1:] & on[:-1]].sum())
    return Errors(
        np.concatenate(width_px),
        np.concatenate(sigmas),
        np.concatenate(centre_px),
        length_px / crack.length_px - 1,
    )


def _nearest(points: Floats, crack: RenderedCrack) -> tuple[Floats, Floats]:
    """Return the distances (V,) of points from the true centreline, and the true width there."""
    start, along = crack.line_px[:-1], np.diff(crack.line_px, axis=0)
    share = (((points[:, None] - start) * along).sum(axis=2) / (along**2).sum(axis=1)).clip(0, 1)
    distance = np.linalg.norm(points[:, None] - start - share[..., None] * along, axis=2)
    segment = distance.argmin(axis=1)
    rows = np.arange(len(points))
    share = share[rows, segment]
    widths = crack.width_px
    return distance[rows, segment], (1 - share) * widths[segment] + share * widths[segment + 1]


def measure_crack_lines(
    frame_bgr: NDArray[np.uint8], tile_boxes: NDArray[np.int32], expected_width_px: float
) -> list[CrackLine]:
    """Measure all lines of a region in one call."""
    return [line for batch in crack_line_batches(frame_bgr, tile_boxes, expected_width_px) for line in batch.lines]
