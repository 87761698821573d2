# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rendered cracks cover exactly the area given by their width."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.simulation.wall.crack_rendering import (
    crack_coverage,
    darken,
    random_crack_polyline,
    random_width_profile,
)


@pytest.mark.parametrize("width_px", [0.1, 0.5, 1.0, 2.5, 9.0])
def test_coverage_vertical_cross_section_sums_to_width(width_px: float) -> None:
    coverage = crack_coverage((21, 41), [[20.3, -30.0], [20.3, 60.0]], width_px)
    np.testing.assert_allclose(coverage.sum(axis=1), width_px, rtol=1e-4)


@pytest.mark.parametrize("width_px", [0.5, 1.0, 3.0])
def test_coverage_slanted_area_is_width_times_length(width_px: float) -> None:
    start, end = np.array([15.0, 12.0]), np.array([83.0, 61.0])
    coverage = crack_coverage((80, 100), [start, end], width_px)
    length = float(np.linalg.norm(end - start))
    caps = np.pi * width_px**2 / 4
    assert float(coverage.sum()) == pytest.approx(width_px * length + caps, rel=0.02)


def test_coverage_partial_pixels_are_proportional() -> None:
    coverage = crack_coverage((9, 9), [[4.0, -20.0], [4.0, 30.0]], 2.0)
    np.testing.assert_allclose(coverage[4, 2:7], [0.0, 0.5, 1.0, 0.5, 0.0], atol=1e-5)


def test_coverage_width_is_linear_between_vertices() -> None:
    coverage = crack_coverage((101, 31), [[15.0, 0.0], [15.0, 100.0]], [2.0, 6.0])
    np.testing.assert_allclose(coverage.sum(axis=1)[[25, 50, 75]], [3.0, 4.0, 5.0], atol=0.05)


def test_coverage_outside_image_is_zero() -> None:
    assert crack_coverage((10, 10), [[50.0, 50.0], [60.0, 70.0]], 3.0).max() == 0.0


def test_polyline_keeps_ends_and_requested_step() -> None:
    polyline = random_crack_polyline(np.random.default_rng(1), (3.0, 4.0), (90.0, 40.0), 0.1, 4.0)
    np.testing.assert_array_equal(polyline[[0, -1]], [[3.0, 4.0], [90.0, 40.0]])
    assert np.median(np.linalg.norm(np.diff(polyline, axis=0), axis=1)) < 5.0


def test_polyline_zero_roughness_is_straight() -> None:
    polyline = random_crack_polyline(np.random.default_rng(1), (0.0, 0.0), (64.0, 32.0), 0.0, 4.0)
    np.testing.assert_allclose(polyline[:, 1], polyline[:, 0] / 2, atol=1e-9)


def test_width_profile_has_requested_mean() -> None:
    widths = random_width_profile(np.random.default_rng(2), 65, 1.7, 0.3)
    assert widths.mean() == pytest.approx(1.7)
    assert widths.min() > 0
    assert widths.std() > 0.05


def test_darken_removes_requested_share_of_light() -> None:
    image = np.full((60, 60, 3), 200, np.uint8)
    coverage = crack_coverage((60, 60), [[30.0, 5.0], [30.0, 55.0]], 12.0)
    dark = darken(image, coverage, 0.5, np.random.default_rng(3))
    assert dark[30, 30].mean() == pytest.approx(100, abs=12)
    np.testing.assert_array_equal(dark[:, :15], image[:, :15])
    light_lost = 1.0 - dark[30].astype(float).mean(axis=1) / 200.0
    assert light_lost.sum() == pytest.approx(0.5 * 12.0, rel=0.12)
