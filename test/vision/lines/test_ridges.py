# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of ridge points: on the centreline of dark bars of any width, and none on edges."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.simulation.wall.crack_rendering import crack_coverage
from crack_perception.vision.lines.ridges import RidgePoints, answering_pixels, ridge_points, smoothed_levels
from crack_perception.vision.lines.tracing import trace_lines
from crack_perception.vision.scratch import Scratch

SHAPE = (121, 203)


def find_ridges(grey: np.ndarray, mask: np.ndarray, levels: int) -> RidgePoints:
    pyramid = smoothed_levels(grey.astype(np.float32), mask, levels, Scratch())
    return ridge_points(pyramid, answering_pixels(pyramid, mask))


def ridges_of(picture: np.ndarray, levels: int = 3) -> RidgePoints:
    noise = np.random.default_rng(1).normal(0, 1.0, picture.shape)
    return find_ridges(picture + noise, np.full(picture.shape, 255, np.uint8), levels)


def bar(start: tuple[float, float], end: tuple[float, float], width_px: float) -> np.ndarray:
    return np.asarray(170.0 - 80.0 * crack_coverage(SHAPE, [start, end], width_px))


@pytest.mark.parametrize(("width_px", "scale_px"), [(1.0, 1.2), (2.0, 1.2), (5.0, 2.4), (10.0, 4.8)])
def test_ridge_points_on_centreline_at_scale_of_bar(width_px: float, scale_px: float) -> None:
    ridges = ridges_of(bar((-20.0, 20.3), (230.0, 95.7), width_px))
    clear = (ridges.snr > 10) & (np.abs(ridges.points_px[:, 0] - 101) < 80)
    assert clear.sum() > 120
    slope = (95.7 - 20.3) / 250
    off_px = (ridges.points_px[clear, 1] - 20.3 - slope * (ridges.points_px[clear, 0] + 20)) / np.hypot(1, slope)
    assert np.sqrt((off_px**2).mean()) < 0.15
    assert np.median(ridges.scale_px[clear]) == pytest.approx(scale_px)
    along = np.abs(ridges.tangents[clear] @ np.array([1, slope]) / np.hypot(1, slope))
    assert np.median(along) > 0.99


def test_ridge_points_at_most_one_per_pixel() -> None:
    ridges = ridges_of(bar((10.0, 10.0), (190.0, 110.0), 3.0))
    assert len(np.unique(ridges.pixels, axis=0)) == len(ridges.pixels)
    assert np.abs(ridges.points_px - ridges.pixels).max() < 0.6


def test_ridge_points_step_edge_none_clear() -> None:
    step = np.full(SHAPE, 170.0)
    step[:, 100:] = 90.0
    assert (ridges_of(step).snr > 7).sum() == 0


def test_ridge_points_outside_mask_skipped() -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 100:] = 255
    ridges = find_ridges(bar((0.0, 60.0), (200.0, 60.0), 3.0), mask, 3)
    assert ridges.pixels[:, 0].min() == 100


def test_trace_ring_one_closed_line() -> None:
    angles = np.linspace(0, 2 * np.pi, 80)
    circle = np.column_stack([100 + 40 * np.cos(angles), 60 + 40 * np.sin(angles)])
    picture = 170.0 - 80.0 * crack_coverage(SHAPE, circle, 2.0)
    (line,) = trace_lines(ridges_of(picture), SHAPE, 0.0, Scratch())
    length_px = np.linalg.norm(np.diff(line.points_px, axis=0), axis=1).sum()
    assert length_px == pytest.approx(2 * np.pi * 40, rel=0.05)


def test_trace_crossing_lines_continue_straight() -> None:
    picture = np.minimum(bar((10.0, 60.0), (190.0, 62.0), 2.0), bar((70.0, 5.0), (130.0, 115.0), 2.0))
    lines = trace_lines(ridges_of(picture), SHAPE, 0.0, Scratch())
    spans = sorted(np.ptp(line.points_px, axis=0).max() for line in lines[:2])
    assert spans == pytest.approx([110, 180], abs=6)
