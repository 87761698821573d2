# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the report fields of a crack in all exports: known values, and None for unknown ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from map_cracks import straight_crack

from crack_perception.mapping.export.crack_report import crack_report, iso_time, middle_m, position_sigma_m, width_of
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale

EC2 = SeverityScale.of_preset("ec2")


def test_crack_report_known_crack_expected_values() -> None:
    report = crack_report(straight_crack(), EC2)
    assert report.length_m == pytest.approx(2.0)
    assert report.mean_width_mm == pytest.approx(0.5)
    assert report.mean_width_sigma_mm == pytest.approx(0.05)
    assert report.max_width_mm == pytest.approx(0.6)
    assert report.position_sigma_m == pytest.approx(0.02)
    assert report.severity.verdict == ">=0.4mm"
    assert report.severity.probabilities[-1] == pytest.approx(0.987, abs=1e-3)
    assert report.first_seen == "2023-11-14T22:13:20.123456789Z"


def test_crack_report_width_on_class_edge_undetermined() -> None:
    crack = straight_crack(width_mm=np.full(3, 0.4), width_sigma_mm=np.full(3, 0.1))
    assert crack_report(crack, EC2).severity.verdict == UNDETERMINED


@pytest.mark.parametrize("width_mm", [math.nan, 0.0, -0.1, math.inf])
def test_crack_report_without_width_without_severity(width_mm: float) -> None:
    crack = straight_crack(width_mm=np.full(3, width_mm))
    assert width_of(crack) is None
    assert crack_report(crack, EC2).severity.verdict == UNDETERMINED


def test_crack_report_unknown_values_none() -> None:
    unknown = np.full(3, math.nan)
    crack = straight_crack(
        width_mm=unknown,
        width_sigma_mm=unknown,
        covariance_m2=np.full((3, 3), math.nan),
        gsd_mm_per_px=math.nan,
        score=math.nan,
    )
    report = crack_report(crack, EC2)
    assert (report.mean_width_mm, report.mean_width_sigma_mm, report.max_width_mm) == (None, None, None)
    assert (report.position_sigma_m, report.gsd_mm_per_px, report.score) == (None, None, None)


def test_crack_report_position_sigma_of_worst_direction() -> None:
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    covariance_m2 = turn @ np.diag([0.01, 0.03, 0.02]) ** 2 @ turn.T
    assert position_sigma_m(straight_crack(covariance_m2=covariance_m2)) == pytest.approx(0.03)


def test_crack_report_middle_is_at_half_length() -> None:
    crack = straight_crack(line_m=np.array([[0.0, 0, 0], [0.1, 0, 0], [0.1, 0, 1.9]]))
    np.testing.assert_allclose(middle_m(crack), [0.1, 0, 0.9])


def test_crack_report_times_keep_nanoseconds() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00.000000000Z"
    assert iso_time(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"
