# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""16-bit samples are scaled by the range that the sensor uses, without flicker."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.vision.images.samples import SampleScaler

GREY = np.random.default_rng(2).integers(5, 251, (120, 160)).astype(np.uint16)
GREY[0, 0] = 250


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_scaler_any_depth_gives_the_same_picture(bits: int) -> None:
    deep = GREY << (bits - 8)
    assert np.array_equal(SampleScaler().to_8_bit(deep), GREY)
    assert np.array_equal(SampleScaler(bits).to_8_bit(deep), GREY)


def test_scaler_thermal_counts_keep_their_contrast() -> None:
    scaled = SampleScaler().to_8_bit(7000 + 2 * GREY).astype(float)
    assert np.corrcoef(scaled.ravel(), GREY.ravel())[0, 1] > 0.999
    assert scaled.std() == pytest.approx(GREY.std(), rel=0.1)


def test_scaler_dead_pixels_do_not_hide_thermal_counts() -> None:
    counts = 7000 + 2 * GREY
    counts[3, 3], counts[5, 5] = 0, 65535
    assert SampleScaler().to_8_bit(counts).std() > 0.8 * GREY.std()


def test_scaler_dark_frame_after_a_bright_one_keeps_the_scale() -> None:
    scaler = SampleScaler()
    first = scaler.to_8_bit(GREY << 4)
    scaler.to_8_bit(GREY << 1)
    assert np.array_equal(scaler.to_8_bit(GREY << 4), first)
    assert scaler.to_8_bit(np.full((8, 8), 1600, np.uint16))[0, 0] == 100


def test_scaler_flat_noise_is_not_stretched() -> None:
    noise = np.random.default_rng(0).integers(8000, 8008, (64, 64)).astype(np.uint16)
    assert np.ptp(SampleScaler().to_8_bit(noise)) <= 8


def test_scaler_fixed_bits_saturate() -> None:
    assert SampleScaler(12).to_8_bit(np.array([[4095, 65535]], np.uint16)).tolist() == [[255, 255]]


def test_scaler_unknown_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="got 11"):
        SampleScaler(11)
