# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Draw cracks of exactly known width with anti-aliasing, for training, tests and simulated walls.

Coordinates are pixels ``(x, y)``; the centre of the first pixel is ``(0, 0)``. All randomness comes from the
``numpy.random.Generator`` of the caller.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_RAGGED_EDGE_PX = 0.25
_RAGGED_SCALE_PX = 2.0
_TINT_SIGMA = 0.03


def random_crack_polyline(
    rng: np.random.Generator,
    start_xy: npt.ArrayLike,
    end_xy: npt.ArrayLike,
    roughness: float,
    step: float,
) -> npt.NDArray[np.float64]:
    """Return a fractal crack path by midpoint displacement (Fournier, Fussell & Carpenter 1982).

    Args:
        rng: Random generator.
        start_xy: First point ``(x, y)``, in any unit.
        end_xy: Last point.
        roughness: Standard deviation of the sideways displacement of a midpoint as a share of its segment's length
            (0 is a straight line, 0.1 a smooth crack, 0.3 a jagged one).
        step: Segments are halved until their undisplaced length is at most this.

    Returns:
        ``(N, 2)`` float64 points from start to end, N = 2^k + 1.
    """
    points = np.array([start_xy, end_xy], np.float64)
    length = float(np.linalg.norm(points[1] - points[0]))
    while length > step:
        along = np.diff(points, axis=0)
        normals = np.column_stack([-along[:, 1], along[:, 0]])
        offsets = rng.normal(0.0, roughness, len(along))[:, None] * normals
        finer = np.empty((2 * len(points) - 1, 2))
        finer[::2] = points
        finer[1::2] = (points[:-1] + points[1:]) / 2 + offsets
        points = finer
        length /= 2
    return points


def random_width_profile(
    rng: np.random.Generator, vertices: int, mean_width_px: float, variation: float
) -> npt.NDArray[np.float64]:
    """Return widths that vary slowly along a crack, with a mean of exactly ``mean_width_px``.

    Args:
        rng: Random generator.
        vertices: Number of polyline points.
        mean_width_px: Mean over the vertices.
        variation: Standard deviation of the logarithm of the width (0 gives a constant width).

    Returns:
        ``(vertices,)`` float64 widths in pixels, all positive.
    """
    knots = max(2, vertices // 8)
    wander = np.interp(
        np.linspace(0, knots - 1, vertices),
        np.arange(knots),
        rng.normal(0.0, variation, knots),
    )
    widths = np.exp(wander)
    return np.asarray(mean_width_px * widths / widths.mean(), np.float64)


def crack_coverage(
    shape: tuple[int, int],
    polyline_px: npt.ArrayLike,
    width_px: npt.ArrayLike,
    supersample: int = 4,
) -> npt.NDArray[np.float32]:
    """Return the share of every pixel's area that a stroke covers.

    A sample of the supersampled grid is covered by the exact overlap of the stroke's cross-section with the sample's
    own width, so that even strokes much thinner than a pixel keep their area (width times length).

    Args:
        shape: ``(height, width)`` of the result.
        polyline_px: ``(N, 2)`` points, N >= 2; they may lie outside the image.
        width_px: Full width of the stroke: one number, or one for every point (linear in between).
        supersample: Samples per pixel side.

    Returns:
        ``(H, W)`` float32 in 0..1.
    """
    points = np.asarray(polyline_px, np.float64)
    half_widths = np.broadcast_to(np.asarray(width_px, np.float64) / 2, len(points))
    coverage = np.zeros(shape, np.float32)
    reach = float(half_widths.max()) + 1.0
    x0, y0 = np.maximum(np.floor(points.min(axis=0) - reach).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0) + reach).astype(int) + 1, [shape[1], shape[0]])
    if x0 >= x1 or y0 >= y1:
        return coverage
    box = np.zeros(((y1 - y0) * supersample, (x1 - x0) * supersample), np.float32)
    # Sample centres: pixel centre 0 spans -0.5 .. 0.5.
    samples = (points - [x0, y0] + 0.5) * supersample - 0.5
    for a, b, half_a, half_b in zip(
        samples[:-1],
        samples[1:],
        half_widths[:-1] * supersample,
        half_widths[1:] * supersample,
        strict=True,
    ):
        _stamp_segment(box, a, b, float(half_a), float(half_b))
    height, width = y1 - y0, x1 - x0
    area_mean = box.reshape(height, supersample, width, supersample).mean(axis=(1, 3))
    coverage[y0:y1, x0:x1] = area_mean
    return coverage


