"""Dark lines in an image: sub-pixel ridge points over several scales (Steger 1998, IEEE PAMI 20(2), 113-125)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]
Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]

# Smoothing at every level of the pyramid, in its own pixels. A bar answers most at half its width (see `response`),
# so that level 0 suits widths about 2.4 px, level 1 about 5 px, level 2 about 10 px.
LEVEL_SIGMA_PX = 1.2
_KERNEL_PX = 9
# Answers below so many deviations of the surface's are not looked at.
_LOWEST_SNR = 3.0
# Hysteresis: connected pixels need one this clear, and what is smaller than a line's shortest piece is a pore.
_CLEAR_SNR = 5.0
_LEAST_EXTENT_PX = 14
# Quantisation alone makes answers of about a tenth of a grey level on a flat surface.
_LEAST_NOISE = 0.15
_NOISE_STRIDE = 5
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
class _Level:
    """The image at one scale, at its own resolution: smoothed, its scaled Laplacian, the deviation of that."""

    smooth: Plane
    answer: Plane
    noise: float


def find_ridges(grey: Plane, mask: Mask, levels: int) -> RidgePoints:
    """The dark ridge points of an image.

    At every pixel the scale with the strongest answer counts. The answer is the second derivative across the line times
    the squared scale; a step edge has no zero crossing of the first derivative where the second is positive, so that it
    gives no points.

    Args:
        grey: (H, W) float32 brightness.
        mask: (H, W) uint8, where to look: 0 is left out.
        levels: Number of scales, one octave apart, at least 1.
    """
    block = 2**levels
    bottom, right = -grey.shape[0] % block, -grey.shape[1] % block
    whole = np.asarray(cv2.copyMakeBorder(grey, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.float32)
    mask = np.asarray(cv2.copyMakeBorder(mask, 0, bottom, 0, right, cv2.BORDER_CONSTANT), np.uint8)
    pyramid = _pyramid(whole, mask, levels)
    x, y = _candidates(pyramid, mask)
    at, size = y * whole.shape[1] + x, whole.shape[::-1]
    answers = [cv2.resize(level.answer, size, interpolation=cv2.INTER_LINEAR).ravel().take(at) for level in pyramid]
    best = np.argmax(answers, axis=0)
    parts = []
    for power, level in enumerate(pyramid):
        here = np.flatnonzero(best == power)
        parts.append(_points_of_level(level, power, x[here], y[here]))
    return RidgePoints(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _pyramid(grey: Plane, mask: Mask, levels: int) -> list[_Level]:
    pyramid: list[_Level] = []
    for power in range(levels):
        if power:
            half = (grey.shape[1] // 2, grey.shape[0] // 2)
            grey = np.asarray(cv2.resize(grey, half, interpolation=cv2.INTER_AREA), np.float32)
        kernel = (_KERNEL_PX, _KERNEL_PX)
        smooth = np.asarray(
            cv2.GaussianBlur(grey, kernel, LEVEL_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101), np.float32
        )
        answer = np.asarray(cv2.Laplacian(smooth, cv2.CV_32F, ksize=1, scale=LEVEL_SIGMA_PX**2), np.float32)
        pyramid.append(_Level(smooth, answer, _deviation(answer, mask, power)))
    return pyramid


def _deviation(answer: Plane, mask: Mask, power: int) -> float:
    """A robust standard deviation over every few pixels of the image: cracks take little of the area."""
    some = mask[::_NOISE_STRIDE, ::_NOISE_STRIDE]
    step = 2.0**power
    stride, offset = _NOISE_STRIDE / step, 0.5 / step - 0.5
    to_level = np.array([[stride, 0.0, offset], [0.0, stride, offset]])
    sampling = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(
        answer, to_level, (some.shape[1], some.shape[0]), flags=sampling, borderMode=cv2.BORDER_REPLICATE
    )
    sample = np.abs(sampled[some > 0])
    if not sample.size:
        return _LEAST_NOISE
    middle = len(sample) // 2
    return max(float(np.partition(sample, middle)[middle]) / 0.6745, _LEAST_NOISE)


def _candidates(pyramid: list[_Level], mask: Mask) -> tuple[Indices, Indices]:
    """Columns and rows of the pixels that answer at any scale, row by row, without pores and specks."""
    rows, columns = mask.shape
    answering, clear = np.zeros((rows, columns), np.uint8), np.zeros((rows // 2, columns // 2), np.uint8)
    for level in pyramid:
        _unite(answering, (level.answer > _LOWEST_SNR * level.noise).view(np.uint8))
        _unite(clear, (level.answer > _CLEAR_SNR * level.noise).view(np.uint8))
    cv2.bitwise_and(answering, mask, answering)
    # At half the resolution, connected pixels are found in a quarter of the time.
    coarse = np.zeros(clear.shape, np.uint8)
    _unite(coarse, answering)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(coarse, connectivity=8)
    extent_px = 2 * stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    is_clear = np.zeros(len(stats), np.bool_)
    is_clear[labels[clear > 0]] = True
    keep = (is_clear & (extent_px >= _LEAST_EXTENT_PX)).view(np.uint8)
    keep[0] = 0
    kept = cv2.resize(keep[labels], (columns, rows), interpolation=cv2.INTER_NEAREST)
    found = cv2.findNonZero(cv2.bitwise_and(answering, kept))
    # Without any it gives None, or in other releases an empty array.
    x, y = np.reshape([] if found is None else found, (-1, 2)).astype(np.int32).T
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


def _unite(target: Mask, mask: Mask) -> None:
    """Set in the target (0 and 1) what is set in a mask of the same or another resolution."""
    size = target.shape[::-1]
    if mask.shape[0] > target.shape[0]:
        share = cv2.resize(255 * mask, size, interpolation=cv2.INTER_AREA)
        mask = (np.asarray(share) > 0).view(np.uint8)
    elif mask.shape[0] < target.shape[0]:
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    cv2.bitwise_or(target, mask, target)


def _points_of_level(
    level: _Level, power: int, x: Indices, y: Indices
) -> tuple[Indices, Floats, Floats, Floats, Floats]:
    """The columns of `RidgePoints` for those candidates that lie on a ridge of that level."""
    step = np.float32(2.0**power)
    rows, columns = level.smooth.shape
    centre_x, centre_y = x >> power, y >> power
    inside = (centre_x > 0) & (centre_x < columns - 1) & (centre_y > 0) & (centre_y < rows - 1)
    if not inside.all():
        x, y, centre_x, centre_y = x[inside], y[inside], centre_x[inside], centre_y[inside]
    flat, at = level.smooth.ravel(), centre_y * columns + centre_x
    west, east, north, south, centre = (flat.take(at + offset) for offset in (-1, 1, -columns, columns, 0))
    r_xx, r_yy = west + east - 2 * centre, north + south - 2 * centre
    r_xy = flat.take(at - columns - 1) + flat.take(at + columns + 1)
    r_xy = (r_xy - flat.take(at - columns + 1) - flat.take(at + columns - 1)) / 4
    # The eigenvector of the larger eigenvalue of the second derivatives.
    half = (r_xx - r_yy) / 2
    spread = np.hypot(half, r_xy)
    curvature = (r_xx + r_yy) / 2 + spread
    forward = half >= 0
    long = np.abs(half) + spread
    scale = 1 / np.maximum(np.hypot(long, r_xy), np.float32(1e-12))
    normal_x, normal_y = np.where(forward, long, r_xy) * scale, np.where(forward, r_xy, long) * scale
    # The slope at the candidate: the derivatives are those of the level's nearest pixel.
    from_x = (x + np.float32(0.5)) / step - np.float32(0.5) - centre_x
    from_y = (y + np.float32(0.5)) / step - np.float32(0.5) - centre_y
    slope_x = (east - west) / 2 + r_xx * from_x + r_xy * from_y
    slope_y = (south - north) / 2 + r_xy * from_x + r_yy * from_y
    shift = -(slope_x * normal_x + slope_y * normal_y) / np.maximum(curvature, np.float32(1e-6)) * step
    shift_x, shift_y = shift * normal_x, shift * normal_y
    snr = curvature * np.float32(LEVEL_SIGMA_PX**2 / level.noise)
    steepest = np.maximum(np.abs(normal_x), np.abs(normal_y))
    ridge = np.flatnonzero((np.abs(shift) <= _REACH_PX * steepest) & (snr > _LOWEST_SNR))
    pixels = np.column_stack([x[ridge], y[ridge]])
    points = np.column_stack([x[ridge] + shift_x[ridge], y[ridge] + shift_y[ridge]]).astype(np.float32)
    tangents = np.column_stack([-normal_y[ridge], normal_x[ridge]]).astype(np.float32)
    return (
        pixels,
        points,
        tangents,
        snr[ridge].astype(np.float32),
        np.full(len(ridge), LEVEL_SIGMA_PX * step, np.float32),
    )
