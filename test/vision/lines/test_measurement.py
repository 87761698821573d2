# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of line measurement on cracks of known width and length, and on surfaces without cracks."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rendered_cracks import (
    SHAPE,
    WHOLE,
    Errors,
    concrete,
    errors_of,
    measure_crack_lines,
    photographed,
    plain_surface,
    rendered_crack,
)

from crack_perception.simulation.wall.crack_rendering import crack_coverage, darken
from crack_perception.vision.lines.line import CrackLine
from crack_perception.vision.lines.measurement import crack_line_batches
from crack_perception.vision.scratch import Scratch

SEEDS = range(5)
LEVEL = 170
WIDTHS_PX = (1.5, 2.5, 4.0, 7.0, 12.0, 18.0)
CONTRASTS = (0.4, 0.8)


@functools.cache
def surface_of(seed: int) -> NDArray[np.uint8]:
    """Return one of three concrete walls."""
    return concrete(31 + seed)


@functools.cache
def errors(width_px: float, contrast: float) -> list[Errors]:
    """Of cracks on concrete."""
    cracks = [rendered_crack(seed, surface_of(seed % 3), width_px, contrast) for seed in SEEDS]
    return [errors_of(crack, measure_crack_lines(crack.image, WHOLE, width_px)) for crack in cracks]


