# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images of thermal cameras are refused with a reason, by names and by samples; those of visible light are not."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.vision.images.thermal import refusal_by_name, refusal_by_samples, thermal_word


def counts(low: int, high: int, width: int = 640, height: int = 512) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (height, width)).astype(np.uint16)


@pytest.mark.parametrize("encoding", ["16UC1", "Y16", "y16 ", "32FC1", "16SC1"])
def test_refusal_by_name_of_an_encoding_of_counts_gives_the_encoding(encoding: str) -> None:
    assert "thermal or depth" in refusal_by_name(encoding, "camera", "/camera/image_raw")


@pytest.mark.parametrize("encoding", ["mono16", "mono8", "rgb8", "bgr8", ""])
@pytest.mark.parametrize(
    ("frame", "topic", "word"),
    [
        ("boson_camera", "/camera/image_raw", "boson"),
        ("thermal_optical_frame", "/camera/image_raw", "thermal"),
        ("camera", "/uav_1/thermal/image_raw/compressed", "thermal"),
        ("camera", "/lepton3/image", "lepton"),
        ("", "/ThermalCamera/image", "thermalcamera"),
        ("uav1/Lepton", "/image", "lepton"),
        ("lwir_optical", "/image", "lwir"),
        ("flir_boson640_optical_frame", "/image", "boson"),
        ("", "/flir/image_raw", "flir"),
        ("thermocam", "/image", "thermocam"),
    ],
)
def test_refusal_by_name_of_a_thermal_camera_holds_for_every_encoding(
    encoding: str, frame: str, topic: str, word: str
) -> None:
    refusal = refusal_by_name(encoding, frame, topic)
    assert f"('{word}')" in refusal and "image_is_visible_light" in refusal


@pytest.mark.parametrize(
    ("encoding", "frame", "topic"),
    [
        ("bgr8", "camera", "/camera/image_raw"),
        ("bgr8", "isothermal_wall", "/isothermal_survey/image"),
        ("mono16", "geothermal_survey", "/camera/image"),
        ("rgb8", "flirt", "/flirt/image_raw"),
        ("rgb8", "bosonic_lab/camera", "/leptonica/image"),
        # Cameras of visible light of a maker of thermal ones.
        ("bgr8", "flir_blackfly", "/flir_blackfly/image_raw"),
        ("bgr8", "hadron_eo_optical_frame", "/hadron/rgb/image_raw"),
        ("bayer_rggb8", "flir_camera", "/flir_camera/image_raw"),
    ],
)
def test_refusal_by_name_of_a_camera_of_visible_light_is_empty(encoding: str, frame: str, topic: str) -> None:
    assert refusal_by_name(encoding, frame, topic) == ""


def test_thermal_word_reads_words_and_capital_letters() -> None:
    assert [thermal_word(name) for name in ("LWIRCamera", "a/flirBoson/x", "Tau2", "thermals")] == [
        "lwir",
        "flirboson",
        "tau2",
        "thermals",
    ]
    assert [thermal_word(name) for name in ("", "///", "nonthermalised", "seeker", "tau")] == [""] * 5


@pytest.mark.parametrize(("low", "high"), [(28_000, 30_500), (2_830, 3_010)])
def test_refusal_by_samples_of_temperatures_gives_their_range(low: int, high: int) -> None:
    pixels = counts(low, high)
    for samples in (pixels, np.dstack([pixels] * 3)):
        assert "temperatures" in refusal_by_samples(samples)


@pytest.mark.parametrize(
    "pixels",
    [
        # A machine vision camera of 12 bits: dark cracks, bright concrete.
        counts(300, 3_900, 640, 480),
        counts(4_000, 60_000, 640, 480),
        # A size that no thermal sensor has.
        counts(28_000, 30_500, 1936, 1216),
        # Colours.
        np.dstack([counts(28_000, 30_500), counts(28_000, 30_000), counts(28_000, 30_400)]),
    ],
)
def test_refusal_by_samples_of_light_is_empty(pixels: np.ndarray) -> None:
    assert refusal_by_samples(pixels) == ""
