# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the summary line of a detection."""

from __future__ import annotations

import math

import pytest

from crack_perception.recognition.severity import UNDETERMINED, WidthEstimate
from crack_perception.recognition.summary import summary

WIDTH_PX = WidthEstimate(math.log(2.5), 0.2)


def test_summary_known_scale_width_in_millimetres() -> None:
    width_mm = WIDTH_PX.scaled(0.1, 0.0)
    assert summary("obvious", 0.967, WIDTH_PX, width_mm) == "obvious 0.97, 0.25 +- 0.05 mm"


def test_summary_measured_length_after_width() -> None:
    width_mm = WIDTH_PX.scaled(0.1, 0.0)
    assert summary("obvious", 0.967, WIDTH_PX, width_mm, 1.234) == "obvious 0.97, 0.25 +- 0.05 mm x 1.23 m"
    assert summary(UNDETERMINED, 0.5, WIDTH_PX, None, 1.234) == "crack 0.50, 2.5 +- 0.5 px"


def test_summary_unknown_scale_width_in_pixels() -> None:
    assert summary(UNDETERMINED, 0.5, WIDTH_PX, None) == "crack 0.50, 2.5 +- 0.5 px"


@pytest.mark.parametrize("width_mm", [None, WIDTH_PX])
def test_summary_only_ascii(width_mm: WidthEstimate | None) -> None:
    assert summary("0.1-0.2mm", 0.9, WIDTH_PX, width_mm).isascii()
