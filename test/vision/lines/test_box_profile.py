# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the profile of a dark bar (a box blurred by a Gaussian, averaged over pixels) and its derivatives."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest

from crack_perception.vision.lines.width_fit import box_profile

OFFSETS = np.linspace(-9, 9, 73, dtype=np.float32)[None]


def profile(width_px: float, blur_px: float, shift_px: float = 0.0) -> tuple[np.ndarray, ...]:
    column = np.ones((1, 1), np.float32)
    shifted = (OFFSETS + np.float32(shift_px)).astype(np.float32)
    return tuple(part[0] for part in box_profile(shifted, column * np.float32(width_px), column * np.float32(blur_px)))


@pytest.mark.parametrize("width_px", [0.2, 1.0, 1.7, 6.0])
@pytest.mark.parametrize("blur_px", [0.3, 0.7, 1.5])
def test_box_profile_equals_mean_of_blurred_box(width_px: float, blur_px: float) -> None:
    within_pixel = (np.arange(200) + 0.5) / 200 - 0.5
    positions = OFFSETS[0, :, None] + within_pixel

    def below(limit_px: float) -> np.ndarray:
        return np.vectorize(lambda x: 0.5 * (1 + erf(x / np.sqrt(2))))((positions + limit_px) / blur_px)

    expected = (below(width_px / 2) - below(-width_px / 2)).mean(axis=1)
    np.testing.assert_allclose(profile(width_px, blur_px)[0], expected, atol=2e-5)


@pytest.mark.parametrize(("width_px", "blur_px"), [(0.3, 0.5), (1.5, 0.7), (5.0, 1.2)])
def test_box_profile_area_equals_width(width_px: float, blur_px: float) -> None:
    assert float(profile(width_px, blur_px)[0].sum()) * 0.25 == pytest.approx(width_px, rel=1e-3)


@pytest.mark.parametrize(("width_px", "blur_px"), [(0.3, 0.5), (1.5, 0.7), (5.0, 1.2)])
def test_box_profile_derivatives_match_differences(width_px: float, blur_px: float) -> None:
    step = 0.02
    _, by_offset, by_width, by_log_blur = profile(width_px, blur_px)
    pairs = (
        (by_offset, profile(width_px, blur_px, step), profile(width_px, blur_px, -step)),
        (by_width, profile(width_px + step, blur_px), profile(width_px - step, blur_px)),
        (by_log_blur, profile(width_px, blur_px * np.exp(step)), profile(width_px, blur_px * np.exp(-step))),
    )
    for derivative, after, before in pairs:
        np.testing.assert_allclose(derivative, (after[0] - before[0]) / (2 * step), atol=1e-3)
