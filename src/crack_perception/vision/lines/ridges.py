# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Dark lines in an image: sub-pixel ridge points over several scales (Steger 1998, IEEE PAMI 20(2), 113-125)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.scratch import Scratch

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]
Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]

# Smoothing at every level of the pyramid, in its own pixels. A bar answers most at half its width (see `response`),
# so that level 0 suits widths about 2.4 px, level 1 about 5 px, level 2 about 10 px.
LEVEL_SIGMA_PX = 1.2
_KERNEL_PX = 9
# Responses below this many standard deviations of the surface's own responses are ignored.
_LOWEST_SNR = 3.0
# Hysteresis: connected pixels need one this clear, and what is smaller than a line's shortest piece is a pore.
_CLEAR_SNR, _CLEAR_BIT = 5.0, 2
_LEAST_EXTENT_PX = 14
# Quantisation alone makes answers of about a tenth of a grey level on a flat surface.
_LEAST_NOISE = 0.15
_NOISE_STRIDE = 5
# OpenCV looks up points in pictures of points, whose sides it limits.
_ROW_OF_POINTS = 128
# A line crosses every row of pixels (every column if it is a flat one) once; its point there belongs to the pixel in
# whose middle it is, or nearly is, or noise would make holes.
_REACH_PX = 0.55


@dataclass(frozen=True, eq=False)
class RidgePoints:
    """Points on the centre lines of dark lines, at most one a pixel.

    Attributes:
        pixels: (N, 2) int32 pixel (x, y) that holds the point.
        points_px: (N, 2) float32 sub-pixel position (x, y).
        tangents: (N, 2) float32 unit direction along the line, of either sense.
        snr: (N,) float32 answer of the ridge filter in deviations of the surface's answers.
        scale_px: (N,) float32 smoothing at which the answer was strongest: about half the line's width.
    """

    pixels: Indices
    points_px: Floats
    tangents: Floats
    snr: Floats
    scale_px: Floats


@dataclass(frozen=True, eq=False)
class Level:
    """The image at one scale, at its own resolution.

    Attributes:
        smooth: (H, W) smoothed brightness.
        answer: (H, W) its scaled Laplacian.
        noise: Robust standard deviation of the answer.
    """

    smooth: Plane
    answer: Plane
    noise: float


