# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The simulated sensor: exposure, vignetting, noise and JPEG."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.simulation.camera.sensor import (
    Sensor,
    SensorSettings,
    automatic_gain,
    exposure_drift,
    through_jpeg,
)
from crack_perception.vision.images.encodings import encode_jpeg

EVEN = np.full((240, 320, 3), 150, np.uint8)


def test_develop_ideal_sensor_multiplies_by_gain() -> None:
    sensor = Sensor(320, 240, SensorSettings(noise=0.0, vignetting=0.0))
    np.testing.assert_array_equal(sensor.develop(EVEN, 1.2, np.random.default_rng(0)), 180)
    np.testing.assert_array_equal(sensor.develop(EVEN, 2.0, np.random.default_rng(0)), 255)


def test_develop_noise_grows_with_light_and_is_mostly_luma() -> None:
    sensor = Sensor(320, 240, SensorSettings(noise=1.0, vignetting=0.0))
    bright = sensor.develop(EVEN, 1.0, np.random.default_rng(0)).astype(float)
    dark = sensor.develop(EVEN, 0.2, np.random.default_rng(0)).astype(float)
    assert 1.2 < bright.std() < 2.2
    assert dark.std() < 0.8 * bright.std()
    assert (bright[..., 2] - bright[..., 0]).std() < bright[..., 1].std()
    assert bright.mean() == pytest.approx(150, abs=0.1)


def test_develop_vignetting_darkens_corners() -> None:
    image = Sensor(320, 240, SensorSettings(noise=0.0)).develop(EVEN, 1.0, np.random.default_rng(0))
    assert image[120, 160, 0] == 150
    assert image[0, 0, 0] == pytest.approx(150 * 0.78, abs=1)


def test_automatic_gain_brightens_dark_scenes_within_limits() -> None:
    assert automatic_gain(EVEN // 2) > automatic_gain(EVEN) > 1.0 > automatic_gain(EVEN + np.uint8(100))
    assert automatic_gain(np.zeros_like(EVEN)) == 2.0
    drift = exposure_drift(np.random.default_rng(1), 2000, 0.1)
    assert drift.mean() == pytest.approx(1.0, abs=0.02)
    assert 0.01 < drift.std() < 0.06


def test_through_jpeg_changes_pixels_slightly() -> None:
    image = Sensor(320, 240, SensorSettings()).develop(EVEN, 1.0, np.random.default_rng(0))
    decoded = through_jpeg(image, 80)
    assert decoded.shape == image.shape
    assert 0 < np.abs(decoded.astype(int) - image).mean() < 3
    assert len(encode_jpeg(image, 40)) < len(encode_jpeg(image, 95))
