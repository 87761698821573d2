# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Impossible numbers in camera_info are refused, unlikely ones reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.geometry.camera.calibration import Calibration

NAN = float("nan")
P = (450.0, 0.0, 319.5, 0.0, 0.0, 450.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def k(fx: float = 600.0, fy: float = 600.0, cx: float = 319.5, cy: float = 239.5) -> tuple[float, ...]:
    return (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)


RAW = Calibration(640, 480, k(), (-0.3, 0.1, 0.0, 0.0, 0.0), "plumb_bob", IDENTITY, P)


def doubts(calibration: Calibration, is_rectified: bool = False, topic: str = "/camera/image") -> list[str]:
    calibration.camera(is_rectified)
    return calibration.warnings(is_rectified, topic)


def test_camera_usual_calibration_is_accepted_without_warning() -> None:
    assert RAW.camera(False).focal_px == 600
    assert doubts(RAW) == doubts(replace(RAW, r=(0.0,) * 9, p=(0.0,) * 12)) == []


def test_camera_rectified_uses_p_without_distortion() -> None:
    model = RAW.camera(is_rectified=True)
    assert model.focal_px == 450
    assert model.normalised([[319.5 + 225, 239.5]])[0] == pytest.approx([0.5, 0.0])
    assert doubts(RAW, is_rectified=True, topic="/camera/image_rect_color") == []


def test_camera_raw_with_p_alone_is_refused() -> None:
    calibration = Calibration(640, 480, (0.0,) * 9, (), "", (0.0,) * 9, P)
    assert calibration.camera(is_rectified=True).focal_px == 450
    with pytest.raises(UserError, match="Set image_is_rectified"):
        calibration.camera(is_rectified=False)


def test_camera_rectified_without_p_is_refused() -> None:
    bare = replace(RAW, p=(0.0,) * 12)
    with pytest.raises(UserError, match="no matrix P"):
        bare.camera(is_rectified=True)
    # Images of a pinhole camera need no rectification.
    assert replace(bare, d=(0.0,) * 5).camera(is_rectified=True).focal_px == 600


def test_camera_rectified_window_and_binning_apply_to_p() -> None:
    model = replace(RAW, binning=(2, 2), window_px=(160, 120, 320, 240)).camera(is_rectified=True)
    assert (model.width_px, model.height_px, model.focal_px) == (160, 120, 225)
    assert model.k[0, 2] == pytest.approx((319.5 - 160 - 0.5) / 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"k": k(fx=-600.0)}, "focal lengths -600 and 600"),
        ({"k": k(fy=0.0)}, "focal lengths 600 and 0"),
        ({"k": k(fx=NAN)}, "not numbers"),
        ({"k": k(cx=NAN)}, "not numbers"),
        ({"k": (0.0,) * 9, "p": (0.0,) * 12}, "not calibrated"),
        ({"k": k(fx=6000.0)}, "focal lengths 6000 and 600"),
        ({"k": k(0.9, 1.2, 0.5, 0.5)}, "is K in pixels"),
        ({"k": k(6e5, 6e5)}, "is K in pixels"),
        ({"k": k(cx=5000.0)}, "far outside the image"),
        ({"k": k(cy=-300.0)}, "far outside the image"),
        ({"k": tuple(np.array(k()).reshape(3, 3).T.ravel())}, "stored by columns"),
        ({"k": (*k()[:8], 0.0)}, "instead of 0, 0, 1"),
        ({"d": (0.1,) * 3}, "has 3 coefficients"),
        ({"d": (0.1, NAN, 0.0, 0.0, 0.0)}, "not numbers"),
        ({"distortion_model": "crystal_ball"}, "unknown distortion model"),
        ({"width_px": 0}, "empty image size"),
        ({"window_px": (400, 0, 320, 240)}, "region of interest of 320x240 px at 400, 0"),
        ({"window_px": (700, 0, 0, 0)}, "region of interest"),
        ({"binning": (1000, 1)}, "leaves no image"),
    ],
)
def test_camera_impossible_numbers_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        replace(RAW, **changes).camera(is_rectified=False)
    assert str(caught.value).startswith("camera_info ") and caught.value.remedy


@pytest.mark.parametrize("binning", [(2, 2), (4, 4)])
def test_camera_matrix_of_binned_image_is_refused(binning: tuple[int, int]) -> None:
    factor = binning[0]
    full = Calibration(640 * factor, 480 * factor, k(600 * factor, 600 * factor), (), "", binning=binning)
    centred = replace(full, k=k(600.0 * factor, 600.0 * factor, 320 * factor - 0.5, 240 * factor - 0.5))
    assert centred.camera(False).focal_px == pytest.approx(600)
    assert doubts(centred) == []
    with pytest.raises(UserError, match="of the binned image"):
        replace(full, k=k()).camera(False)


@pytest.mark.parametrize(
    ("changes", "question"),
    [
        ({"k": k(1200.0, 1200.0, 639.5, 479.5)}, "another resolution"),
        ({"k": k(300.0, 300.0, 159.5, 119.5)}, "another resolution"),
        ({"k": (600.0, 30.0, *k()[2:])}, "skew of 30 px"),
        ({"r": (2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0)}, "R that is no rotation"),
        ({"r": (-1.0, *IDENTITY[1:])}, "R that is no rotation"),
        ({"r": (NAN, *IDENTITY[1:])}, "R that is no rotation"),
    ],
)
def test_warnings_unlikely_numbers_are_reported(changes: dict[str, Any], question: str) -> None:
    (text,) = doubts(replace(RAW, **changes))
    assert question in text


def test_warnings_second_stereo_camera_is_reported() -> None:
    (text,) = doubts(replace(RAW, p=(*P[:3], -54.0, *P[4:])), is_rectified=True, topic="/stereo/right/image_rect")
    assert "0.120 m beside the first" in text


@pytest.mark.parametrize(
    ("topic", "is_rectified", "d", "question"),
    [
        ("/camera/image_rect", False, (-0.3, 0.1, 0.0, 0.0, 0.0), "Set image_is_rectified"),
        ("/camera/image_rect_color/compressed", False, (-0.3, 0.1, 0.0, 0.0, 0.0), "Set image_is_rectified"),
        ("/camera/image_rect", False, (0.0,) * 5, ""),
        ("/camera/image_raw", False, (-0.3, 0.1, 0.0, 0.0, 0.0), ""),
        ("/direct/image", False, (-0.3, 0.1, 0.0, 0.0, 0.0), ""),
        ("/camera/image_raw", True, (-0.3, 0.1, 0.0, 0.0, 0.0), "named as raw"),
        ("/camera/image", True, (-0.3, 0.1, 0.0, 0.0, 0.0), ""),
    ],
)
def test_warnings_topic_name_contradicts_parameter(
    topic: str, is_rectified: bool, d: tuple[float, ...], question: str
) -> None:
    found = doubts(replace(RAW, d=d), is_rectified, topic)
    assert len(found) == bool(question) and all(question in text for text in found)
