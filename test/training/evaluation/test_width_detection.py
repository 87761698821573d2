# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of rendered cracks of known width and of the fitted detection curve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny_model import write_tiny_model

from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.training.data.known_cracks import KnownCrack, draw_known_crack
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles, true_negatives
from crack_perception.training.evaluation.width_detection import (
    CONTRASTS,
    NEVER_PX,
    WIDTHS_PX,
    width_detection_figures,
    width_detection_table,
    width_found_with,
)


def dark_area(width_px: float, blur_px: float) -> float:
    tile = np.full((128, 128, 3), 250, np.uint8)
    (view,) = draw_known_crack(tile, KnownCrack(width_px, blur_px, (0.8,)), np.random.default_rng(5))
    return float((1.0 - view / 250.0).mean(axis=2).sum())


@pytest.mark.parametrize("blur_px", [0.0, 1.5])
def test_draw_known_crack_any_blur_has_area_of_width(blur_px: float) -> None:
    thin, wide = dark_area(1.0, blur_px), dark_area(4.0, blur_px)
    assert wide / thin == pytest.approx(4.0, rel=0.15)
    # At least a straight line across the tile, of contrast 0.8 and 1 px wide.
    assert thin >= 0.8 * 100


def test_draw_known_crack_contrasts_share_one_path() -> None:
    tile = np.full((128, 128, 3), 200, np.uint8)
    faint, strong = draw_known_crack(tile, KnownCrack(3.0, 0.0, (0.1, 0.4)), np.random.default_rng(1))
    assert int(strong.min()) == pytest.approx(120, abs=16) and int(faint.min()) == pytest.approx(180, abs=5)
    dark = faint.min(axis=2) < 184
    assert dark.sum() > 100 and strong[dark].mean() < 140 and strong[~dark].mean() > 195


def test_width_found_with_simulated_curve_is_recovered() -> None:
    rng = np.random.default_rng(0)
    widths = np.exp(rng.uniform(math.log(0.25), math.log(8.0), 20_000))
    found = rng.random(len(widths)) < 1.0 / (1.0 + (1.5 / widths) ** 3)
    assert width_found_with(widths, found, 0.5) == pytest.approx(1.5, rel=0.03)
    assert width_found_with(widths, found, 0.9) == pytest.approx(1.5 * 9 ** (1 / 3), rel=0.05)


def test_width_found_with_separable_data_stays_finite() -> None:
    widths = np.tile(np.array(WIDTHS_PX), 20)
    assert 1.5 < width_found_with(widths, widths > 1.8, 0.5) < 2.0
    assert width_found_with(widths, np.zeros(len(widths), bool), 0.9) == NEVER_PX
    assert width_found_with(widths, np.ones(len(widths), bool), 0.9) < WIDTHS_PX[0]


def test_width_detection_figures_detected_tile_is_excluded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tiny model detects levels below 64: wide cracks of 40 % contrast on a wall of level 100."""
    model = load_model(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")))
    detector = FrameDetector(model, open_backend("auto", model, 1))
    pixels = [np.full((64, 64, 3), level, np.uint8) for level in (100, 100, 10)]
    tiles = LabelledTiles(pixels, np.zeros(3, np.int64), np.array(["a", "b", "c"]), np.array(["s", "s", "s"]))
    figures = width_detection_figures(detector, true_negatives(detector, tiles), 6, 0)
    assert figures["tiles"] == 2
    strong, faint = figures["contrasts"]["0.4"], figures["contrasts"]["0.1"]
    assert strong["found"][0] == 0.0 and strong["found"][-1] == 1.0
    assert 0.5 < strong["w50_px"] < strong["w90_px"] <= 8.0 and strong["w90_sharp_px"] < strong["w90_px"]
    assert faint["w50_px"] is None and not any(faint["found"])
    lines = width_detection_table(figures).splitlines()
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 2 + len(CONTRASTS)
    assert width_detection_figures(detector, tiles.part(np.zeros(3, bool)), 6, 0)["tiles"] == 0
