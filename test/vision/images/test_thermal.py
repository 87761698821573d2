# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Thermal images are refused with a reason; 16-bit images of visible light are not."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.vision.images.thermal import reason_for_refusal


def counts(low: int, high: int, width: int = 640, height: int = 512) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (height, width)).astype(np.uint16)


@pytest.mark.parametrize("encoding", ["16UC1", "Y16", "y16 ", "32FC1", "16SC1"])
def test_reason_encoding_of_counts_is_refused(encoding: str) -> None:
    assert "thermal or depth" in reason_for_refusal(encoding, "camera", None, False)


@pytest.mark.parametrize("frame", ["thermal_camera", "flir_boson_optical_frame", "uav1/Lepton", "lwir_optical"])
def test_reason_mono16_of_a_frame_that_names_a_thermal_camera_is_refused(frame: str) -> None:
    assert f"'{frame}'" in reason_for_refusal("mono16", frame, counts(0, 4000, 800, 600), False)


@pytest.mark.parametrize(("low", "high"), [(28_000, 30_500), (2_830, 3_010)])
def test_reason_mono16_of_temperatures_is_refused_with_the_range(low: int, high: int) -> None:
    reason = reason_for_refusal("mono16", "camera", counts(low, high), False)
    assert "temperatures" in reason and "image_bits" in reason


@pytest.mark.parametrize(
    ("encoding", "frame", "pixels", "is_declared"),
    [
        ("bgr8", "thermal", None, False),
        ("mono8", "camera", None, False),
        # A machine vision camera of 12 bits: dark cracks, bright concrete.
        ("mono16", "camera", counts(300, 3_900, 640, 480), False),
        ("mono16", "camera", counts(4_000, 60_000, 640, 480), False),
        # A size that no thermal sensor has.
        ("mono16", "camera", counts(28_000, 30_500, 1936, 1216), False),
        # Declared as visible light by image_bits.
        ("mono16", "camera", counts(28_000, 30_500), True),
        # The word is a part of another.
        ("mono16", "geothermal_survey", counts(300, 3_900), False),
    ],
)
def test_reason_images_of_visible_light_are_accepted(
    encoding: str, frame: str, pixels: np.ndarray | None, is_declared: bool
) -> None:
    assert reason_for_refusal(encoding, frame, pixels, is_declared) == ""
