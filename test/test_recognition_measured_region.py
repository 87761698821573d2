"""Two estimates of one width: how the measurement counts, and what the two say together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crack_perception.recognition.measured_region import combined_width, measured_width
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.vision.crack_line import CrackLine


def line(widths_px: list[float], sigma_px: float = 0.1, step_px: float = 4.0) -> CrackLine:
    points = np.column_stack([np.arange(len(widths_px)) * step_px, np.zeros(len(widths_px))])
    return CrackLine(points, np.array(widths_px, dtype=float), np.full(len(widths_px), sigma_px), 10.0)


def test_longer_lines_and_their_inner_vertices_weigh_more() -> None:
    estimate = measured_width([line([2.0, 2.0, 2.0], step_px=10.0), line([4.0, 4.0], step_px=5.0)])
    assert estimate is not None
    assert estimate.width == pytest.approx((20 * 2.0 + 5 * 4.0) / 25)
    bulging = measured_width([line([1.0, 3.0, 1.0])])
    assert bulging is not None and bulging.width == pytest.approx(2.0)


def test_unknown_widths_are_left_out() -> None:
    estimate = measured_width([line([2.0, math.nan, 2.0, 5.0])])
    assert estimate is not None and estimate.width == pytest.approx((0.5 * 2 + 1.0 * 2 + 0.5 * 5) / 2)


@pytest.mark.parametrize("lines", [[], [line([math.nan, math.nan])], [line([0.0, 0.0])]])
def test_nothing_measured_is_none(lines: list[CrackLine]) -> None:
    assert measured_width(lines) is None


def test_a_long_line_is_no_more_certain_than_its_parts() -> None:
    short, long = measured_width([line([2.0] * 3, 0.8)]), measured_width([line([2.0] * 300, 0.8)])
    assert short is not None and long is not None
    assert short.log_sigma == pytest.approx(long.log_sigma) == pytest.approx(0.4)


def test_a_claim_of_certainty_has_a_floor() -> None:
    estimate = measured_width([line([2.0] * 5, 1e-6)])
    assert estimate is not None and estimate.log_sigma >= 0.1


def test_without_a_measurement_the_model_stands() -> None:
    read = WidthEstimate(0.3, 0.2)
    assert combined_width(read, None) is read


def test_agreeing_estimates_sharpen_each_other() -> None:
    both = combined_width(WidthEstimate(0.5, 0.2), WidthEstimate(0.5, 0.2))
    assert both.log_width == pytest.approx(0.5)
    assert both.log_sigma == pytest.approx(0.2 / math.sqrt(2))


def test_the_surer_one_weighs_more() -> None:
    both = combined_width(WidthEstimate(0.0, 0.4), WidthEstimate(0.3, 0.2))
    assert both.log_width == pytest.approx(0.3 * 0.8)


def test_contradicting_estimates_are_less_certain_than_either() -> None:
    both = combined_width(WidthEstimate(0.0, 0.1), WidthEstimate(1.0, 0.1))
    assert both.log_width == pytest.approx(0.5)
    assert both.log_sigma == pytest.approx(0.5)


def test_a_model_that_claims_certainty_does_not_break_it() -> None:
    both = combined_width(WidthEstimate(0.0, 0.0), WidthEstimate(0.2, 0.2))
    assert math.isfinite(both.log_width) and both.log_sigma > 0
