# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the best linear estimate that the positions of the map are compared with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_scenes import crack, mapped, truth_of

from crack_perception.evaluation.metrics.best_linear import SectionView, best_linear_estimate, measure_fusion
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.mapping.settings import MapSettings

AXES = np.eye(3)[1:]


def view(stamp_s: float, offset: float, sigma_m: float = 0.05, source: str = "one") -> SectionView:
    return SectionView(np.full(3, offset), sigma_m**2 * np.eye(3), stamp_s, source)


def estimate(*views: SectionView, white_share: float = 0.0) -> float:
    """Return the estimate in the first direction; that in the second one is the same here."""
    result = best_linear_estimate(views, AXES, 4.0, white_share, 0.001)
    assert result[0] == pytest.approx(result[1])
    return float(result[0])


def test_best_linear_estimate_independent_views_weighted_by_variance() -> None:
    assert estimate(view(0, 0.0), view(1000, 1.0)) == pytest.approx(0.5)
    assert estimate(view(0, 0.0, 0.05), view(1000, 1.0, 0.1)) == pytest.approx(0.2, abs=0.001)


def test_best_linear_estimate_views_of_one_moment_count_as_one() -> None:
    assert estimate(view(0, 0.0), view(0.001, 0.0), view(1000, 1.0)) == pytest.approx(0.5, abs=0.01)
    # Errors of another source, and white ones, are independent at any time.
    assert estimate(view(0, 0.0), view(0, 0.0, source="two"), view(1000, 1.0)) == pytest.approx(1 / 3)
    assert estimate(view(0, 0.0), view(0.001, 0.0), view(1000, 1.0), white_share=1.0) == pytest.approx(1 / 3)


def test_measure_fusion_compares_map_with_frames_across_the_crack() -> None:
    truth = truth_of([crack((-0.5, 0.0), (0.5, 0.0), 8.0)])
    truth = replace(truth, surfaces=tuple(replace(each, normal=np.array([0.0, 0, -1])) for each in truth.surfaces))
    x_m = np.linspace(-0.45, 0.45, 50)
    frames = [
        FrameObservation(
            stamp_ns,
            "camera",
            np.zeros((0, 3)),
            (
                CrackObservation(
                    np.column_stack([x_m, np.full(50, y_m), np.full(50, 2.0)]),
                    np.full(50, np.nan),
                    np.full(50, np.nan),
                    np.array([0.0, 0, -1]),
                    0.03**2 * np.eye(3),
                    1.0,
                    0.9,
                ),
            ),
        )
        for stamp_ns, y_m in ((0, 0.01), (1000 * 10**9, 0.03))
    ]
    errors = measure_fusion([mapped((-0.45, 0.03), (0.45, 0.03))], truth, frames, MapSettings(), 0.1)
    assert errors is not None and errors.sections == 4
    assert errors.linear_m == pytest.approx(0.02, abs=0.001)
    assert errors.fused_m == pytest.approx(0.03, abs=0.001)


def test_measure_fusion_without_mapped_crack_is_unknown() -> None:
    truth = truth_of([crack((-0.5, 0.0), (0.5, 0.0), 8.0)])
    assert measure_fusion([], truth, [], MapSettings(), 0.1) is None