def straight(
    start: tuple[float, float], end: tuple[float, float], width_px: float, surface: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Render a straight crack on a surface."""
    coverage = crack_coverage((surface.shape[0], surface.shape[1]), [start, end], width_px)
    return darken(surface, coverage, 0.6, np.random.default_rng(5))


def on_plain(picture: NDArray[np.uint8], expected_width_px: float = 3.0) -> list[CrackLine]:
    """Measure the lines of a whole image with noise."""
    image = photographed(picture, np.random.default_rng(6))
    box = np.array([[0, 0, picture.shape[1], picture.shape[0]]], np.int32)
    return measure_crack_lines(image, box, expected_width_px)


@pytest.mark.parametrize("contrast", CONTRASTS)
@pytest.mark.parametrize(
    ("width_px", "width_error_px", "centre_error_px"),
    list(zip(WIDTHS_PX, (0.2, 0.15, 0.16, 0.22, 0.25, 0.4), (0.3, 0.3, 0.3, 0.4, 0.5, 0.6), strict=True)),
)
def test_measure_concrete_width_length_and_position_accurate(
    width_px: float, width_error_px: float, centre_error_px: float, contrast: float
) -> None:
    found = errors(width_px, contrast)
    width_errors_px = np.concatenate([each.width_px for each in found])
    assert np.abs(width_errors_px).mean() <= width_error_px
    assert max(abs(each.length) for each in found) <= 0.05
    centres_px = np.concatenate([each.centre_px for each in found])
    assert np.sqrt((centres_px**2).mean()) <= centre_error_px


def test_measure_width_sigmas_match_errors() -> None:
    found = [each for width_px in WIDTHS_PX for contrast in CONTRASTS for each in errors(width_px, contrast)]
    sigmas = np.abs(np.concatenate([each.width_sigmas for each in found]))
    assert np.mean(sigmas < 1) == pytest.approx(0.68, abs=0.1)
    assert np.mean(sigmas < 2) > 0.9


@pytest.mark.parametrize("width_px", [0.4, 0.7, 1.0])
def test_measure_subpixel_cracks_found_with_large_sigma(width_px: float) -> None:
    (line, *_) = on_plain(straight((100.3, 90.0), (600.0, 400.7), width_px, plain_surface()), 1.0)
    assert line.length_px == pytest.approx(np.hypot(499.7, 310.7), rel=0.02)
    assert np.mean(np.abs(line.width_px - width_px) < 2 * line.width_sigma_px) > 0.8


def test_measure_branch_separate_line() -> None:
    surface = straight((60.0, 256.0), (700.0, 256.0), 4.0, plain_surface())
    lines = on_plain(straight((300.0, 256.0), (480.0, 60.0), 2.0, surface))
    assert len(lines) == 2
    assert lines[0].length_px == pytest.approx(640, abs=8)
    assert lines[1].length_px == pytest.approx(np.hypot(180, 196), rel=0.05)
    assert np.median(lines[0].width_px) == pytest.approx(4.0, abs=0.2)
    assert np.median(lines[1].width_px) == pytest.approx(2.0, abs=0.2)


def test_measure_gap_in_direction_bridged() -> None:
    surface = straight((60.0, 100.0), (380.0, 260.0), 2.0, plain_surface())
    (line,) = on_plain(straight((391.0, 265.5), (700.0, 420.0), 2.0, surface))
    assert line.length_px == pytest.approx(np.hypot(640, 320), rel=0.02)


def test_measure_only_inside_tiles() -> None:
    image = photographed(straight((0.0, 200.0), (767.0, 230.0), 3.0, plain_surface()), np.random.default_rng(7))
    tiles = np.array([[256, 0, 512, 256], [512, 0, 768, 256]], np.int32)
    (line,) = measure_crack_lines(image, tiles, 3.0)
    x = line.points_px[:, 0]
    assert x.min() == pytest.approx(256, abs=3)
    assert x.max() == pytest.approx(767, abs=3)
    np.testing.assert_allclose(line.points_px[:, 1], 200 + 30 / 767 * x, atol=0.4)


def test_measure_step_edge_no_line() -> None:
    surface = plain_surface()
    surface[:, 400:] = 110
    assert on_plain(surface) == []
    soft = cv2.GaussianBlur(surface, (0, 0), 4.0)
    assert on_plain(np.asarray(soft, np.uint8)) == []


def test_measure_crack_across_shadow_edge_one_line() -> None:
    lit = straight((60.0, 256.0), (700.0, 270.0), 3.0, plain_surface())
    shadow = np.where(np.arange(SHAPE[1]) < 380, 1.0, 0.6)[None, :, None]
    (line,) = on_plain((lit * shadow).astype(np.uint8))
    assert line.length_px == pytest.approx(640, rel=0.02)
    assert np.median(line.width_px) == pytest.approx(3.0, abs=0.2)


def test_measure_noise_and_flat_surface_no_line() -> None:
    rng = np.random.default_rng(8)
    assert measure_crack_lines(plain_surface(), WHOLE, 2.0) == []
    noisy = np.clip(rng.normal(128, 25, (*SHAPE, 3)), 0, 255).astype(np.uint8)
    assert measure_crack_lines(noisy, WHOLE, 2.0) == []


def test_measure_bright_lines_and_pores_no_line() -> None:
    bright = plain_surface(120)
    cv2.line(bright, (50, 60), (700, 400), (200, 200, 200), 3, cv2.LINE_AA)
    assert on_plain(bright) == []
    pores = plain_surface()
    for x, y, radius in ((100, 100, 6), (300, 200, 10), (500, 350, 3), (650, 120, 16)):
        cv2.circle(pores, (x, y), radius, (60, 60, 60), -1, cv2.LINE_AA)
    assert on_plain(pores) == []


@pytest.mark.parametrize("level", [0, 255])
def test_measure_extreme_images_no_warnings(level: int) -> None:
    surface = plain_surface(level)
    with np.errstate(all="raise", under="ignore"):
        assert measure_crack_lines(surface, WHOLE, 2.0) == []
        cv2.line(surface, (50, 60), (700, 400), (255 - level,) * 3, 5)
        lines = measure_crack_lines(surface, WHOLE, 5.0)
    assert len(lines) == (1 if level else 0)
    for line in lines:
        assert np.isfinite(line.points_px).all()
        assert np.isfinite(line.width_px).all()
        assert (line.width_sigma_px > 0).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 5), (17, 33), (30, 300)])
def test_measure_tiny_region_accepted(size: tuple[int, int]) -> None:
    height, width = size
    frame = np.random.default_rng(9).integers(0, 256, (height, width, 3), np.uint8)
    for expected_width_px in (0.01, 3.0, 400.0):
        for line in measure_crack_lines(frame, np.array([[0, 0, width, height]], np.int32), expected_width_px):
            assert np.isfinite(line.width_px).all()
    assert measure_crack_lines(frame, np.empty((0, 4), np.int32), 2.0) == []


def test_measure_tile_order_and_position_irrelevant() -> None:
    crack = rendered_crack(3, plain_surface(), 3.0, 0.6)
    tiles = np.array([[x, y, x + 256, y + 256] for y in (0, 256) for x in (0, 256, 512)], np.int32)
    (line,) = measure_crack_lines(crack.image, tiles, 3.0)
    (again,) = measure_crack_lines(crack.image, tiles[::-1], 3.0)
    np.testing.assert_array_equal(line.points_px, again.points_px)
    moved = np.full((900, 1100, 3), LEVEL, np.uint8)
    moved[100 : 100 + SHAPE[0], 300 : 300 + SHAPE[1]] = crack.image
    (elsewhere,) = measure_crack_lines(moved, tiles + [300, 100, 300, 100], 3.0)
    np.testing.assert_allclose(np.median(elsewhere.width_px), np.median(line.width_px), atol=0.05)
    np.testing.assert_allclose(elsewhere.length_px, line.length_px, rtol=0.01)


def test_measure_reused_memory_no_effect() -> None:
    scratch = Scratch()
    fine, wide = (
        rendered_crack(seed, plain_surface(), width_px, 0.6).image for seed, width_px in ((3, 2.5), (4, 18.0))
    )
    first, second = WHOLE, np.array([[70, 30, 690, 497]], np.int32)
    for image, box, width_px in ((wide, first, 18.0), (fine, second, 2.5), (wide, second, 18.0), (fine, first, 2.5)):
        batches = crack_line_batches(image, box, width_px, scratch=scratch)
        again = [line for batch in batches for line in batch.lines]
        assert again
        for line, fresh in zip(again, measure_crack_lines(image, box, width_px), strict=True):
            np.testing.assert_array_equal(line.points_px, fresh.points_px)
            np.testing.assert_array_equal(line.width_px, fresh.width_px)
