# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Strength and repeatability of interference, and figures paired with clean tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_model import write_tiny_model

from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.models import load_model
from crack_perception.training.data.interference import INTERFERENCES, PAPER_KINDS, interfere
from crack_perception.training.evaluation.interference import (
    ALL,
    CLEAN,
    PAPER,
    interference_figures,
    interference_table,
)
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles

SIZE = 64


@pytest.fixture
def tile() -> np.ndarray:
    """A textured wall."""
    return np.random.default_rng(0).integers(120, 180, (SIZE, SIZE, 3)).astype(np.uint8)


def flat(level: int) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), level, np.uint8)


@pytest.mark.parametrize("kind", INTERFERENCES)
def test_interfere_same_seed_is_equal_and_keeps_input(kind: str, tile: np.ndarray) -> None:
    before = tile.copy()
    view = interfere(tile, kind, 3)
    assert view.shape == tile.shape and view.dtype == np.uint8
    assert (view != tile).mean() > 0.03
    np.testing.assert_array_equal(view, interfere(tile, kind, 3))
    np.testing.assert_array_equal(tile, before)


def test_interfere_other_seed_or_tile_changes_shapes(tile: np.ndarray) -> None:
    assert (interfere(tile, "shadow", 0) != interfere(tile, "shadow", 1)).any()
    shades = [interfere(flat(level), "shadow", 0) / level for level in (100, 200)]
    assert np.abs(shades[0] - shades[1]).max() > 0.1


@pytest.mark.parametrize("seed", range(6))
def test_shadow_umbra_keeps_40_to_50_percent(seed: int) -> None:
    view = interfere(np.full((256, 256, 3), 200, np.uint8), "shadow", seed)
    np.testing.assert_allclose(view.reshape(-1, 3).min(axis=0) / 200, (0.50, 0.44, 0.40), atol=0.04)
    assert view.max() == 200


@pytest.mark.parametrize("seed", range(6))
def test_stain_darkens_red_least_and_not_below_rust(seed: int) -> None:
    view = interfere(np.full((256, 256, 3), 200, np.uint8), "stain", seed) / 200.0
    assert (view <= 1.0).all() and view.min() >= 0.45 - 0.01
    assert (view[..., 2] >= view[..., 0] - 1e-9).all()


def test_low_contrast_keeps_35_percent(tile: np.ndarray) -> None:
    view = interfere(tile, "low_contrast", 0)
    assert view.std() / tile.std() == pytest.approx(0.35, abs=0.02)


def test_blur_point_has_defined_extent_and_keeps_sum() -> None:
    point = flat(0)
    point[SIZE // 2, SIZE // 2] = 255
    moved, defocused = (interfere(point, kind, 0).astype(float)[..., 0] for kind in ("motion_blur", "defocus"))
    y, x = np.nonzero(moved > 8)
    assert np.hypot(np.ptp(x) + 1, np.ptp(y) + 1) == pytest.approx(5.0, abs=1.8)
    assert moved.sum() == pytest.approx(255, rel=0.05) and defocused.sum() == pytest.approx(255, rel=0.1)
    # A disc of radius 2 px covers 12.6 px.
    assert 255 / defocused.max() == pytest.approx(np.pi * 4, rel=0.1)


def test_noise_brighter_tile_has_larger_sigma() -> None:
    sigmas = [float(interfere(flat(level), "noise", 0).astype(float).std()) for level in (30, 220)]
    assert sigmas == pytest.approx([6.8, 13.1], rel=0.05)


def test_exposure_applies_one_of_two_gains() -> None:
    gains = {round(float(interfere(flat(100 + i), "exposure", 0).mean()) / (100 + i), 1) for i in range(12)}
    assert gains == {0.6, 1.3}


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> FrameDetector:
    """Detector that classifies a tile as cracked if its darkest pixel is dark."""
    model = load_model(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")))
    return FrameDetector(model, open_backend("auto", model, 1))


def test_interference_figures_are_stratum_means_paired_with_clean(detector: FrameDetector, tmp_path: Path) -> None:
    """Stratum a is classified correctly when clean; b has only intact tiles. Shadow darkens grey 100."""
    tiles = LabelledTiles(
        [flat(5), flat(250), flat(250), flat(100)],
        np.array([1, 0, 0, 0]),
        np.array(["p", "q", "r", "s"]),
        np.array(["a", "a", "b", "b"]),
    )
    figures = interference_figures(detector, tiles, 1)
    assert list(figures) == [CLEAN, *INTERFERENCES, PAPER, ALL] and set(PAPER_KINDS) <= set(INTERFERENCES)
    clean, shadow = figures[CLEAN], figures["shadow"]
    assert (clean["n"], clean["f1"], clean["far"], clean["misses"]) == (4, 1.0, 0.0, 0.0)
    assert "f1_change" not in clean and figures["defocus"]["f1_change"] == 0.0
    assert shadow["strata"]["b"] == {"f1": None, "far": 0.5, "misses": None}
    assert (shadow["f1"], shadow["far"], shadow["far_change"]) == (1.0, 0.25, 0.25)
    assert figures[PAPER]["n"] == 12 and figures[ALL]["n"] == 4 * len(INTERFERENCES)
    lines = interference_table(figures).splitlines()
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 2 + len(figures)