def _stamp_segment(
    canvas: npt.NDArray[np.float32],
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    half_a: float,
    half_b: float,
) -> None:
    """Merge one tapered capsule into ``canvas`` (maximum), in samples."""
    reach = max(half_a, half_b) + 1.0
    low = np.maximum(np.floor(np.minimum(a, b) - reach).astype(int), 0)
    high = np.minimum(np.ceil(np.maximum(a, b) + reach).astype(int) + 1, canvas.shape[::-1])
    if (low >= high).any():
        return
    x = np.arange(low[0], high[0], dtype=np.float32)[None, :] - np.float32(a[0])
    y = np.arange(low[1], high[1], dtype=np.float32)[:, None] - np.float32(a[1])
    dx, dy = (b - a).astype(np.float32)
    squared_length = max(float(dx * dx + dy * dy), 1e-12)
    along = np.clip((x * dx + y * dy) / squared_length, 0.0, 1.0)
    distance = np.hypot(x - along * dx, y - along * dy)
    half = half_a + along * (half_b - half_a)
    overlap = np.minimum(distance + half, 0.5) - np.maximum(distance - half, -0.5)
    view = canvas[low[1] : high[1], low[0] : high[0]]
    np.maximum(view, np.clip(overlap, 0.0, 1.0), out=view)


def darken(
    image: npt.NDArray[np.uint8],
    coverage: npt.NDArray[np.float32],
    contrast: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """Blend a crack into an image: darker than the surface around it, slightly ragged and tinted.

    Args:
        image: ``(H, W, 3)`` BGR, uint8.
        coverage: ``(H, W)`` float32 in 0..1, from :func:`crack_coverage`.
        contrast: Share of the surface's brightness lost where the coverage is 1 (0 invisible, 1 black).
        rng: Random generator.

    Returns:
        A new ``(H, W, 3)`` uint8 image.
    """
    ragged = _displace(coverage, rng)
    loss = np.clip(contrast * (1.0 + rng.normal(0.0, _TINT_SIGMA, 3)), 0.0, 1.0).astype(np.float32)
    blended = image.astype(np.float32) * (1.0 - ragged[..., None] * loss)
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8)


def _displace(coverage: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Shift the edges by a smooth random field of about a quarter of a pixel; the mean width stays."""
    rows, columns = np.nonzero(coverage)
    if rows.size == 0:
        return coverage
    top, bottom = (
        max(int(rows.min()) - 3, 0),
        min(int(rows.max()) + 4, coverage.shape[0]),
    )
    left, right = (
        max(int(columns.min()) - 3, 0),
        min(int(columns.max()) + 4, coverage.shape[1]),
    )
    inner = coverage[top:bottom, left:right]
    height, width = inner.shape
    coarse = (
        max(2, round(height / _RAGGED_SCALE_PX)),
        max(2, round(width / _RAGGED_SCALE_PX)),
    )
    shift_x, shift_y = (
        cv2.resize(rng.normal(0.0, _RAGGED_EDGE_PX, coarse).astype(np.float32), (width, height)) for _ in range(2)
    )
    grid_x, grid_y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(
        inner,
        grid_x + shift_x,
        grid_y + shift_y,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    displaced = coverage.copy()
    displaced[top:bottom, left:right] = moved
    return displaced
