# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Scale at which tiles are read."""

from __future__ import annotations

import math

import pytest

from crack_perception.recognition.reading_scale import MOST_REDUCTION, ReadingScale


@pytest.mark.parametrize(
    ("gsd_mm_per_px", "expected"),
    [(1.0, 1), (0.25, 1), (0.13, 1), (0.125, 2), (0.083, 3), (0.0625, 4), (0.001, MOST_REDUCTION)],
)
def test_reduction_first_frame_never_coarser_than_tile_gsd(gsd_mm_per_px: float, expected: int) -> None:
    assert ReadingScale(0.25).reduction(gsd_mm_per_px) == expected


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf, 0.0, -1.0])
def test_reduction_unknown_gsd_is_one(unknown: float | None) -> None:
    scale = ReadingScale(0.25)
    scale.reduction(0.05)
    assert scale.reduction(unknown) == 1


def test_reduction_disabled_is_one() -> None:
    assert ReadingScale(0.0).reduction(0.01) == 1


def test_reduction_gsd_varies_around_limit_is_kept() -> None:
    scale = ReadingScale(0.25)
    assert scale.reduction(0.12) == 2
    assert {scale.reduction(gsd) for gsd in (0.12, 0.13, 0.135, 0.12)} == {2}
    assert scale.reduction(0.15) == 1
    assert {scale.reduction(gsd) for gsd in (0.13, 0.12, 0.13)} == {1}
    assert scale.reduction(0.11) == 2
