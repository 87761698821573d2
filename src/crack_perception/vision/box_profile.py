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
    outer, inner = (width_px + _PIXEL_PX) / 2, (width_px - _PIXEL_PX) / 2
    x = np.asarray((offset_px + np.stack([outer, inner, -inner, -outer])) / blur_px, np.float32)
    bell, odd = _bell_and_odd_cumulative(x)
    rising, falling = odd[0] - odd[1], odd[2] - odd[3]
    # What the half that is missing of every cumulative would add cancels out.
    x *= odd
    x += bell
    scale = blur_px / _PIXEL_PX
    return (
        _second_difference(x) * scale,
        (rising - falling) / _PIXEL_PX,
        (rising + falling) / (2 * _PIXEL_PX),
        _second_difference(bell) * scale,
    )


def _second_difference(corners: Samples) -> Samples:
    total = corners[0] - corners[1]
    total -= corners[2]
    total += corners[3]
    return np.asarray(total)


def _bell_and_odd_cumulative(x: Samples) -> tuple[Samples, Samples]:
    """Normal density and cumulative distribution less a half (Abramowitz & Stegun 1964, 26.2.17, within 8e-8)."""
    bell = x * x
    bell *= np.float32(-0.5)
    np.exp(bell, out=bell)
    bell *= _BELL_PEAK
    t = np.abs(x)
    t *= np.float32(0.2316419)
    t += 1
    np.reciprocal(t, out=t)
    series = np.float32(1.330274429) * t
    for coefficient in (-1.821255978, 1.781477937, -0.356563782, 0.319381530):
        series += np.float32(coefficient)
        series *= t
    series *= bell
    return bell, np.copysign(np.float32(0.5) - series, x, out=series)
