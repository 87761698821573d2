# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Simulate the sensor: exposure drift, vignetting, noise and JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crack_perception.simulation.wall.noise_fields import correlated_noise
from crack_perception.vision.images.encodings import encode_jpeg

# Noise variance in 8-bit levels: read noise, and shot noise proportional to the light.
_READ_VARIANCE = 0.6
_SHOT_VARIANCE_PER_LEVEL = 0.012
# Cameras smooth colour noise more than brightness noise: it is weaker and in blocks of this size.
_CHROMA_BLOCK_PX = 4
_CHROMA_SHARE = 0.5
_CORNER_LOSS = 0.22
_METERED_LEVEL = 168.0
_METERED_SHARE = 0.8
_GAIN_LIMITS = (0.5, 2.0)
_HUNTING = 0.03
_HUNTING_CORRELATION_S = 3.0


@dataclass(frozen=True)
class SensorSettings:
    """Factors on the noise's standard deviation and on the vignetting in the corners; 0 turns it off."""

    noise: float = 1.0
    vignetting: float = 1.0


def exposure_drift(rng: np.random.Generator, count: int, interval_s: float) -> NDArray[np.float64]:
    """Return factors (count,) by which a hunting automatic exposure misses its target."""
    return np.asarray(np.exp(_HUNTING * correlated_noise(rng, count, 1, interval_s, _HUNTING_CORRELATION_S)[:, 0]))


def automatic_gain(light: NDArray[np.uint8]) -> float:
    """Return the gain that brings an image (H, W, 3) most of the way to the target level of exposure meters."""
    mean_level = float(light[::8, ::8, 1].mean())
    return float(np.clip((_METERED_LEVEL / max(mean_level, 1.0)) ** _METERED_SHARE, *_GAIN_LIMITS))


class Sensor:
    """Convert light to images of one size.

    Args:
        width_px: Image width.
        height_px: Image height.
        settings: Strength of noise and vignetting.
    """

    def __init__(self, width_px: int, height_px: int, settings: SensorSettings) -> None:
        self._noise = settings.noise
        x = np.linspace(-1, 1, width_px, dtype=np.float32)[None, :] * np.float32(width_px)
        y = np.linspace(-1, 1, height_px, dtype=np.float32)[:, None] * np.float32(height_px)
        squared = (x * x + y * y) / np.float32(width_px**2 + height_px**2)
        self._light_share = 1 - np.float32(_CORNER_LOSS * settings.vignetting) * squared

    def develop(self, light: NDArray[np.uint8], gain: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) uint8 of the light (H, W, 3) at an exposure ``gain``."""
        height, width = light.shape[:2]
        share = self._light_share * np.float32(gain)
        image = np.asarray(cv2.multiply(light, cv2.merge([share, share, share]), dtype=cv2.CV_32F), np.float32)
        noise = np.zeros_like(image)
        if self._noise > 0:
            small = (-(-height // _CHROMA_BLOCK_PX), -(-width // _CHROMA_BLOCK_PX), 3)
            colour = np.float32(_CHROMA_SHARE) * rng.standard_normal(small, np.float32)
            noise = np.asarray(cv2.resize(colour, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
            noise += rng.standard_normal((height, width, 1), np.float32)
            variance = image[..., 1] * np.float32(_SHOT_VARIANCE_PER_LEVEL) + np.float32(_READ_VARIANCE)
            noise *= (np.sqrt(variance) * np.float32(self._noise))[..., None]
        # Adds, rounds and saturates in one pass.
        return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


def through_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return the image (H, W, 3) with the artefacts of a JPEG of this quality."""
    return np.asarray(cv2.imdecode(encode_jpeg(image, quality), cv2.IMREAD_COLOR), np.uint8)
