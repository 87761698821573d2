# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Traces of formwork: panels of different tone, joints between them, and tie holes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.wall.noise_fields import FloatImage

_TIE_HOLE_DIAMETER_MM = 32.0


@dataclass(frozen=True)
class Panels:
    """Panel grid: joints at ``x_mm`` (vertical lines) and ``y_mm`` (horizontal lines), tie holes (N, 2) in mm."""

    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    tie_holes_mm: NDArray[np.float64]


def random_panels(rng: np.random.Generator, shape: tuple[int, int], mm_per_px: float) -> Panels:
    """Return a grid of equal panels with a random offset; ties at 1/4 and 3/4 of their width and height."""
    panel_mm = np.array([rng.uniform(1250, 1500), rng.uniform(900, 1200)])
    offset_mm = rng.uniform(0.2, 0.8, 2) * panel_mm
    size_mm = np.array([shape[1], shape[0]]) * mm_per_px
    x_mm, y_mm = (np.arange(offset_mm[axis] - panel_mm[axis], size_mm[axis], panel_mm[axis]) for axis in (0, 1))
    ties_mm = [
        (x + share_x * panel_mm[0], y + share_y * panel_mm[1])
        for x in x_mm
        for y in y_mm
        for share_x in (0.25, 0.75)
        for share_y in (0.25, 0.75)
    ]
    return Panels(x_mm, y_mm, np.array(ties_mm) + rng.normal(0, 3.0, (len(ties_mm), 2)))


def draw_joints(rng: np.random.Generator, luma: FloatImage, panels: Panels, mm_per_px: float) -> None:
    """Add a tone to every panel and draw the joints, some as fins, some as faint smears, in place."""
    x_px = np.append(panels.x_mm / mm_per_px, luma.shape[1]).clip(0).astype(int)
    y_px = np.append(panels.y_mm / mm_per_px, luma.shape[0]).clip(0).astype(int)
    for left, right in pairwise(x_px):
        for top, bottom in pairwise(y_px):
            luma[top:bottom, left:right] += np.float32(rng.normal(0, 2.0))
    for x_mm in panels.x_mm:
        _draw_joint(rng, luma, x_mm / mm_per_px, mm_per_px)
    for y_mm in panels.y_mm:
        _draw_joint(rng, luma.T, y_mm / mm_per_px, mm_per_px)


def _draw_joint(rng: np.random.Generator, luma: FloatImage, x_px: float, mm_per_px: float) -> None:
    """Draw one vertical joint: a dark line beside a light one, fading in and out, with leaked paste around it."""
    length = luma.shape[0]
    reach = int(np.ceil(14 / mm_per_px))
    left, right = int(x_px) - reach, int(x_px) + reach + 1
    if left < 0 or right > luma.shape[1]:
        return
    rows_mm = np.arange(length, dtype=np.float64) * mm_per_px
    wander_mm = _wander(rng, rows_mm, 300.0, 0.5)
    strength = np.clip(0.6 + _wander(rng, rows_mm, 120.0, 0.45), 0.05, 1.3)
    from_joint_mm = (np.arange(left, right) - x_px)[None, :] * mm_per_px - wander_mm[:, None]
    width_mm = rng.uniform(0.7, 1.8)
    dark = np.exp(-0.5 * (from_joint_mm / width_mm) ** 2)
    light = np.exp(-0.5 * ((from_joint_mm - 2.2 * width_mm) / (1.2 * width_mm)) ** 2)
    leak = np.exp(-np.abs(from_joint_mm) / 4.0) * np.clip(_wander(rng, rows_mm, 90.0, 1.0), 0, 2)[:, None]
    change = strength[:, None] * (light * rng.uniform(3, 12) - dark * rng.uniform(18, 46)) - 7.0 * leak
    luma[:, left:right] += change.astype(np.float32)


def _wander(
    rng: np.random.Generator, positions_mm: NDArray[np.float64], wavelength_mm: float, deviation: float
) -> NDArray[np.float64]:
    """Return a continuous random function of the position along a joint."""
    knots_mm = np.arange(-wavelength_mm, positions_mm[-1] + 2 * wavelength_mm, wavelength_mm / 2)
    return np.interp(positions_mm, knots_mm, rng.normal(0, deviation, len(knots_mm)))


def draw_tie_holes(rng: np.random.Generator, luma: FloatImage, panels: Panels, mm_per_px: float) -> None:
    """Draw every tie hole in place: open ones are dark under the upper rim, others are plugged with paler mortar."""
    radius_px = _TIE_HOLE_DIAMETER_MM / 2 / mm_per_px
    reach = int(np.ceil(radius_px * 1.5))
    for x_px, y_px in panels.tie_holes_mm / mm_per_px:
        plugged = rng.random() < 0.35
        left, top = int(x_px) - reach, int(y_px) - reach
        window = luma[max(top, 0) : top + 2 * reach + 1, max(left, 0) : left + 2 * reach + 1]
        if left < 0 or top < 0 or window.shape != (2 * reach + 1, 2 * reach + 1):
            continue
        offset = np.arange(2 * reach + 1, dtype=np.float32)
        dx, dy = (offset - np.float32(x_px - left))[None, :], (offset - np.float32(y_px - top))[:, None]
        distance = np.hypot(dx, dy) / np.float32(radius_px)
        soft = np.float32(0.6 / radius_px)
        inside = np.clip((1 - distance) / soft + 0.5, 0, 1)
        rim = np.exp(-0.5 * ((distance - 1) / 0.06) ** 2)
        if plugged:
            window += inside * np.float32(rng.uniform(2, 14)) - rim * np.float32(rng.uniform(8, 30))
            continue
        # The back of the hole is lit from above through its mouth: a bright lens in its lower part.
        lit = np.clip((1 - np.hypot(dx, dy - 0.7 * radius_px) / np.float32(1.05 * radius_px)) * 6, 0, 1)
        window *= 1 - inside * (np.float32(0.72) - np.float32(0.5) * lit)
        window += rim * np.float32(5) * np.sign(dy)
