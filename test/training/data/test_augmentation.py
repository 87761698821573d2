# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Random augmentation of tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from crack_perception.training.data import augmentation

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
def test_step_tile_returns_changed_copy_repeatably(step: Callable[..., Tile], concrete: Tile) -> None:
    before = concrete.copy()
    view = step(concrete, np.random.default_rng(1))
    assert (view.shape, view.dtype) == (concrete.shape, np.uint8)
    assert not np.array_equal(view, before)
    np.testing.assert_array_equal(concrete, before)
    np.testing.assert_array_equal(view, step(concrete, np.random.default_rng(1)))


def test_move_bar_returns_its_scale() -> None:
    """The area of a bar is proportional to the square of the returned scale."""
    tile = np.zeros((128, 128, 3), np.uint8)
    tile[56:72, 56:72] = 255
    rng = np.random.default_rng(2)
    scales = []
    for _ in range(30):
        view, scale = augmentation.move(tile, rng)
        assert view.mean() / tile.mean() == pytest.approx(scale**2, rel=0.03)
        scales.append(scale)
    assert min(scales) < 0.9 and max(scales) > 1.1 and 1.0 in scales
