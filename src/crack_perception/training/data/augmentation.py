# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Random augmentation of a tile: geometry, light, surface, optics and sensor, the same for both classes.

All tiles are ``(T, T, 3)`` uint8 BGR.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Tile = npt.NDArray[np.uint8]

SCALE_LIMITS = (0.7, 1.7)
_LOG_SCALE_SIGMA = 0.25
_ALIASING_SCALE = 0.75
_GREY_PROBABILITY = 0.1
_SWAP_PROBABILITY = 0.15


@dataclass(frozen=True)
class Interference:
    """Probability of each disturbance of a view by light, surface, optics and sensor; 0 disables it."""

    stain: float = 0.12
    shadow: float = 0.15
    blur: float = 0.2
    noise: float = 0.2
    jpeg: float = 0.2


USUAL_INTERFERENCE = Interference()


def augment(
    tile: Tile,
    rng: np.random.Generator,
    scale_limits: tuple[float, float] = SCALE_LIMITS,
    view_px: int | None = None,
    interference: Interference = USUAL_INTERFERENCE,
) -> tuple[Tile, float]:
    """Make one random view of a tile: geometry, light, colour, optics, sensor and compression.

    Args:
        tile: ``(T, T, 3)`` uint8 BGR.
        rng: Random number generator.
        scale_limits: Smallest and largest magnification; hairline cracks vanish below 0.7, broad cracks do not.
        view_px: Side of the view [px]; the side of the tile when None.
        interference: Probability of each disturbance.

    Returns:
        The view, and the scale by which crack widths in it are multiplied.
    """
    view, scale = move(tile, rng, scale_limits, view_px)
    before = [(interference.stain, stain), (interference.shadow, shadow)]
    after = [(interference.blur, blur), (interference.noise, add_noise), (interference.jpeg, compress)]
    view = _at_random(view, before, rng)
    view = recolour(view, rng)
    view = _at_random(view, after, rng)
    return view, scale


def _at_random(
    view: Tile,
    steps: Sequence[tuple[float, Callable[[Tile, np.random.Generator], Tile]]],
    rng: np.random.Generator,
) -> Tile:
    """Apply each step with its probability."""
    for probability, step in steps:
        if rng.random() < probability:
            view = step(view, rng)
    return view


def move(
    tile: Tile,
    rng: np.random.Generator,
    scale_limits: tuple[float, float] = SCALE_LIMITS,
    view_px: int | None = None,
) -> tuple[Tile, float]:
    """Flip and turn a tile by quarter turns; in two of three cases also rotate, scale and shift it a little.

    Borders are filled by reflection.

    Returns:
        The view (a random part of the tile where ``view_px`` is smaller) and its scale.
    """
    view = np.rot90(tile, int(rng.integers(4)))
    if rng.random() < 0.5:
        view = view[:, ::-1]
    size = tile.shape[0]
    side = view_px or size
    if rng.random() < 1 / 3:
        left, top = (int(rng.integers(max(size - side, 0) + 1)) for _ in range(2))
        return np.ascontiguousarray(view[top : top + side, left : left + side]), 1.0
    scale = float(np.clip(np.exp(rng.normal(0.0, _LOG_SCALE_SIGMA)), *scale_limits))
    angle_deg = float(rng.normal(0.0, 6.0))
    centre = (size - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), angle_deg, scale)
    matrix[:, 2] += rng.uniform(-0.08, 0.08, 2) * size - (size - side) / 2
    view = np.ascontiguousarray(view)
    if scale < _ALIASING_SCALE:
        view = np.asarray(cv2.GaussianBlur(view, (0, 0), 0.4 / scale), np.uint8)
    warped = cv2.warpAffine(view, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8), scale


def recolour(tile: Tile, rng: np.random.Generator) -> Tile:
    """Change brightness, contrast, gamma and colour cast; sometimes convert to grey or swap red and blue."""
    levels = np.arange(256, dtype=np.float32) / 255.0
    curve = levels ** np.exp(rng.normal(0.0, 0.2))
    curve = 0.5 + (curve - 0.5) * np.exp(rng.normal(0.0, 0.2)) + rng.normal(0.0, 0.08)
    cast = np.exp(rng.normal(0.0, 0.04, 3)).astype(np.float32)
    table = np.clip(curve[:, None] * cast * 255.0, 0, 255).astype(np.uint8)
    view = cv2.LUT(tile, table[None])
    if rng.random() < _SWAP_PROBABILITY:
        view = np.ascontiguousarray(view[..., ::-1])
    if rng.random() < _GREY_PROBABILITY:
        view = cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(view, np.uint8)


