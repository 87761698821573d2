# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sharpness: falls with blur, whatever the brightness and contrast."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rendered_cracks import concrete

from crack_perception.vision.sharpness import sharpness


def with_noise(picture: np.ndarray) -> np.ndarray:
    """What a sensor adds behind the lens."""
    noise = np.random.default_rng(0).normal(0.0, 1.0, (*picture.shape[:2], 1))
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_sharpness_falls_with_blur(seed: int) -> None:
    wall = concrete(seed)
    values = [sharpness(with_noise(cv2.GaussianBlur(wall, (0, 0), sigma))) for sigma in (0.5, 1.5, 2.0, 3.0)]
    assert values == sorted(values, reverse=True) and values[-1] < 0.5 * values[0]
    smeared = cv2.filter2D(wall, -1, np.full((1, 25), 1 / 25))
    assert sharpness(with_noise(smeared)) < 0.85 * sharpness(wall)


def test_sharpness_does_not_depend_on_brightness_and_contrast() -> None:
    wall = cv2.GaussianBlur(concrete(0), (0, 0), 1.0)
    darker = (wall * 0.5 + 10).astype(np.uint8)
    assert sharpness(darker) == pytest.approx(sharpness(wall), rel=0.25)


def test_sharpness_of_an_even_picture_is_zero() -> None:
    assert sharpness(np.full((50, 50, 3), 128, np.uint8)) == 0.0
    assert sharpness(np.full((50, 50), 7, np.uint8)) == 0.0
