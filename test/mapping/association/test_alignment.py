# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the alignment of a frame with the map: shift, rotation and scale, and directions without information."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.mapping.association.alignment import Aligner, ShiftMeasurements, Similarity
from crack_perception.mapping.association.lines import Lines, comparable_log_width
from crack_perception.mapping.polylines import tangents
from crack_perception.mapping.settings import MapSettings

SETTINGS = MapSettings()
NOWHERE = Similarity(np.zeros(3), np.zeros(3), np.zeros(3), 0.0)
PRIOR_M2 = 0.06**2 * np.eye(3)
UP = np.array([0.0, 0.0, 1.0])


def lines(points: np.ndarray, normal: np.ndarray = UP, width_mm: float = np.nan) -> Lines:
    count = len(points)
    return Lines(
        points,
        tangents(points),
        np.tile(normal, (count, 1)),
        np.zeros(count, int),
        np.arange(count),
        np.full(count, 0.05),
        comparable_log_width(np.full(count, width_mm), 1.5),
    )


def wave() -> np.ndarray:
    x = np.arange(-0.8, 0.8, 0.02)
    return np.stack([x, 0.15 * np.sin(4 * x), np.zeros(len(x))], axis=1)


def straight() -> np.ndarray:
    x = np.arange(-0.8, 0.8, 0.02)
    return np.stack([x, np.zeros(len(x)), np.zeros(len(x))], axis=1)


def test_alignment_winding_line_recovers_similarity() -> None:
    true = Similarity(np.zeros(3), np.array([0.05, -0.06, 0.04]), np.array([0.0, 0.0, 0.02]), 0.01)
    seen = wave() + true.offset_at(wave())
    found = Aligner(lines(seen), lines(wave()), 0.3, SETTINGS).align(NOWHERE, np.zeros(3), PRIOR_M2, 0.2)
    assert found.offset_at(wave()) == pytest.approx(true.offset_at(wave()), abs=0.004)


def test_alignment_straight_line_keeps_prior_along_it() -> None:
    seen = straight() + np.array([0.04, 0.05, 0.0])
    aligner = Aligner(lines(seen), lines(straight()), 0.3, SETTINGS)
    found = aligner.align(NOWHERE, np.array([0.01, 0.0, 0.0]), PRIOR_M2, 0.2)
    assert found.shift_m == pytest.approx([0.01, 0.05, 0.0], abs=0.003)
    match = aligner.match(seen)
    information = ShiftMeasurements(match, SETTINGS.shape_sigma_m).between(0, len(seen))
    assert information.matrix[0, 0] == pytest.approx(0.0, abs=1e-9)
    assert information.vector[1] / information.matrix[1, 1] == pytest.approx(0.05)


def test_alignment_moved_origin_same_result() -> None:
    far = np.array([4e5, 5e6, 100.0])
    seen = wave() + np.array([0.03, 0.04, 0.02])
    here = Aligner(lines(seen), lines(wave()), 0.3, SETTINGS).align(NOWHERE, np.zeros(3), PRIOR_M2, 0.2)
    start = Similarity(far, np.zeros(3), np.zeros(3), 0.0)
    there = Aligner(lines(seen + far), lines(wave() + far), 0.3, SETTINGS).align(start, np.zeros(3), PRIOR_M2, 0.2)
    assert there.shift_m == pytest.approx(here.shift_m, abs=1e-6)


@pytest.mark.parametrize(
    "other",
    [
        lines(np.stack([np.zeros(80), wave()[:, 0], np.zeros(80)], axis=1)),
        lines(straight(), np.array([0.0, 1.0, 0.0])),
        lines(straight() + np.array([0.0, 0.06, 0.0])),
        lines(straight() + np.array([0.0, 0.0, 0.2])),
        lines(straight() + np.array([1.7, 0.0, 0.0])),
    ],
    ids=["across", "another wall", "beside", "at another depth", "further along"],
)
def test_alignment_other_line_not_matched(other: Lines) -> None:
    match = Aligner(lines(straight()), other, 0.1, SETTINGS).match(straight())
    assert match.matched.sum() == 0


@pytest.mark.parametrize(
    ("seen_mm", "mapped_mm", "alike"),
    [(2.0, 8.0, False), (8.0, 2.0, False), (2.0, 4.0, True), (0.2, 1.0, True), (np.nan, 8.0, True)],
)
def test_alignment_much_wider_line_matched_only_below_a_pixel_or_unknown(
    seen_mm: float, mapped_mm: float, alike: bool
) -> None:
    aligner = Aligner(lines(straight(), width_mm=seen_mm), lines(straight(), width_mm=mapped_mm), 0.1, SETTINGS)
    assert np.all(aligner.match(straight()).matched == alike)


def test_alignment_parallel_lines_matches_equal_width() -> None:
    wide, narrow = straight(), straight() + np.array([0.0, 0.08, 0.0])
    both = [lines(wide, width_mm=9.0), lines(narrow, width_mm=1.0)]
    fields = ("point_m", "tangent", "normal", "owner", "vertex", "tolerance_m", "log_width")
    mapped = Lines(*(np.concatenate([getattr(each, name) for each in both]) for name in fields))
    # The offset is more than half the distance, so that the wrong line is nearer.
    seen = lines(wide + np.array([0.0, 0.05, 0.0]), width_mm=8.0)
    found = Aligner(seen, mapped, 0.1, SETTINGS).align(NOWHERE, np.zeros(3), PRIOR_M2, 0.2)
    assert found.shift_m[1] == pytest.approx(0.05, abs=0.003)


def test_alignment_surprise_is_in_standard_deviations() -> None:
    turned = np.array([0.0, 0.0, SETTINGS.rotation_sigma_rad])
    found = Similarity(np.zeros(3), np.array([0.12, 0.0, 0.0]), turned, 3 * SETTINGS.scale_sigma)
    assert found.surprise(np.zeros(3), PRIOR_M2, SETTINGS) == pytest.approx(2**2 + 1 + 3**2)
    assert found.surprise(found.shift_m, PRIOR_M2, SETTINGS) == pytest.approx(1 + 3**2)


def test_comparable_widths_are_local_means_of_known_widths() -> None:
    width_mm = np.full(20, np.nan)
    width_mm[[2, 12]] = 2.0, 4.0
    expected = np.log([3.0] * 7 + [4.0] + [5.0] * 10 + [np.nan] * 2)
    assert comparable_log_width(width_mm, 1.0) == pytest.approx(expected, nan_ok=True)
    first = np.repeat([0, 20], 20)
    joined = comparable_log_width(np.append(width_mm, width_mm), np.repeat([1.0, 2.0], 20), first, first + 19)
    assert joined[:20] == pytest.approx(expected, nan_ok=True)
    assert joined[20:] == pytest.approx(comparable_log_width(width_mm, 2.0), nan_ok=True)
