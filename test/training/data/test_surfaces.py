# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Synthetic surfaces: brightness, variety, joints and their cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crack_perception.training.data.surfaces import KINDS, draw_surface, load_surfaces, stepped_path

SIZE = 192


@pytest.mark.parametrize("kind", KINDS)
def test_draw_surface_seeds_are_repeatable_and_differ(kind: str) -> None:
    images = [draw_surface(np.random.default_rng(seed), SIZE, kind).pixels for seed in range(6)]
    np.testing.assert_array_equal(images[0], draw_surface(np.random.default_rng(0), SIZE, kind).pixels)
    assert all((p.shape, p.dtype) == ((SIZE, SIZE, 3), np.uint8) for p in images)
    assert all(15 < p.mean() < 240 and p.std() > 0.5 for p in images)
    assert np.ptp([p.mean() for p in images]) > 5


@pytest.mark.parametrize("kind", ["brick", "blocks"])
@pytest.mark.parametrize("seed", range(6))
def test_stepped_path_masonry_follows_joints(kind: str, seed: int) -> None:
    surface = draw_surface(np.random.default_rng(seed), SIZE, kind)
    assert surface.courses is not None
    courses = surface.courses
    path = stepped_path(courses, SIZE, np.random.default_rng(seed))
    assert ((path >= 0) & (path < SIZE)).all(axis=1).sum() > 8, "the crack crosses the image"
    x, y = (path - courses.origin_px).T
    row = np.floor(y / courses.course_px)
    bed = np.abs(y / courses.course_px - np.rint(y / courses.course_px)) * courses.course_px
    along = x / courses.unit_px - courses.shift * (row % 2)
    head = np.abs(along - np.rint(along)) * courses.unit_px
    jitter_px = 4 * (min(0.25 * courses.joint_px, 2.0) + 0.2)
    assert (np.minimum(bed, head) < jitter_px).mean() > 0.97


def test_draw_surface_no_kind_chooses_any() -> None:
    bonded = [draw_surface(np.random.default_rng(seed), 64).courses is not None for seed in range(30)]
    assert any(bonded) and not all(bonded)


def test_load_surfaces_second_call_uses_cache(tmp_path: Path) -> None:
    first = load_surfaces(4, 64, 0, tmp_path)
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = load_surfaces(4, 64, 0, tmp_path)
    assert stored == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(first) == len(second) == 4
    for i in range(4):
        np.testing.assert_array_equal(first[i].pixels, second[i].pixels)
        assert first[i].courses == second[i].courses


def test_surface_pool_numbers_photographed_surfaces_last(tmp_path: Path) -> None:
    pool = replace(load_surfaces(3, 64, 0, tmp_path), photographed=np.full((2, 64, 64, 3), 9, np.uint8))
    assert len(pool) == 5
    assert (pool[4].pixels == 9).all() and pool[4].courses is None
    assert not (pool[2].pixels == 9).all()
