# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the verdict of an image, which is that of the tile with the highest score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny_model import write_tiny_model

from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale
from crack_perception.recognition.tile_verdict import strongest_tile

SCALE = SeverityScale((0.1,))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> FrameDetector:
    model = load_model(str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")))
    return FrameDetector(model, open_backend("auto", model, 1))


def picture(width: int, height: int, *dark: tuple[int, int, int]) -> np.ndarray:
    """Return a grey image with pixels (x, y, grey)."""
    pixels = np.full((height, width, 3), 180, np.uint8)
    for x, y, grey in dark:
        pixels[y, x] = grey
    return pixels


def score_of(grey: float) -> float:
    return 1 / (1 + math.exp(-(64 - grey) / 8))


def test_verdict_from_tile_with_highest_score(detector: FrameDetector) -> None:
    verdict = strongest_tile(detector, picture(300, 200, (10, 10, 55), (290, 190, 20), (150, 100, 40)), SCALE, None)
    assert verdict.crack_score == pytest.approx(score_of(20), abs=1e-5)
    assert verdict.is_crack


def test_verdict_intact_image_no_severity_or_width(detector: FrameDetector) -> None:
    verdict = strongest_tile(detector, picture(300, 200, (10, 10, 70)), SCALE, 0.2)
    assert verdict.crack_score == pytest.approx(score_of(70), abs=1e-5)
    assert not verdict.is_crack
    assert (verdict.severity, verdict.severity_score) == ("", None)
    assert (verdict.width_px, verdict.width_mm) == (None, None)


def test_verdict_score_at_threshold_cracked(detector: FrameDetector) -> None:
    assert strongest_tile(detector, picture(64, 64, (3, 3, 64)), SCALE, None).is_crack
    assert not strongest_tile(detector, picture(64, 64, (3, 3, 65)), SCALE, None).is_crack


def test_verdict_without_scale_severity_from_pixels(detector: FrameDetector) -> None:
    verdict = strongest_tile(detector, picture(64, 64, (3, 3, 30)), SCALE, None)
    assert verdict.severity == UNDETERMINED
    # The tiny model's two-class score equals its crack score.
    assert verdict.severity_score == pytest.approx(score_of(30), abs=1e-5)
    assert verdict.width_px == pytest.approx(2.0, rel=1e-5)
    assert verdict.width_mm is None


@pytest.mark.parametrize(("gsd", "severity"), [(0.2, "obvious"), (0.02, "minor")])
def test_verdict_with_scale_severity_from_millimetres(detector: FrameDetector, gsd: float, severity: str) -> None:
    verdict = strongest_tile(detector, picture(64, 64, (3, 3, 30)), SCALE, gsd)
    assert verdict.severity == severity
    assert verdict.severity_score == pytest.approx(1.0, abs=1e-6)
    assert verdict.width_mm == pytest.approx(2 * gsd, rel=1e-5)


def test_verdict_width_near_edge_undetermined(detector: FrameDetector) -> None:
    verdict = strongest_tile(detector, picture(64, 64, (3, 3, 30)), SCALE, 0.05)
    assert verdict.severity == UNDETERMINED
    assert verdict.severity_score == pytest.approx(score_of(30), abs=1e-5)
    assert verdict.width_mm == pytest.approx(0.1, rel=1e-5)
