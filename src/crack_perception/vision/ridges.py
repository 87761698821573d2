"""Dark lines in an image: sub-pixel ridge points over several scales (Steger 1998, IEEE PAMI 20(2), 113-125)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]

# Smoothing at every level of the pyramid, in its own pixels. A bar answers most at half its width (see `response`),
# so that level 0 suits widths about 2.4 px, level 1 about 5 px, level 2 about 10 px.
LEVEL_SIGMA_PX = 1.2
_KERNEL_PX = 9
# Answers below so many deviations of the surface's are not looked at.
_LOWEST_SNR = 2.5
# Quantisation alone makes answers of about a tenth of a grey level on a flat surface.
_LEAST_NOISE = 0.15
_NOISE_STRIDE = 5
# A ridge point may lie this far outside its pixel, or slanted lines would have holes.
_REACH_PX = 0.55


@dataclass(frozen=True, eq=False)
class RidgePoints:
    """Points on the centre lines of dark lines at most one a pixel.

    Attributes:
        pixels: (N, 2) int64 pixel (x, y) that holds the point.
        points_px: (N, 2) sub-pixel position (x, y).
        tangents: (N, 2) unit direction along the line, of either sense.
        snr: (N,) answer of the ridge filter in deviations of the surface's answers.
        scale_px: (N,) smoothing at which the answer was strongest: about half the line's width.
    """

    pixels: npt.NDArray[np.int64]
    points_px: Floats
    tangents: Floats
    snr: Floats
    scale_px: Floats


def find_ridges(grey: Plane, mask: npt.NDArray[np.bool_], levels: int) -> RidgePoints:
    """The dark ridge points of an image.

    At every pixel the scale with the strongest answer counts. The answer is the second derivative across the line times
    the squared scale; a step edge has no zero crossing of the first derivative where the second is positive, so that it
    gives no points.

    Args:
        grey: (H, W) float32 brightness.
        mask: (H, W) where to look.
        levels: Number of scales, one octave apart, at least 1.
    """
    rows, columns = grey.shape
    block = 2 ** (levels - 1)
    whole = cv2.copyMakeBorder(grey, 0, -rows % block, 0, -columns % block, cv2.BORDER_REPLICATE)
    blurred, answers = _pyramid(np.asarray(whole, np.float32), levels)
    noise = np.array([_deviation(answer[:rows, :columns], mask) for answer in answers])
    strongest = answers[0]
    for answer in answers[1:]:
        strongest = np.asarray(cv2.max(strongest, answer), np.float32)
    wide = whole.shape[1]
    y, x = np.nonzero(mask & (strongest[:rows, :columns] > np.float32(_LOWEST_SNR * noise.min())))
    candidates = y * wide + x
    best = np.stack([answer.ravel()[candidates] for answer in answers]).argmax(axis=0)
    parts = [
        _points_of_level(blurred[level], level, candidates[best == level], wide, float(noise[level]))
        for level in range(levels)
    ]
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return RidgePoints(*joined)


def _pyramid(grey: Plane, levels: int) -> tuple[list[Plane], list[Plane]]:
    """The smoothed image at every level's own resolution, and every level's scaled Laplacian at full resolution."""
    blurred: list[Plane] = []
    answers: list[Plane] = []
    picture = grey
    size = (grey.shape[1], grey.shape[0])
    for level in range(levels):
        if level:
            half = (picture.shape[1] // 2, picture.shape[0] // 2)
            picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.float32)
        smooth = cv2.GaussianBlur(picture, (_KERNEL_PX, _KERNEL_PX), LEVEL_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)
        answer = cv2.Laplacian(smooth, cv2.CV_32F, ksize=1, scale=LEVEL_SIGMA_PX**2)
        if level:
            answer = cv2.resize(answer, size, interpolation=cv2.INTER_LINEAR)
        blurred.append(np.asarray(smooth, np.float32))
        answers.append(np.asarray(answer, np.float32))
    return blurred, answers


def _deviation(answers: Plane, mask: npt.NDArray[np.bool_]) -> float:
    """A robust standard deviation: cracks take little of the area."""
    some = (slice(None, None, _NOISE_STRIDE), slice(None, None, _NOISE_STRIDE))
    sample = np.abs(answers[some][mask[some]])
    return max(float(np.median(sample)) / 0.6745, _LEAST_NOISE) if sample.size else _LEAST_NOISE


def _points_of_level(
    smooth: Plane, level: int, candidates: npt.NDArray[np.int64], width: int, noise: float
) -> tuple[npt.NDArray[np.int64], Floats, Floats, Floats, Floats]:
    """The columns of `RidgePoints` for those candidates (flat indices at full resolution) that lie on a ridge."""
    step = 2.0**level
    x, y = candidates % width, candidates // width
    level_x, level_y = (x + 0.5) / step - 0.5, (y + 0.5) / step - 0.5
    rows, columns = smooth.shape
    inside = (level_x > 0.5) & (level_x < columns - 1.5) & (level_y > 0.5) & (level_y < rows - 1.5)
    x, y, level_x, level_y = x[inside], y[inside], level_x[inside], level_y[inside]
    centre_x, centre_y = np.rint(level_x).astype(np.int64), np.rint(level_y).astype(np.int64)
    flat, at = smooth.ravel(), centre_y * columns + centre_x
    west, east, north, south, centre = (flat[at + offset] for offset in (-1, 1, -columns, columns, 0))
    diagonal = flat[at - columns - 1] + flat[at + columns + 1] - flat[at - columns + 1] - flat[at + columns - 1]
    r_xx, r_yy, r_xy = west + east - 2 * centre, north + south - 2 * centre, diagonal / 4
    # The slope at the candidate: the derivatives are those of the level's nearest pixel.
    from_x, from_y = level_x - centre_x, level_y - centre_y
    slope_x = (east - west) / 2 + r_xx * from_x + r_xy * from_y
    slope_y = (south - north) / 2 + r_xy * from_x + r_yy * from_y
    angle = 0.5 * np.arctan2(2 * r_xy, r_xx - r_yy)
    normal_x, normal_y = np.cos(angle), np.sin(angle)
    curvature = r_xx * normal_x**2 + 2 * r_xy * normal_x * normal_y + r_yy * normal_y**2
    answer = curvature * LEVEL_SIGMA_PX**2
    shift = -(slope_x * normal_x + slope_y * normal_y) / np.maximum(curvature, 1e-6) * step
    shift_x, shift_y = shift * normal_x, shift * normal_y
    ridge = (np.maximum(np.abs(shift_x), np.abs(shift_y)) <= _REACH_PX) & (answer > _LOWEST_SNR * noise)
    pixels = np.column_stack([x, y])[ridge]
    return (
        pixels,
        pixels + np.column_stack([shift_x, shift_y])[ridge],
        np.column_stack([-normal_y, normal_x])[ridge].astype(np.float64),
        (answer[ridge] / noise).astype(np.float64),
        np.full(len(pixels), LEVEL_SIGMA_PX * step),
    )
