# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Lenses against OpenCV's projection, and their derivatives against differences."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from crack_perception.geometry.camera.lens import BrownLens, FisheyeLens, Lens

BROWN = {
    "none": [],
    "4": [-0.1, 0.02, 1e-3, -5e-4],
    "5": [-0.28, 0.09, 1e-3, -5e-4, -0.01],
    "8": [0.5, -0.2, 1e-3, 1e-3, 0.05, 0.8, -0.1, 0.02],
    "12": [0.5, -0.2, 1e-3, 1e-3, 0.05, 0.8, -0.1, 0.02, 1e-3, 1e-4, -1e-3, 2e-4],
    "14": [0.5, -0.2, 1e-3, 1e-3, 0.05, 0.8, -0.1, 0.02, 1e-3, 1e-4, -1e-3, 2e-4, 0.05, -0.08],
}
FISHEYE = {"ideal": (0.0, 0.0, 0.0, 0.0), "real": (-0.02, 0.005, -0.001, 0.0002)}
LENSES: dict[str, Lens] = {
    **{f"brown {name}": BrownLens.of(d) for name, d in BROWN.items()},
    **{f"fisheye {name}": FisheyeLens(k) for name, k in FISHEYE.items()},
}
PLANE = np.concatenate([np.zeros((1, 2)), np.random.default_rng(1).uniform(-0.9, 0.9, (200, 2))])


@pytest.mark.parametrize("name", BROWN)
def test_brown_lens_distortion_matches_opencv(name: str) -> None:
    bent = BrownLens.of(BROWN[name]).distorted(*PLANE.T)
    points = np.column_stack([PLANE, np.ones(len(PLANE))])
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.array(BROWN[name]))
    assert np.column_stack([bent.x, bent.y]) == pytest.approx(expected[:, 0], abs=1e-12)


@pytest.mark.parametrize("name", FISHEYE)
def test_fisheye_lens_distortion_matches_opencv(name: str) -> None:
    bent = FisheyeLens(FISHEYE[name]).distorted(*PLANE.T)
    points = np.column_stack([PLANE, np.ones(len(PLANE))])[:, None]
    expected, _ = cv2.fisheye.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.array(FISHEYE[name]))
    assert np.column_stack([bent.x, bent.y]) == pytest.approx(expected[:, 0], abs=1e-12)


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_lens_derivatives_match_finite_differences(lens: Lens) -> None:
    step = 1e-5
    bent = lens.distorted(*PLANE.T)
    for towards, by in (([step, 0.0], (bent.xx, bent.yx)), ([0.0, step], (bent.xy, bent.yy))):
        ahead, behind = lens.distorted(*(PLANE + towards).T), lens.distorted(*(PLANE - towards).T)
        assert by[0] == pytest.approx((ahead.x - behind.x) / (2 * step), rel=1e-7, abs=1e-7)
        assert by[1] == pytest.approx((ahead.y - behind.y) / (2 * step), rel=1e-7, abs=1e-7)
