"""Augmented and drawn-on tiles keep their shape, their label and their known widths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from crack_perception.training.data import augmentation
from crack_perception.training.data.rendered_views import CrackRanges, draw_crack, draw_lookalike

Tile = np.ndarray


@pytest.fixture
def concrete() -> Tile:
    rng = np.random.default_rng(0)
    return np.clip(rng.normal(150, 4, (128, 128, 3)), 0, 255).astype(np.uint8)


STEPS = [
    augmentation.recolour,
    augmentation.shadow,
    augmentation.stain,
    augmentation.blur,
    augmentation.add_noise,
    augmentation.compress,
]


@pytest.mark.parametrize("step", STEPS)
def test_every_step_changes_a_tile_and_keeps_its_form(step: Callable[..., Tile], concrete: Tile) -> None:
    before = concrete.copy()
    view = step(concrete, np.random.default_rng(1))
    assert (view.shape, view.dtype) == (concrete.shape, np.uint8)
    assert not np.array_equal(view, before)
    np.testing.assert_array_equal(concrete, before)
    np.testing.assert_array_equal(view, step(concrete, np.random.default_rng(1)))


def test_moves_report_their_scale() -> None:
    """A bar's area grows with the square of the reported scale."""
    tile = np.zeros((128, 128, 3), np.uint8)
    tile[56:72, 56:72] = 255
    rng = np.random.default_rng(2)
    scales = []
    for _ in range(30):
        view, scale = augmentation.move(tile, rng)
        assert view.mean() / tile.mean() == pytest.approx(scale**2, rel=0.03)
        scales.append(scale)
    assert min(scales) < 0.9 and max(scales) > 1.1 and 1.0 in scales


def test_drawn_crack_has_the_reported_width() -> None:
    tile = np.full((256, 256, 3), 200, np.uint8)
    ranges = CrackRanges(width_px=(6.0, 6.0), contrast=(0.5, 0.5), roughness=(0.0, 0.0), width_variation=(0.0, 0.0))
    rng = np.random.default_rng(3)
    for _ in range(5):
        view, width_px = draw_crack(tile, rng, ranges)
        assert width_px == pytest.approx(6.0)
        dark = view[..., 1] < 150
        # A straight stroke: area over the longer side of its bounding box, as seen along the diagonal.
        rows, columns = np.nonzero(dark)
        length = np.hypot(np.ptp(rows), np.ptp(columns))
        assert dark.sum() / length == pytest.approx(6.0, rel=0.12)


def test_hairlines_are_drawn_dark_enough_to_be_seen() -> None:
    tile = np.full((256, 256, 3), 200, np.uint8)
    ranges = CrackRanges(width_px=(0.5, 0.5), contrast=(0.05, 0.6), least_signal=0.1)
    rng = np.random.default_rng(4)
    darkest = [200 - int(draw_crack(tile, rng, ranges)[0].min()) for _ in range(10)]
    assert min(darkest) > 0.1 * 200 * 0.5


def test_lookalikes_leave_a_mark(concrete: Tile) -> None:
    rng = np.random.default_rng(5)
    changes = [np.abs(draw_lookalike(concrete, rng).astype(int) - concrete).max() for _ in range(20)]
    assert np.median(changes) > 20
