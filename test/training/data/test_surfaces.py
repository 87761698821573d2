"""Drawn surfaces look their part: bright enough, varied, with joints where they say, and free of cracks."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.training.data.surfaces import KINDS, draw_surface, stepped_path
from crack_perception.training.data.transplant import crack_gain, transplant

SIZE = 192


@pytest.mark.parametrize("kind", KINDS)
def test_surfaces_are_repeatable_and_differ_from_one_another(kind: str) -> None:
    pictures = [draw_surface(np.random.default_rng(seed), SIZE, kind).pixels for seed in range(6)]
    np.testing.assert_array_equal(pictures[0], draw_surface(np.random.default_rng(0), SIZE, kind).pixels)
    assert all((p.shape, p.dtype) == ((SIZE, SIZE, 3), np.uint8) for p in pictures)
    assert all(15 < p.mean() < 240 and p.std() > 0.5 for p in pictures)
    assert np.ptp([p.mean() for p in pictures]) > 5


@pytest.mark.parametrize("kind", ["brick", "blocks"])
@pytest.mark.parametrize("seed", range(6))
def test_a_stepped_crack_runs_through_the_joints(kind: str, seed: int) -> None:
    surface = draw_surface(np.random.default_rng(seed), SIZE, kind)
    assert surface.courses is not None
    courses = surface.courses
    path = stepped_path(courses, SIZE, np.random.default_rng(seed))
    assert ((path >= 0) & (path < SIZE)).all(axis=1).sum() > 8, "the crack crosses the picture"
    x, y = (path - courses.origin_px).T
    row = np.floor(y / courses.course_px)
    bed = np.abs(y / courses.course_px - np.rint(y / courses.course_px)) * courses.course_px
    along = x / courses.unit_px - courses.shift * (row % 2)
    head = np.abs(along - np.rint(along)) * courses.unit_px
    jitter_px = 4 * (min(0.25 * courses.joint_px, 2.0) + 0.2)
    assert (np.minimum(bed, head) < jitter_px).mean() > 0.97


def test_any_kind_is_drawn_when_none_is_asked_for() -> None:
    bonded = [draw_surface(np.random.default_rng(seed), 64).courses is not None for seed in range(30)]
    assert any(bonded) and not all(bonded)


def crack_on(level: float, depth: float, noise: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(5)
    tile = rng.normal(level, noise, (SIZE, SIZE, 3))
    x = 96 + 20 * np.sin(np.arange(SIZE) / 25)
    tile[np.abs(np.arange(SIZE)[None, :] - x[:, None]) < 3] *= 1 - depth
    return np.clip(tile, 0, 255).astype(np.uint8)


def test_the_gain_of_a_crack_is_what_it_takes_from_the_light() -> None:
    gain = crack_gain(crack_on(180, 0.6))
    assert gain is not None
    assert gain[100, round(96 + 20 * np.sin(100 / 25))] / 255 == pytest.approx(0.4, abs=0.08)
    assert (gain[:, :40] == 255).all()


def test_faint_and_missing_cracks_are_no_donors() -> None:
    assert crack_gain(crack_on(180, 0.1)) is None
    assert crack_gain(crack_on(180, 0.0)) is None
    assert crack_gain(crack_on(180, 0.3, noise=60)) is None


def test_a_transplanted_crack_only_darkens() -> None:
    gain = crack_gain(crack_on(180, 0.6))
    assert gain is not None
    surface = draw_surface(np.random.default_rng(2), SIZE, "render").pixels
    for seed in range(5):
        cracked = transplant(surface, gain, np.random.default_rng(seed))
        assert (cracked <= surface).all()
        share = (cracked.mean(axis=2) < 0.85 * surface.mean(axis=2)).mean()
        assert 0.005 < share < 0.3
