# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the fusion of widths from many views."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.tracks.track import Track, track_of
from crack_perception.mapping.tracks.vertices import WIDTHS
from crack_perception.mapping.tracks.widths import are_alike, end_width_mm, fuse_widths

NAN = float("nan")


def track(width_mm: float, sigma_mm: float, gsd_mm: float, views: int = 1) -> Track:
    count = 3
    return track_of(
        MappedCrack(
            1,
            CrackState.NEW,
            np.arange(count)[:, None] * np.array([[0.02, 0, 0]]),
            np.full(count, width_mm),
            np.full(count, sigma_mm),
            np.array([0.0, 0, 1]),
            0.001 * np.eye(3),
            0.9,
            gsd_mm,
            views,
            0,
            0,
            0,
        ),
        1.0,
    )


def fused(before: Track, width_mm: float, sigma_mm: float, gsd_mm: float) -> tuple[float, float]:
    """Return width and standard deviation of the second of three vertices after a view of it."""
    v = before.vertices
    fuse_widths(v.states[1:2, WIDTHS], np.array([width_mm]), np.array([sigma_mm]), np.array([gsd_mm]))
    assert v.width_mm[[0, 2]] == pytest.approx(before.vertices.width_mm[0], nan_ok=True)
    return float(v.width_mm[1]), float(v.width_sigma_mm[1])


def test_fuse_widths_first_view_unchanged() -> None:
    assert fused(track(NAN, NAN, NAN), 0.4, 0.1, 1.0) == (0.4, 0.1)


def test_fuse_widths_equal_resolution_averaged() -> None:
    width, sigma = fused(track(0.4, 0.1, 1.0), 0.5, 0.1, 1.0)
    assert width == pytest.approx(0.45)
    assert sigma == pytest.approx(0.1 / np.sqrt(2))


def test_fuse_widths_sharper_view_replaces_coarser_ignored() -> None:
    assert fused(track(0.4, 0.1, 2.0), 0.6, 0.05, 1.0) == (0.6, 0.05)
    assert fused(track(0.4, 0.1, 1.0), 0.9, 0.3, 2.0) == (0.4, 0.1)


def test_fuse_widths_view_without_width_ignored() -> None:
    assert fused(track(0.4, 0.1, 1.0), NAN, NAN, 1.0) == (0.4, 0.1)


def test_fuse_widths_outlier_limited_and_sigma_bounded() -> None:
    before = track(0.4, 0.05, 1.0)
    for _ in range(10):
        fused(before, 0.4, 0.05, 1.0)
    width, _ = fused(before, 4.0, 0.05, 1.0)
    assert width < 0.45
    for _ in range(200):
        _, sigma = fused(before, 0.4, 0.05, 1.0)
    assert sigma == pytest.approx(0.025, rel=0.05)


def test_fuse_widths_unknown_resolution_replaced_by_known() -> None:
    assert fused(track(NAN, NAN, NAN), 0.7, 0.2, NAN) == (0.7, 0.2)
    before = track(NAN, NAN, NAN)
    fused(before, 0.7, 0.2, NAN)
    assert fused(before, 0.4, 0.1, 1.0) == (0.4, 0.1)


def test_end_width_ignores_outermost_vertices() -> None:
    width_mm = np.array([6.0, 4.0, 0.5, 0.6, np.nan, 0.5, *[0.4] * 20])
    assert end_width_mm(width_mm, at_end=False) == pytest.approx(0.4, abs=0.11)
    assert end_width_mm(width_mm, at_end=True) == pytest.approx(0.4)
    assert np.isnan(end_width_mm(np.full(9, np.nan), at_end=True))


def test_are_alike_fractions_of_a_pixel_are_no_difference() -> None:
    assert are_alike(0.1, 0.5, gsd_mm=1.0)
    assert not are_alike(0.1, 0.5, gsd_mm=0.1)
    assert are_alike(float("nan"), 5.0, gsd_mm=1.0)
