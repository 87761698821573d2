# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Interference of fixed strength for test tiles: definitions of "under shadow", "under motion blur" and others.

These disturbances differ from those of the training (``augmentation.py``): each has one strength, and its shapes are
others (railings and leaves instead of half-planes, runs of water and rust instead of blotches, a disc instead of a
Gaussian, noise that grows with the signal). Shadow, stain and low contrast are those of the paper (section 4.2.2); the
others occur on drones.

All tiles are ``(T, T, 3)`` uint8 BGR; lengths are pixels of the tile.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Tile = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]

PAPER_KINDS = ("shadow", "stain", "low_contrast")

_UMBRA_BGR = (0.50, 0.44, 0.40)
_PENUMBRA_PX = 2.5
_WATER_LOSS = 0.28
_RUST_BGR = (0.45, 0.66, 0.86)
_CONTRAST_KEPT = 0.35
_MOTION_PX = 5.0
_DEFOCUS_RADIUS_PX = 2.0
_JPEG_QUALITY = 25
_NOISE_AT_BLACK, _NOISE_AT_WHITE = 5.0, 14.0
_UNDER_EXPOSED, _OVER_EXPOSED = 2.0**-1.7, 2.0**0.9
_GAMMA = 2.2
_FINE = 8


def shadow(tile: Tile, rng: np.random.Generator) -> Tile:
    """Add the shadow of a railing (parallel bars and a rail) or of foliage: many edges with a penumbra of 2.5 px.

    The umbra keeps 40-50 % of the light, most in the blue channel because the sky lights it.
    """
    shade = _railing(tile.shape[0], rng) if rng.random() < 0.5 else _foliage(tile.shape[0], rng)
    soft = np.asarray(cv2.GaussianBlur(shade, (0, 0), _PENUMBRA_PX), np.float32)
    return _times(tile, 1.0 - soft[..., None] * (1.0 - np.array(_UMBRA_BGR, np.float32)))


def _railing(size: int, rng: np.random.Generator) -> Field:
    """Shade ``(T, T)`` of bars 10-22 px wide, two to four widths apart, with one rail across."""
    angle_rad, width_px = rng.uniform(0.0, np.pi), rng.uniform(10.0, 22.0)
    pitch_px = width_px * rng.uniform(2.0, 4.0)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    across = x * np.float32(np.cos(angle_rad)) + y * np.float32(np.sin(angle_rad))
    along = y * np.float32(np.cos(angle_rad)) - x * np.float32(np.sin(angle_rad))
    bars = np.mod(across - rng.uniform(0.0, pitch_px), pitch_px) < width_px
    middle_px = (size - 1) / 2 * (np.cos(angle_rad) - np.sin(angle_rad))
    rail = np.abs(along - middle_px - rng.uniform(-0.3, 0.3) * size) < 0.7 * width_px
    return np.asarray(bars | rail, np.float32)


def _foliage(size: int, rng: np.random.Generator) -> Field:
    """Shade ``(T, T)`` of leaves 24-70 px long over about a third of the tile."""
    shade = np.zeros((size, size), np.float32)
    middle = rng.uniform(0.2, 0.8, 2) * size
    for _ in range(int(rng.integers(12, 20))):
        centre = rng.normal(middle, 0.28 * size).round().astype(int).tolist()
        length_px = rng.uniform(24.0, 70.0)
        axes = [round(length_px / 2), round(length_px * rng.uniform(0.15, 0.25))]
        cv2.ellipse(shade, centre, axes, float(rng.uniform(0, 180)), 0.0, 360.0, 1.0, -1, cv2.LINE_AA)
    return shade


