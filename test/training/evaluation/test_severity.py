# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of width errors, severity classes and the baselines that estimate widths."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crack_perception.training.data.known_cracks import KnownCrack, draw_known_crack
from crack_perception.training.evaluation.severity import (
    MODEL,
    KnownWidths,
    _fitted_on_other_photographs,
    dark_measures,
    known_width_figures,
    severity_table,
    width_error_table,
    width_errors,
)

WIDTHS_PX = np.array([2.0, 3.0, 5.0, 10.0])
GSD_MM = np.array([0.03, 0.2, 0.07, 0.6])


def known(log_error: float, sigma: float) -> KnownWidths:
    log_width = np.log(WIDTHS_PX)
    estimates = {MODEL: (log_width + log_error, np.full(4, sigma))}
    return KnownWidths(log_width, GSD_MM, np.array(["a", "b", "c", "d"]), estimates, 5)


def test_width_errors_known_errors_give_expected_values() -> None:
    truth = np.log([2.0, 4.0])
    figures = width_errors(truth, np.log([3.0, 4.0]), np.array([0.3, 0.3]))
    assert figures["mae_px"] == 0.5 and figures["median_ratio"] == pytest.approx(math.sqrt(1.5), abs=1e-4)
    assert (figures["within_1_sigma"], figures["within_2_sigma"]) == (0.5, 1.0)
    assert figures["median_relative_error"] == pytest.approx(0.25)


def test_known_width_figures_exact_widths_are_all_correct() -> None:
    """Widths of 0.06, 0.6, 0.35 and 6 mm."""
    figures = known_width_figures(known(0.0, 0.01))
    assert (figures["drawn"], figures["found"]) == (5, 4)
    for preset in figures["classes"].values():
        assert preset[MODEL]["correct"]["share"] == 1.0 and preset[MODEL]["undetermined"] == 0.0
    gb50204 = figures["classes"]["gb50204"][MODEL]
    assert gb50204["by_class"] == {
        "minor": {"n": 1, "precision": 1.0, "recall": 1.0},
        "obvious": {"n": 3, "precision": 1.0, "recall": 1.0},
    }
    assert set(gb50204["gsd"]) == {"0.02-0.05 mm/px", "0.05-0.1 mm/px", "0.2-0.5 mm/px", "0.5-1 mm/px"}
    assert gb50204["gsd"]["0.5-1 mm/px"]["mae_mm"] == 0.0


def test_known_width_figures_large_sigma_is_undetermined() -> None:
    unsure = known_width_figures(known(0.0, 0.5))["classes"]["gb50204"][MODEL]
    assert unsure["correct"] == {"n": 3, "share": 1.0, "interval": [1.0, 1.0]}
    assert (unsure["undetermined"], unsure["correct_of_all"]) == (0.25, 0.75)
    wrong = known_width_figures(known(2.0, 0.01))
    assert wrong["classes"]["gb50204"][MODEL]["correct"]["share"] == 0.75
    assert wrong["widths"][MODEL]["mae_px"] == pytest.approx(5 * (math.exp(2) - 1), rel=1e-4)
    for table in (severity_table(wrong), width_error_table(wrong["widths"])):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_known_width_figures_no_detection_gives_no_metrics() -> None:
    none = np.empty(0)
    assert known_width_figures(KnownWidths(none, none, none.astype(str), {}, 3))["found"] == 0


def test_dark_measures_wider_crack_gives_larger_values() -> None:
    tile = np.full((128, 128, 3), 180, np.uint8)
    measures = []
    for width_px in (2.0, 8.0):
        (view,) = draw_known_crack(tile, KnownCrack(width_px, 0.0, (0.4,)), np.random.default_rng(2))
        measures.append(dark_measures(view))
    grown = np.exp(np.subtract(measures[1], measures[0]))
    assert 2.0 < grown[0] < 5.0 and 2.0 < grown[1] < 5.0
    assert all(math.isfinite(value) for value in dark_measures(tile))


def test_baseline_fit_uses_other_photographs() -> None:
    """Two photographs follow two different lines: each is predicted by the line of the other."""
    values, groups = np.array([0.0, 1.0, 0.0, 1.0]), np.array(["a", "a", "b", "b"])
    estimate, sigma = _fitted_on_other_photographs(values, np.array([0.0, 1.0, 5.0, 7.0]), groups)
    np.testing.assert_allclose(estimate, [5.0, 7.0, 0.0, 1.0], atol=1e-9)
    assert (sigma == 0.05).all()