def shadow(tile: Tile, rng: np.random.Generator) -> Tile:
    """Add the shadow of a straight edge, of poles and cables, or of leaves, with a penumbra of 0.5-30 px."""
    size = tile.shape[0]
    distance_px = _SHADOW_SHAPES[int(rng.integers(len(_SHADOW_SHAPES)))](size, rng)
    penumbra_px = _log_uniform(rng, 0.5, 30.0)
    share = np.clip(distance_px / penumbra_px + 0.5, 0.0, 1.0)[..., None]
    # The sky lights a shadow, so it is a little bluer.
    darkest = rng.uniform(0.35, 0.85) ** np.sort(rng.uniform(0.85, 1.15, 3))
    return _scale(tile, darkest + (1.0 - darkest) * share)


def stain(tile: Tile, rng: np.random.Generator) -> Tile:
    """Add a smooth blotch, darker or lighter, slightly coloured."""
    size = tile.shape[0]
    coarse = int(rng.integers(3, 10))
    field = rng.normal(0.0, 1.0, (coarse, coarse)).astype(np.float32)
    field = np.asarray(cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    edge = float(np.exp(rng.uniform(np.log(0.05), np.log(1.5))))
    mask = 1.0 / (1.0 + np.exp(np.clip(-(field - rng.uniform(0.0, 1.0)) / edge, -30, 30)))
    strength = rng.uniform(-0.2, 0.5) * (1.0 + rng.normal(0.0, 0.1, 3))
    return _scale(tile, 1.0 - mask[..., None] * strength)


def blur(tile: Tile, rng: np.random.Generator) -> Tile:
    """Add motion blur of 2-7 px or defocus of sigma 0.4-1.6 px."""
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(tile, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
    length_px, angle_rad = rng.uniform(2.0, 7.0), rng.uniform(0.0, np.pi)
    kernel = np.zeros((9, 9), np.float32)
    half = np.array([np.cos(angle_rad), np.sin(angle_rad)]) * length_px / 2
    start, end = (np.rint((4 + sign * half) * 16).astype(int) for sign in (-1, 1))
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0, 1, cv2.LINE_AA, 4)
    kernel[4, 4] = max(float(kernel[4, 4]), 1e-3)
    return np.asarray(cv2.filter2D(tile, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101), np.uint8)


def add_noise(tile: Tile, rng: np.random.Generator) -> Tile:
    """Add Gaussian sensor noise of sigma 1-12 grey levels."""
    sigma = float(rng.uniform(1.0, 12.0))
    noise = rng.standard_normal(tile.shape, dtype=np.float32) * sigma
    return np.clip(np.rint(tile + noise), 0, 255).astype(np.uint8)


def compress(tile: Tile, rng: np.random.Generator) -> Tile:
    """Compress as JPEG of quality 35-95."""
    _, encoded = cv2.imencode(".jpg", tile, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def _scale(tile: Tile, gain: npt.NDArray[np.floating]) -> Tile:
    gain = gain if gain.ndim == 3 else gain[..., None]
    return np.clip(tile * gain.astype(np.float32), 0, 255).astype(np.uint8)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _distance_to_bars(size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Signed distance [px] of every pixel to one to three poles or cables, each of which may be repeated."""
    distance_px = np.full((size, size), np.inf, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        across_px = _signed_distance_to_line(size, rng)
        width_px = _log_uniform(rng, 6.0, 60.0)
        if rng.random() < 0.3:
            pitch_px = width_px * rng.uniform(1.7, 6.0)
            across_px = np.mod(across_px + pitch_px / 2, pitch_px) - pitch_px / 2
        np.minimum(distance_px, np.abs(across_px) - width_px / 2, out=distance_px)
    return distance_px


def _distance_to_blotches(size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Approximate signed distance [px] of every pixel to irregular blotches, as of branches and leaves."""
    coarse = int(rng.integers(4, 16))
    field = rng.normal(0.0, 1.0, (coarse, coarse)).astype(np.float32)
    field = np.asarray(cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    return (field - np.float32(rng.uniform(-0.8, 0.8))) * np.float32(size / coarse)


def _signed_distance_to_line(size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Signed distance [px] of every pixel to a random line through the middle half of the tile."""
    angle_rad = rng.uniform(0.0, 2 * np.pi)
    anchor = rng.uniform(0.25, 0.75, 2) * size
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return np.asarray((x - anchor[0]) * np.cos(angle_rad) + (y - anchor[1]) * np.sin(angle_rad), np.float32)


_SHADOW_SHAPES = (_signed_distance_to_line, _distance_to_bars, _distance_to_blotches)
