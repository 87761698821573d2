# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the preparation of observed lines: resampling, correction of covariances, refusal of invalid lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from crack_perception.mapping.association.view_lines import ViewLine, ViewLines, view_lines
from crack_perception.mapping.observation import CrackObservation
from crack_perception.mapping.settings import MapSettings

NAN = float("nan")
GOOD = CrackObservation(
    line_m=np.array([[0.0, 0, 0], [0.5, 0, 0], [1, 0, 0]]),
    width_mm=np.array([0.3, NAN, 0.5]),
    width_sigma_mm=np.array([0.1, 0.1, 0.1]),
    normal=np.array([0.0, 0.0, 2.0]),
    covariance_m2=0.0025 * np.eye(3),
    gsd_mm_per_px=1.0,
    score=0.9,
)


def lines_of(*observations: CrackObservation) -> tuple[ViewLines, Counter[str]]:
    refused: Counter[str] = Counter()
    return view_lines(observations, MapSettings(), refused), refused


def only(observation: CrackObservation) -> ViewLine:
    lines, refused = lines_of(observation)
    assert not refused
    return lines[0]


def test_view_line_resampled_evenly_keeps_width_positions() -> None:
    line = only(GOOD)
    assert len(line) == 51
    assert np.linalg.norm(np.diff(line.point_m, axis=0), axis=1) == pytest.approx(0.02)
    assert line.width_mm[0] == 0.3
    assert line.width_mm[-1] == 0.5
    assert np.isnan(line.width_mm[25])
    assert line.normal.tolist() == [0, 0, 1]


def test_view_line_repeated_and_missing_vertices_skipped() -> None:
    doubled = np.array([[0.0, 0, 0], [0, 0, 0], [NAN, 0, 0], [1, 0, 0]])
    line = only(replace(GOOD, line_m=doubled, width_mm=np.full(4, 0.3), width_sigma_mm=np.full(4, 0.1)))
    assert line.point_m[[0, -1], 0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"line_m": np.zeros((3, 3))}, "fewer than two usable points"),
        ({"line_m": np.full((3, 3), NAN)}, "fewer than two usable points"),
        ({"line_m": np.full((3, 3), 1e12)}, "fewer than two usable points"),
        ({"line_m": np.zeros((3, 2))}, "not made of points"),
        ({"line_m": GOOD.line_m * 0.01}, "too short"),
        ({"line_m": GOOD.line_m * 1e4}, "longer than any view"),
        ({"width_mm": np.zeros(2)}, "one width per vertex"),
        ({"normal": np.zeros(3)}, "normal"),
        ({"normal": np.array([NAN, 0, 1])}, "normal"),
        ({"covariance_m2": np.full((3, 3), NAN)}, "not finite"),
        ({"covariance_m2": 100 * np.eye(3)}, "practically unknown"),
        ({"covariance_m2": np.diag([0.01, 0.01, -0.01])}, "negative variance"),
        ({"score": NAN}, "not a probability"),
        ({"score": 1.5}, "not a probability"),
    ],
)
def test_view_lines_unusable_line_refused_and_counted(change: dict[str, object], reason: str) -> None:
    lines, refused = lines_of(GOOD, replace(GOOD, **change))
    assert len(lines) == 1
    assert [(reason in text, count) for text, count in refused.items()] == [(True, 1)]


def test_view_line_invalid_covariance_corrected() -> None:
    flat = only(replace(GOOD, covariance_m2=np.diag([0.01, 0.01, 0.0]))).covariance_m2
    assert np.linalg.eigvalsh(flat)[0] == pytest.approx(0.003**2)
    lopsided = only(replace(GOOD, covariance_m2=np.array([[0.01, 0.002, 0], [0, 0.01, 0], [0, 0, 0.01]]))).covariance_m2
    assert lopsided == pytest.approx(lopsided.T)
    assert lopsided[0, 1] == pytest.approx(0.001)


def test_view_lines_any_input_order_same_order() -> None:
    other = replace(GOOD, line_m=GOOD.line_m[::-1] + 0.1)
    first, _ = lines_of(GOOD, other)
    second, _ = lines_of(other, GOOD)
    assert all(np.array_equal(a.point_m, b.point_m) for a, b in zip(first, second, strict=True))


def test_view_lines_many_lines_limited() -> None:
    lines, refused = lines_of(*[GOOD] * 50)
    assert sum(len(line) for line in lines) <= 2000
    assert len(lines) + refused.total() == 50
    assert list(refused) == ["a frame shows more lines than can be mapped in time"]
