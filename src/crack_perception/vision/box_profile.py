"""How a dark bar looks in a profile across it: a box seen by square pixels through a blurring lens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

_PIXEL_PX = np.float32(1.0)
_BELL_PEAK = np.float32(1 / np.sqrt(2 * np.pi))


def box_profile(offset_px: Samples, width_px: Samples, blur_px: Samples) -> tuple[Samples, Samples, Samples, Samples]:
    """A box of height 1, averaged over a pixel and blurred by a Gaussian, with its derivatives.

    The convolution of two boxes is a trapezoid, the second integral of four impulses at its corners; blurred, each
    corner becomes the second integral of a normal density.

    Args:
        offset_px: (S, M) distance of the samples from the middle of the box.
        width_px: (S, 1) of the box.
        blur_px: (S, 1) standard deviation of the Gaussian.

    Returns:
        (S, M) each: the profile, its derivatives by the offset, by the width, and by the logarithm of the blur.
    """
    profile, by_offset, by_width, by_log_blur = (np.zeros(np.shape(offset_px), np.float32) for _ in range(4))
    outer, inner = (width_px + _PIXEL_PX) / 2, (width_px - _PIXEL_PX) / 2
    for corner, sign, side in ((outer, 1, 1), (inner, -1, 1), (-inner, -1, -1), (-outer, 1, -1)):
        x = np.asarray((offset_px + corner) / blur_px, np.float32)
        bell = np.asarray(np.exp(np.float32(-0.5) * x * x) * _BELL_PEAK, np.float32)
        cumulative = _cumulative(x, bell)
        ramp = x * cumulative + bell
        for total, part, factor in (
            (profile, ramp, sign),
            (by_offset, cumulative, sign),
            (by_width, cumulative, sign * side),
            (by_log_blur, bell, sign),
        ):
            (np.add if factor > 0 else np.subtract)(total, part, out=total)
    scale = blur_px / _PIXEL_PX
    return profile * scale, by_offset / _PIXEL_PX, by_width / (2 * _PIXEL_PX), by_log_blur * scale


def _cumulative(x: Samples, bell: Samples) -> Samples:
    """Cumulative normal distribution (Abramowitz & Stegun 1964, 26.2.17, within 8e-8), given the density at ``x``."""
    t = 1 / (1 + np.float32(0.2316419) * np.abs(x))
    series = np.float32(1.330274429) * t - np.float32(1.821255978)
    for coefficient in (1.781477937, -0.356563782, 0.319381530):
        series = series * t + np.float32(coefficient)
    tail = bell * series * t
    return np.where(x > 0, 1 - tail, tail)