def smoothed_levels(grey: Plane, mask: Mask, levels: int, scratch: Scratch) -> list[Level]:
    """An image at several scales, finest first; its sides are rounded up to whole pixels of the coarsest.

    Args:
        grey: (H, W) float32 brightness.
        mask: (H, W) uint8, 255 inside the searched area, 0 outside.
        levels: Number of scales, one octave apart, at least 1.
        scratch: Holds the levels.
    """
    block = 2**levels
    bottom, right = -grey.shape[0] % block, -grey.shape[1] % block
    if bottom or right:
        grey = np.asarray(cv2.copyMakeBorder(grey, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.float32)
    some = mask[::_NOISE_STRIDE, ::_NOISE_STRIDE]
    inside = np.flatnonzero(some)
    pyramid: list[Level] = []
    for power in range(levels):
        rows, columns = grey.shape[0] >> min(power, 1), grey.shape[1] >> min(power, 1)
        if power:
            half = scratch.array(f"half {power}", (rows, columns), np.float32)
            grey = np.asarray(cv2.resize(grey, (columns, rows), dst=half, interpolation=cv2.INTER_AREA))
        smooth, answer = (
            scratch.array(f"{what} {power}", (rows, columns), np.float32) for what in ("smooth", "answer")
        )
        kernel = (_KERNEL_PX, _KERNEL_PX)
        cv2.GaussianBlur(grey, kernel, LEVEL_SIGMA_PX, dst=smooth, borderType=cv2.BORDER_REFLECT_101)
        cv2.Laplacian(smooth, cv2.CV_32F, dst=answer, ksize=1, scale=LEVEL_SIGMA_PX**2)
        pyramid.append(Level(smooth, answer, _deviation(_sampled(answer, some.shape, power).ravel().take(inside))))
    return pyramid


def _sampled(answer: Plane, shape: tuple[int, ...], power: int) -> Plane:
    """Answers of a level at every few pixels of the image."""
    if not power:
        return answer[::_NOISE_STRIDE, ::_NOISE_STRIDE][: shape[0], : shape[1]]
    step = 2.0**power
    stride, offset = _NOISE_STRIDE / step, 0.5 / step - 0.5
    to_level = np.array([[stride, 0.0, offset], [0.0, stride, offset]])
    sampling = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (shape[1], shape[0])
    return np.asarray(
        cv2.warpAffine(answer, to_level, size, flags=sampling, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def _deviation(sample: Floats) -> float:
    """A robust standard deviation: cracks take little of the area."""
    if not sample.size:
        return _LEAST_NOISE
    middle = len(sample) // 2
    return max(float(np.partition(np.abs(sample), middle)[middle]) / 0.6745, _LEAST_NOISE)


def answering_pixels(pyramid: list[Level], mask: Mask) -> tuple[Indices, Indices]:
    """Columns and rows of the pixels inside the mask that answer at any scale, without pores and specks."""
    answering = _answering(pyramid)
    rows, columns = mask.shape
    inside = answering[:rows, :columns]
    np.bitwise_and(inside, mask, out=inside)
    answering[rows:] = 0
    answering[:, columns:] = 0
    # At half the resolution, connected pixels are found in a quarter of the time.
    coarse = _halved(answering)
    few = coarse.size < 4 * np.iinfo(np.uint16).max
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        coarse, 8, cv2.CV_16U if few else cv2.CV_32S, cv2.CCL_DEFAULT
    )
    # Without any it gives None, or in other releases an empty array.
    found = cv2.findNonZero(coarse)
    x, y = np.reshape([] if found is None else found, (-1, 2)).astype(np.int32).T
    at = y * coarse.shape[1] + x
    label = labels.ravel().take(at)
    is_clear = np.zeros(len(stats), np.bool_)
    is_clear[label[coarse.ravel().take(at) >= _CLEAR_BIT]] = True
    extent_px = 2 * stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    kept = np.flatnonzero((is_clear & (extent_px >= _LEAST_EXTENT_PX)).take(label))
    x, y = (
        np.add.outer(np.array(offset, np.int32), 2 * column[kept]).ravel()
        for offset, column in (((0, 1, 0, 1), x), ((0, 0, 1, 1), y))
    )
    own = np.flatnonzero(answering.ravel().take(y * answering.shape[1] + x))
    return x[own], y[own]


def _answering(pyramid: list[Level]) -> Mask:
    """Return where any scale responds, at the finest resolution: bit 0 set, bit 1 for a clear response."""
    united: Mask | None = None
    for level in reversed(pyramid):
        answers = np.asarray(level.answer > _LOWEST_SNR * level.noise).view(np.uint8)
        answers += np.asarray(level.answer > _CLEAR_SNR * level.noise).view(np.uint8)
        if united is not None:
            # Each pixel of the coarser level becomes 2 x 2 pixels.
            pairs = answers.view(np.uint16).reshape(len(united), 2, -1)
            pairs |= (united * np.uint16(257))[:, None]
        united = answers
    assert united is not None
    return united


def _halved(bits: Mask) -> Mask:
    """Bitwise or over blocks of 2 x 2 pixels."""
    pairs = bits.view(np.uint16).reshape(len(bits) // 2, 2, -1)
    either = pairs[:, 0] | pairs[:, 1]
    return (either | either >> 8).astype(np.uint8)


def ridge_points(pyramid: list[Level], candidates: tuple[Indices, Indices]) -> RidgePoints:
    """The points of those candidates, columns and rows, that lie on a ridge of the scale that answers most.

    The answer is the second derivative across the line times the squared scale; a step edge has no zero crossing of the
    first derivative where the second is positive, so that it gives no points.
    """
    x, y = candidates
    best, strongest = np.zeros(len(x), np.int8), _answers_at(pyramid[0], 0, x, y)
    for power, level in enumerate(pyramid[1:], start=1):
        answers = _answers_at(level, power, x, y)
        best[answers > strongest] = power
        np.maximum(answers, strongest, out=strongest)
    parts = []
    for power, level in enumerate(pyramid):
        here = np.flatnonzero(best == power)
        parts.append(_points_of_level(level, power, x[here], y[here]))
    x, y, shift_x, shift_y, normal_x, normal_y, snr, scale_px = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    return RidgePoints(
        np.column_stack([x, y]),
        np.column_stack([x + shift_x, y + shift_y]).astype(np.float32),
        np.column_stack([-normal_y, normal_x]),
        snr,
        scale_px,
    )


def _answers_at(level: Level, power: int, x: Indices, y: Indices) -> Floats:
    """Answers (N,) of a level at pixels of the image, between its own pixels interpolated."""
    if not power:
        return np.asarray(level.answer.ravel().take(y * level.answer.shape[1] + x))
    step = np.float32(2.0**power)
    rows = max(1, -(-len(x) // _ROW_OF_POINTS))
    maps = np.zeros((2, rows * _ROW_OF_POINTS), np.float32)
    for flat, pixels in zip(maps, (x, y), strict=True):
        flat[: len(pixels)] = (pixels + np.float32(0.5)) / step - np.float32(0.5)
    map_x, map_y = maps.reshape(2, rows, _ROW_OF_POINTS)
    found: Plane = np.empty(map_x.shape, np.float32)
    cv2.remap(level.answer, map_x, map_y, cv2.INTER_LINEAR, dst=found, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.ravel()[: len(x)])


def _points_of_level(level: Level, power: int, x: Indices, y: Indices) -> tuple[npt.NDArray[np.generic], ...]:
    """Of those candidates that lie on a ridge of that level: pixel, shift to the ridge, normal, answer, scale."""
    step = np.float32(2.0**power)
    rows, columns = level.smooth.shape
    at = (y >> power).astype(np.intp) * columns + (x >> power)
    if power:
        # Several candidates share a pixel of the level.
        last = np.empty(rows * columns, np.int32)
        last[at] = np.arange(len(at), dtype=np.int32)
        own = np.flatnonzero(last.take(at) == np.arange(len(at)))
        last[at[own]] = np.arange(len(own), dtype=np.int32)
        of, at = last.take(at), at[own]
    else:
        of = np.arange(len(at))
    flat = level.smooth.ravel()
    west, east, north, south, centre = (flat.take(at + offset, mode="clip") for offset in (-1, 1, -columns, columns, 0))
    centre *= 2
    r_xx, r_yy = west + east - centre, north + south - centre
    r_xy = flat.take(at - columns - 1, mode="clip") + flat.take(at + columns + 1, mode="clip")
    r_xy = (r_xy - flat.take(at - columns + 1, mode="clip") - flat.take(at + columns - 1, mode="clip")) / 4
    # The eigenvector of the larger eigenvalue of the second derivatives.
    half, r_xy_squared = (r_xx - r_yy) / 2, r_xy * r_xy
    root = np.sqrt(half * half + r_xy_squared)
    curvature = (r_xx + r_yy) / 2 + root
    forward = half >= 0
    long = np.abs(half) + root
    scale = 1 / np.maximum(np.sqrt(long * long + r_xy_squared), np.float32(1e-12))
    normal_x, normal_y = np.where(forward, long, r_xy) * scale, np.where(forward, r_xy, long) * scale
    slope = ((east - west) * normal_x + (south - north) * normal_y) / 2
    to_ridge = slope / np.maximum(curvature, np.float32(1e-6))
    snr = curvature * np.float32(LEVEL_SIGMA_PX**2 / level.noise)
    # At the border of the image it has no derivatives.
    row, column = np.divmod(at, columns)
    snr[(row == 0) | (row == rows - 1) | (column == 0) | (column == columns - 1)] = 0.0
    reach = _REACH_PX / step * np.maximum(np.abs(normal_x), np.abs(normal_y))
    # The derivatives at the candidate are those of the level's nearest pixel, from which it is so far away.
    block, middle = np.int32(2**power - 1), (step - 1) / 2
    normal_x, normal_y, snr = normal_x.take(of), normal_y.take(of), snr.take(of)
    away = ((x & block) - middle) * normal_x + ((y & block) - middle) * normal_y
    shift = -(to_ridge.take(of) + away / step)
    ridge = np.flatnonzero((np.abs(shift) <= reach.take(of)) & (snr > _LOWEST_SNR))
    shift, normal_x, normal_y = shift[ridge] * step, normal_x[ridge], normal_y[ridge]
    scale_px = np.full(len(ridge), LEVEL_SIGMA_PX * step, np.float32)
    return x[ridge], y[ridge], shift * normal_x, shift * normal_y, normal_x, normal_y, snr[ridge], scale_px
