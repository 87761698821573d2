# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Synthetic training tiles: rendered cracks, hard negatives, and pasted cracks."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.training.data.surfaces import draw_surface
from crack_perception.training.data.synthesis import (
    CrackRanges,
    crack_gain,
    draw_crack,
    draw_hard_negative,
    paste_crack,
)

SIZE = 192
Tile = np.ndarray


def test_draw_crack_given_width_returns_it() -> None:
    tile = np.full((256, 256, 3), 200, np.uint8)
    ranges = CrackRanges(width_px=(6.0, 6.0), contrast=(0.5, 0.5), roughness=(0.0, 0.0), width_variation=(0.0, 0.0))
    rng = np.random.default_rng(3)
    for _ in range(5):
        view, width_px = draw_crack(tile, rng, ranges)
        assert width_px == pytest.approx(6.0)
        dark = view[..., 1] < 150
        # Width of a straight stroke: its area divided by the diagonal of its bounding box.
        rows, columns = np.nonzero(dark)
        length = np.hypot(np.ptp(rows), np.ptp(columns))
        assert dark.sum() / length == pytest.approx(6.0, rel=0.12)


def test_draw_crack_hairline_is_visible() -> None:
    tile = np.full((256, 256, 3), 200, np.uint8)
    ranges = CrackRanges(width_px=(0.5, 0.5), contrast=(0.05, 0.6), least_signal=0.1)
    rng = np.random.default_rng(4)
    darkest = [200 - int(draw_crack(tile, rng, ranges)[0].min()) for _ in range(10)]
    assert min(darkest) > 0.1 * 200 * 0.5


def test_draw_crack_filled_is_brighter_than_the_surface() -> None:
    tile = np.full((256, 256, 3), 120, np.uint8)
    ranges = CrackRanges(width_px=(5.0, 5.0), contrast=(0.3, 0.3), bright_share=1.0)
    rng = np.random.default_rng(4)
    for _ in range(5):
        filled, width_px = draw_crack(tile, rng, ranges)
        assert filled.min() == 120
        assert 120 * 1.2 < np.quantile(filled, 0.999) < 120 * 1.7
        assert width_px == pytest.approx(5.0, rel=0.4)


def test_draw_crack_broad_share_gives_broad_cracks() -> None:
    tile = np.full((256, 256, 3), 200, np.uint8)
    ranges = CrackRanges(width_px=(1.0, 2.0), broad_share=0.5, broad_px=(20.0, 40.0), width_variation=(0.0, 0.0))
    rng = np.random.default_rng(4)
    widths = np.array([draw_crack(tile, rng, ranges)[1] for _ in range(40)])
    assert 10 <= (widths > 15).sum() <= 30
    assert ((widths < 2.5) | (widths > 19.0)).all()


def test_draw_hard_negative_changes_tile() -> None:
    tile = np.clip(np.random.default_rng(0).normal(150, 4, (128, 128, 3)), 0, 255).astype(np.uint8)
    rng = np.random.default_rng(5)
    changes = [np.abs(draw_hard_negative(tile, rng).astype(int) - tile).max() for _ in range(20)]
    assert np.median(changes) > 20


def crack_on(level: float, depth: float, noise: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(5)
    tile = rng.normal(level, noise, (SIZE, SIZE, 3))
    x = 96 + 20 * np.sin(np.arange(SIZE) / 25)
    tile[np.abs(np.arange(SIZE)[None, :] - x[:, None]) < 3] *= 1 - depth
    return np.clip(tile, 0, 255).astype(np.uint8)


def test_crack_gain_clear_crack_equals_its_darkening() -> None:
    gain = crack_gain(crack_on(180, 0.6))
    assert gain is not None
    assert gain[100, round(96 + 20 * np.sin(100 / 25))] / 255 == pytest.approx(0.4, abs=0.08)
    assert (gain[:, :40] == 255).all()


def test_crack_gain_faint_or_no_crack_returns_none() -> None:
    assert crack_gain(crack_on(180, 0.1)) is None
    assert crack_gain(crack_on(180, 0.0)) is None
    assert crack_gain(crack_on(180, 0.3, noise=60)) is None


def test_paste_crack_surface_only_darkens() -> None:
    gain = crack_gain(crack_on(180, 0.6))
    assert gain is not None
    surface = draw_surface(np.random.default_rng(2), SIZE, "render").pixels
    for seed in range(5):
        cracked = paste_crack(surface, gain, np.random.default_rng(seed))
        assert (cracked <= surface).all()
        share = (cracked.mean(axis=2) < 0.85 * surface.mean(axis=2)).mean()
        assert 0.005 < share < 0.3
