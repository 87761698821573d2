# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Random fields and signals with natural spectra, for walls and flights."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]


def fractal_field(
    rng: np.random.Generator,
    shape: tuple[int, int],
    pitch_mm: float,
    standard_deviation: Callable[[float], float],
) -> FloatImage:
    """Return a sum of octaves of noise; equal deviations in every octave give the 1/f spectrum of photographs.

    Args:
        rng: Random generator.
        shape: ``(height, width)`` of the result.
        pitch_mm: Distance between its pixels [mm].
        standard_deviation: Standard deviation of the octave whose finest detail has the given length [mm].

    Returns:
        ``(H, W)`` float32 with a mean near 0.
    """
    levels = max(1, int(np.ceil(np.log2(max(shape)))) - 1)
    field: FloatImage = np.zeros((2, 2), np.float32)
    for level in reversed(range(levels)):
        height, width = (-(-length // 2**level) for length in shape)
        field = np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        deviation = standard_deviation(pitch_mm * 2.0**level)
        if deviation > 0:
            noise = rng.standard_normal((height, width), np.float32)
            noise *= np.float32(deviation)
            field += noise
    return np.asarray(field, np.float32)


def smooth_steps(field: FloatImage, low: float, high: float) -> FloatImage:
    """Return the cubic step from 0 at ``low`` to 1 at ``high``, element by element."""
    share = np.clip((field - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


class SmoothSignal:
    """Sum of sines with random phases: smooth, aperiodic over a flight, defined at every time.

    Args:
        rng: Random generator for phases and the exact frequencies.
        deviation: Standard deviation over time of every component, ``(C,)`` in the component's unit.
        lowest_hz: Lowest frequency; the energy falls with the square of the frequency up to ``highest_hz``.
        highest_hz: Highest frequency.
    """

    def __init__(
        self, rng: np.random.Generator, deviation: NDArray[np.float64], lowest_hz: float, highest_hz: float
    ) -> None:
        sines = 6
        edges_hz = np.geomspace(lowest_hz, highest_hz, sines + 1)
        self._frequency_hz = rng.uniform(edges_hz[:-1], edges_hz[1:], (len(deviation), sines))
        self._phase_rad = rng.uniform(0, 2 * np.pi, (len(deviation), sines))
        power = (lowest_hz / self._frequency_hz) ** 2
        self._amplitude = np.sqrt(2 * power / power.sum(axis=1, keepdims=True)) * deviation[:, None]

    def at(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values ``(N, C)`` at times ``(N,)`` in seconds."""
        angle_rad = 2 * np.pi * self._frequency_hz * times_s[:, None, None] + self._phase_rad
        return np.asarray((self._amplitude * np.sin(angle_rad)).sum(axis=2))


def correlated_noise(
    rng: np.random.Generator, count: int, components: int, interval_s: float, correlation_s: float
) -> NDArray[np.float64]:
    """Return a stationary first-order Gauss-Markov process of unit variance, ``(count, components)``."""
    memory = float(np.exp(-interval_s / correlation_s))
    steps = rng.standard_normal((count, components))
    values = np.empty((count, components))
    values[0] = steps[0]
    for index in range(1, count):
        values[index] = memory * values[index - 1] + np.sqrt(1 - memory**2) * steps[index]
    return values
