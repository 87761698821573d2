# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Synthetic training tiles: rendered cracks, rendered hard negatives, and copy-paste augmentation with real cracks.

Copy-paste: on smooth concrete a tile divided by its surroundings gives the gain that a dark crack puts on the
brightness, without a mask. Multiplied onto brick, asphalt or render it gives a crack of real shape on a surface that no
labelled source shows cracked. Tiles are ``(T, T, 3)`` uint8 BGR.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.simulation.wall.crack_rendering import (
    crack_coverage,
    darken,
    random_crack_polyline,
    random_width_profile,
)

Tile = npt.NDArray[np.uint8]
Gain = npt.NDArray[np.uint8]
"""``(T, T)`` uint8; 255 leaves the brightness as it is, 0 makes it black."""

_LIT_EDGE_PROBABILITY = 0.25
_SURROUNDINGS_PX = 41
_NOISE_SIGMAS = 3.5
_LEAST_LOSS = 0.16
_LEAST_AREA = 0.004
_MOST_AREA = 0.25
_LEAST_EXTENT = 0.45


@dataclass(frozen=True)
class CrackRanges:
    """Ranges of rendered cracks; widths in pixels are log-uniform, the others uniform."""

    width_px: tuple[float, float] = (0.5, 16.0)
    contrast: tuple[float, float] = (0.08, 0.6)
    roughness: tuple[float, float] = (0.03, 0.25)
    width_variation: tuple[float, float] = (0.0, 0.35)
    broad_share: float = 0.0
    """Share of the cracks whose width is from ``broad_px`` instead."""
    broad_px: tuple[float, float] = (18.0, 60.0)
    bright_share: float = 0.0
    """Share of the cracks that are brighter than the surface, because they are filled with sand, lime or sealant."""
    least_signal: float = 0.1
    """Smallest product of contrast and width in pixels (at most 1): fainter cracks are invisible. On surfaces whose
    texture has a higher contrast, that contrast is used instead."""


def draw_crack(
    tile: Tile, rng: np.random.Generator, ranges: CrackRanges, path: npt.NDArray[np.float64] | None = None
) -> tuple[Tile, float]:
    """Render a crack across a tile, sometimes with one bright edge.

    Args:
        tile: ``(T, T, 3)`` uint8 BGR, an intact surface.
        rng: Random number generator.
        ranges: Ranges of width, contrast and shape.
        path: ``(N, 2)`` centreline points ``(x, y)``; a random path when None.

    Returns:
        The new tile, and the mean width of the crack inside it in pixels.
    """
    size = tile.shape[0]
    # A share of 0 takes no random number, so that the cracks of earlier evaluations stay the same.
    broad = ranges.broad_share > 0 and rng.random() < ranges.broad_share
    width_px = float(np.exp(rng.uniform(*np.log(ranges.broad_px if broad else ranges.width_px))))
    least_signal = max(ranges.least_signal, _texture_contrast(tile))
    least_contrast = min(max(ranges.contrast[0], least_signal / min(width_px, 1.0)), ranges.contrast[1])
    contrast = float(rng.uniform(least_contrast, ranges.contrast[1]))
    polyline = path
    if polyline is None:
        start, end = _ends_across(size, rng)
        polyline = random_crack_polyline(rng, start, end, float(rng.uniform(*ranges.roughness)), 5.0)
    widths = random_width_profile(rng, len(polyline), width_px, float(rng.uniform(*ranges.width_variation)))
    inside = ((polyline >= 0) & (polyline <= size - 1)).all(axis=1)
    mean_width_px = float(widths[inside].mean()) if inside.any() else width_px
    coverage = crack_coverage((size, size), polyline, widths)
    if ranges.bright_share > 0 and rng.random() < ranges.bright_share:
        return _fill(tile, coverage, contrast, rng), mean_width_px
    if rng.random() < _LIT_EDGE_PROBABILITY:
        tile = _light_edge(tile, coverage, width_px, rng)
    return darken(tile, coverage, contrast, rng), mean_width_px