def stain(tile: Tile, rng: np.random.Generator) -> Tile:
    """Add runs of water (28 % darker) or of rust: irregular stripes that taper downwards."""
    size = tile.shape[0]
    rust = rng.random() < 0.5
    wet = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 3) if rust else rng.integers(3, 7))):
        np.maximum(wet, _run(size, rng), out=wet)
    patches = rng.normal(0.85, 0.15, (size // 16 + 1, size // 16 + 1)).astype(np.float32)
    strength = wet * np.clip(np.asarray(cv2.resize(patches, (size, size)), np.float32), 0.4, 1.0)
    colour = np.array(_RUST_BGR if rust else (1.0 - _WATER_LOSS,) * 3, np.float32)
    return _times(tile, 1.0 - strength[..., None] * (1.0 - colour))


def _run(size: int, rng: np.random.Generator) -> Field:
    """Strength ``(T, T)`` in 0..1 of one run of a liquid: 8-45 px wide at its top, with edges 2-6 px soft."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    top_px, length_px = rng.uniform(-0.5, 0.3) * size, rng.uniform(0.7, 1.6) * size
    knots = max(2, size // 32)
    wander = np.interp(np.arange(size), np.linspace(0, size, knots), np.cumsum(rng.normal(0.0, 3.0, knots)))
    middle = (rng.uniform(0.0, 1.0) * size + wander).astype(np.float32)[:, None]
    share = np.clip((y - top_px) / length_px, 0.0, 1.0)
    half_px = rng.uniform(4.0, 22.0) * (1.0 - 0.7 * share)
    soft_px = rng.uniform(2.0, 6.0)
    inside = np.clip((half_px - np.abs(x - middle)) / soft_px + 0.5, 0.0, 1.0)
    started = np.clip((y - top_px) / soft_px, 0.0, 1.0)
    return np.asarray(inside * started * (1.0 - share**2), np.float32)


def low_contrast(tile: Tile, rng: np.random.Generator) -> Tile:
    """Reduce the contrast to 35 % and move the mean halfway to a random light grey, as haze does."""
    levels = tile.astype(np.float32)
    mean = levels.mean(axis=(0, 1))
    veil = 0.5 * (mean + rng.uniform(130.0, 200.0))
    return _as_tile(veil + _CONTRAST_KEPT * (levels - mean))


def motion_blur(tile: Tile, rng: np.random.Generator) -> Tile:
    """Blur by a camera motion of 5 px in a straight line of random direction."""
    angle_rad = rng.uniform(0.0, np.pi)
    side = 2 * int(np.ceil(_MOTION_PX / 2)) + 1
    offsets = np.linspace(-0.5, 0.5, 16 * _FINE) * _MOTION_PX
    kernel = np.zeros((side, side), np.float32)
    x, y = side // 2 + offsets * np.cos(angle_rad), side // 2 + offsets * np.sin(angle_rad)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (1.0 - np.abs(x - left - dx)) * (1.0 - np.abs(y - top - dy))
        inside = (left + dx < side) & (top + dy < side)
        np.add.at(kernel, (top[inside] + dy, left[inside] + dx), weight[inside])
    return _filtered(tile, kernel)


def defocus(tile: Tile, rng: np.random.Generator) -> Tile:
    """Blur by a lens out of focus: a disc of 2 px radius; ``rng`` is not used."""
    reach = int(np.ceil(_DEFOCUS_RADIUS_PX))
    side = (2 * reach + 1) * _FINE
    y, x = (np.mgrid[:side, :side] + 0.5) / _FINE - reach - 0.5
    disc = (np.hypot(x, y) <= _DEFOCUS_RADIUS_PX).astype(np.float32)
    return _filtered(tile, disc.reshape(2 * reach + 1, _FINE, 2 * reach + 1, _FINE).sum(axis=(1, 3)))


def jpeg(tile: Tile, rng: np.random.Generator) -> Tile:
    """Compress as JPEG of quality 25 with the 8-px blocks at a random offset, as in a crop of a video frame."""
    left, top = rng.integers(0, 8, 2)
    framed = cv2.copyMakeBorder(tile, int(top), 8, int(left), 8, cv2.BORDER_REFLECT_101)
    _, encoded = cv2.imencode(".jpg", framed, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[top : top + tile.shape[0], left : left + tile.shape[1]])


def noise(tile: Tile, rng: np.random.Generator) -> Tile:
    """Add sensor noise of a high ISO: its sigma grows from 5 grey levels at black to 14 at white."""
    levels = tile.astype(np.float32)
    variance = _NOISE_AT_BLACK**2 + levels / 255.0 * (_NOISE_AT_WHITE**2 - _NOISE_AT_BLACK**2)
    return _as_tile(levels + np.sqrt(variance) * rng.standard_normal(tile.shape, dtype=np.float32))


def exposure(tile: Tile, rng: np.random.Generator) -> Tile:
    """Underexpose by 1.7 stops or overexpose by 0.9 stops, in linear light, with clipping."""
    gain = _UNDER_EXPOSED if rng.random() < 0.5 else _OVER_EXPOSED
    return _times(tile, gain ** (1.0 / _GAMMA))


INTERFERENCES: dict[str, Callable[[Tile, np.random.Generator], Tile]] = {
    "shadow": shadow,
    "stain": stain,
    "low_contrast": low_contrast,
    "motion_blur": motion_blur,
    "defocus": defocus,
    "jpeg": jpeg,
    "noise": noise,
    "exposure": exposure,
}


def interfere(tile: Tile, kind: str, seed: int) -> Tile:
    """Apply one kind of interference to a tile; the same tile, kind and seed give the same result.

    Args:
        tile: ``(T, T, 3)`` uint8 BGR; it is not changed.
        kind: A key of ``INTERFERENCES``.
        seed: Seed of shapes and places; strengths are fixed.
    """
    entropy = [seed, zlib.crc32(kind.encode()), zlib.crc32(np.ascontiguousarray(tile).tobytes())]
    return INTERFERENCES[kind](tile, np.random.default_rng(entropy))


def _as_tile(levels: npt.NDArray[np.floating]) -> Tile:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _times(tile: Tile, gain: npt.NDArray[np.floating] | float) -> Tile:
    return _as_tile(tile.astype(np.float32) * np.asarray(gain, np.float32))


def _filtered(tile: Tile, kernel: npt.NDArray[np.floating]) -> Tile:
    weights = (kernel / kernel.sum()).astype(np.float32)
    return np.asarray(cv2.filter2D(tile, -1, weights, borderType=cv2.BORDER_REFLECT_101), np.uint8)
