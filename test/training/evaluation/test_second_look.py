# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Figures of the second look, from margins made for the purpose."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.training.evaluation.second_look import ScoredOnceAndTwice, figures_by_source, fitted_offset


def scored(shift: float) -> ScoredOnceAndTwice:
    """Return tiles whose averaged margins are ``shift`` too high: crack at +0.2, intact at -0.2 without it."""
    labels = np.tile([1, 0], 60)
    margins = np.where(labels == 1, 0.2, -0.2)
    groups = np.repeat([f"photograph {number}" for number in range(12)], 10)
    return ScoredOnceAndTwice(
        np.full(120, "wall"), groups, labels, np.full(120, 0.1), margins + shift, np.full(120, True)
    )


def test_figures_by_source_second_look_that_separates_gains() -> None:
    (row,) = figures_by_source(scored(0.0))
    assert (row["f1_twice"], row["recall_twice"], row["far_twice"], row["far_once"]) == (1.0, 1.0, 0.0, 1.0)
    assert row["change"] == pytest.approx(1.0 - 2.0 / 3.0, abs=1e-3)
    assert row["interval"][0] > 0


def test_figures_by_source_offset_moves_only_repeated_tiles() -> None:
    tiles = scored(0.5)
    (row,) = figures_by_source(tiles, 0.5)
    assert row["f1_twice"] == 1.0
    tiles.repeated[:] = False
    (row,) = figures_by_source(tiles, 0.5)
    assert row["f1_twice"] == row["f1_once"]


def test_fitted_offset_shifted_margins_are_moved_back() -> None:
    report = fitted_offset(scored(0.5))
    assert 0.3 < report["best"] <= 0.7
    assert report["chosen"] == report["best"]
    assert report["interval"][0] > 0


def test_fitted_offset_without_significant_gain_is_zero() -> None:
    report = fitted_offset(scored(0.0))
    assert report["chosen"] == 0.0
