# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the width of a region and its standard deviation from measured lines."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crack_perception.recognition.measurement import measured_width
from crack_perception.vision.lines.line import CrackLine


def line(widths_px: list[float], sigma_px: float = 0.1, step_px: float = 4.0, strength: float = 10.0) -> CrackLine:
    points = np.column_stack([np.arange(len(widths_px)) * step_px, np.zeros(len(widths_px))])
    return CrackLine(points, np.array(widths_px, dtype=float), np.full(len(widths_px), sigma_px), strength)


def test_region_width_long_lines_and_inner_vertices_weigh_more() -> None:
    estimate = measured_width([line([2.0, 2.0, 2.0], step_px=10.0), line([4.0, 4.0], step_px=5.0)])
    assert estimate is not None
    assert estimate.width == pytest.approx((20 * 2.0 + 5 * 4.0) / 25)
    bulging = measured_width([line([1.0, 3.0, 1.0])])
    assert bulging is not None and bulging.width == pytest.approx(2.0)


def test_region_width_unknown_widths_skipped() -> None:
    estimate = measured_width([line([2.0, math.nan, 2.0, 5.0])])
    assert estimate is not None and estimate.width == pytest.approx((0.5 * 2 + 1.0 * 2 + 0.5 * 5) / 2)


@pytest.mark.parametrize("lines", [[], [line([math.nan, math.nan])], [line([0.0, 0.0])]])
def test_region_width_nothing_measured_none(lines: list[CrackLine]) -> None:
    assert measured_width(lines) is None


def test_region_width_long_line_not_more_certain() -> None:
    short, long = measured_width([line([2.0] * 3, 0.8)]), measured_width([line([2.0] * 300, 0.8)])
    assert short is not None and long is not None
    assert short.log_sigma == pytest.approx(long.log_sigma)
    assert 0.4 < long.log_sigma < 0.5


def test_region_width_sigma_has_lower_limit() -> None:
    fine, wide = measured_width([line([1.0] * 5, 1e-6)]), measured_width([line([20.0] * 5, 1e-6)])
    assert fine is not None and wide is not None
    assert fine.log_sigma == pytest.approx(math.hypot(0.25, 0.15))
    assert wide.log_sigma == pytest.approx(0.15, abs=0.001)