def _fill(tile: Tile, coverage: npt.NDArray[np.float32], contrast: float, rng: np.random.Generator) -> Tile:
    """Fill a crack with a material that is brighter than the surface by ``contrast``, uneven and slightly tinted."""
    size = len(tile)
    patches = rng.normal(1.0, 0.25, (size // 12 + 2, size // 12 + 2)).astype(np.float32)
    uneven = np.clip(np.asarray(cv2.resize(patches, (size, size)), np.float32), 0.3, 1.5) * coverage
    tint = np.exp(rng.normal(0.0, 0.05, 3)).astype(np.float32)
    return np.clip(np.rint(tile * (1.0 + uneven[..., None] * contrast * tint)), 0, 255).astype(np.uint8)


def _light_edge(tile: Tile, coverage: npt.NDArray[np.float32], width_px: float, rng: np.random.Generator) -> Tile:
    """Brighten the surface along one side of a crack."""
    angle_rad = rng.uniform(0.0, 2 * np.pi)
    reach_px = float(np.clip(0.7 * width_px, 1.0, 4.0))
    shift = np.array([[1.0, 0.0, reach_px * np.cos(angle_rad)], [0.0, 1.0, reach_px * np.sin(angle_rad)]])
    edge = np.clip(cv2.warpAffine(coverage, shift, coverage.shape[::-1]) - coverage, 0.0, 1.0)
    return np.clip(tile * (1.0 + rng.uniform(0.05, 0.35) * edge[..., None]), 0, 255).astype(np.uint8)


def _texture_contrast(tile: Tile) -> float:
    """Standard deviation of the fine texture of a surface as a share of its brightness."""
    grey = cv2.cvtColor(tile, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return float((grey - cv2.GaussianBlur(grey, (0, 0), 3.0)).std() / max(float(grey.mean()), 1.0))


def _ends_across(size: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Ends of a crack: usually beyond the borders, sometimes one of them inside the tile."""
    angle_rad = rng.uniform(0.0, np.pi)
    centre = rng.uniform(0.25, 0.75, 2) * size
    direction = np.array([np.cos(angle_rad), np.sin(angle_rad)])
    forward = rng.uniform(0.15, 0.5) * size if rng.random() < 0.2 else size
    return centre - direction * size, centre + direction * forward


def draw_hard_negative(tile: Tile, rng: np.random.Generator) -> Tile:
    """Render a hard negative: a formwork joint, a step between panels, a tie hole or bug holes."""
    kind = rng.choice(["joint", "joint", "step", "tie_hole", "bug_holes"])
    drawers = {"joint": _draw_joint, "step": _draw_step, "tie_hole": _draw_tie_hole, "bug_holes": _draw_bug_holes}
    return drawers[str(kind)](tile, rng)


def _line_across(size: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Ends of a straight line across the tile, mostly close to horizontal or vertical."""
    angle_rad = rng.integers(4) * np.pi / 2 + (rng.normal(0.0, 0.06) if rng.random() < 0.7 else rng.uniform(0, np.pi))
    centre = rng.uniform(0.1, 0.9, 2) * size
    direction = np.array([np.cos(angle_rad), np.sin(angle_rad)])
    return np.stack([centre - 2 * size * direction, centre + 2 * size * direction])


def _draw_joint(tile: Tile, rng: np.random.Generator) -> Tile:
    """Render a groove of constant width, often with a bright ridge beside it; sometimes two that cross."""
    size = tile.shape[0]
    result = tile.astype(np.float32)
    for _ in range(1 if rng.random() < 0.8 else 2):
        line = _line_across(size, rng)
        width_px = float(np.exp(rng.uniform(np.log(1.0), np.log(12.0))))
        groove = crack_coverage((size, size), line, width_px)
        result *= 1.0 - rng.uniform(0.1, 0.6) * groove[..., None]
        if rng.random() < 0.5:
            along = line[1] - line[0]
            normal = np.array([-along[1], along[0]]) / np.linalg.norm(along)
            ridge = crack_coverage((size, size), line + normal * width_px, rng.uniform(0.7, 3.0))
            result *= 1.0 + rng.uniform(0.05, 0.3) * ridge[..., None]
    return np.clip(result, 0, 255).astype(np.uint8)


def _draw_step(tile: Tile, rng: np.random.Generator) -> Tile:
    """Render two panels of different brightness that meet in a straight edge."""
    size = tile.shape[0]
    (x0, y0), (x1, y1) = _line_across(size, rng)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    distance = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / np.hypot(x1 - x0, y1 - y0)
    gain = 1.0 + rng.uniform(-0.25, 0.25) * np.clip(distance / rng.uniform(0.7, 3.0) + 0.5, 0.0, 1.0)
    return np.clip(tile * gain[..., None].astype(np.float32), 0, 255).astype(np.uint8)


def _disc(size: int, centre: npt.NDArray[np.float64], radius_px: float) -> npt.NDArray[np.float32]:
    """Anti-aliased disc, ``(T, T)`` float32 in 0..1."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    distance = np.hypot(x - np.float32(centre[0]), y - np.float32(centre[1]))
    return np.clip(radius_px - distance + 0.5, 0.0, 1.0)


def _draw_tie_hole(tile: Tile, rng: np.random.Generator) -> Tile:
    """Render a round hole with a bright rim."""
    size = tile.shape[0]
    centre, radius_px = rng.uniform(0.1, 0.9, 2) * size, float(rng.uniform(5.0, 28.0))
    hole = _disc(size, centre, radius_px)
    rim = np.clip(_disc(size, centre + rng.uniform(-2, 2, 2), radius_px + rng.uniform(1.0, 4.0)) - hole, 0.0, 1.0)
    gain = 1.0 - rng.uniform(0.2, 0.75) * hole + rng.uniform(-0.15, 0.25) * rim
    return np.clip(tile * gain[..., None].astype(np.float32), 0, 255).astype(np.uint8)


def _draw_bug_holes(tile: Tile, rng: np.random.Generator) -> Tile:
    """Render the small air voids of concrete that was cast against formwork."""
    size = tile.shape[0]
    voids = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(3, 20))):
        centre = np.rint(rng.uniform(0, size, 2) * 16).astype(int).tolist()
        radius = round(float(np.exp(rng.uniform(0.0, np.log(7.0)))) * 16)
        cv2.circle(voids, centre, radius, float(rng.uniform(0.3, 1.0)), -1, cv2.LINE_AA, 4)
    soft = np.asarray(cv2.GaussianBlur(voids, (0, 0), float(rng.uniform(0.4, 1.2))), np.float32)
    return np.clip(tile * (1.0 - rng.uniform(0.2, 0.6) * soft[..., None]), 0, 255).astype(np.uint8)


def crack_gain(tile: Tile) -> Gain | None:
    """Extract the crack of a tile as a gain.

    Returns:
        ``(T, T)`` uint8, or None if no single crack stands out clearly from a smooth surface.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(tile, cv2.COLOR_BGR2GRAY), (0, 0), 0.6)
    surroundings = cv2.medianBlur(grey, _SURROUNDINGS_PX).astype(np.float32)
    loss = 1.0 - grey.astype(np.float32) / np.maximum(surroundings, 1.0)
    noise = 1.4826 * float(np.median(np.abs(loss)))
    threshold = max(_LEAST_LOSS, _NOISE_SIGMAS * noise)
    dark = (loss > threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    if count < 2:
        return None
    extents = np.maximum(stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT])
    kept = 1 + np.nonzero(extents >= 0.12 * len(tile))[0]
    crack = np.isin(labels, kept)
    if extents.max() < _LEAST_EXTENT * len(tile) or not _LEAST_AREA <= crack.mean() <= _MOST_AREA:
        return None
    near = cv2.GaussianBlur(cv2.dilate(crack.astype(np.float32), np.ones((3, 3), np.uint8)), (0, 0), 0.8)
    gain = 1.0 - np.clip(loss, 0.0, 1.0) * np.clip(near * 1.5, 0.0, 1.0)
    return np.clip(np.rint(gain * 255), 0, 255).astype(np.uint8)


def paste_crack(tile: Tile, gain: Gain, rng: np.random.Generator) -> Tile:
    """Paste an extracted crack onto an intact tile: rotated, scaled by 0.5-1.6, shifted, weaker or stronger.

    Args:
        tile: ``(T, T, 3)`` uint8 BGR.
        gain: ``(T, T)`` uint8 from ``crack_gain``.
        rng: Random number generator.
    """
    size = tile.shape[0]
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(1.6))))
    centre = (size - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), float(rng.uniform(0, 360)), scale)
    matrix[:, 2] += rng.uniform(-0.15, 0.15, 2) * size
    moved = cv2.warpAffine(gain, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)
    strength = rng.uniform(0.5, 1.3)
    factor = np.power(np.maximum(moved.astype(np.float32), 8.0) / 255.0, np.float32(strength))
    return np.clip(np.rint(tile * factor[..., None]), 0, 255).astype(np.uint8)
