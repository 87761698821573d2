# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Adaptive search of SVM settings on classes whose best settings are far from the start."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("sklearn")

from crack_perception.training.data.photograph_folds import FOLDS
from crack_perception.training.heads.adaptive_search import AdaptiveSearch, SearchStep, adaptive_search
from crack_perception.training.heads.svm import SvmData, SvmSettings


def ring(rng: np.random.Generator, rows: int = 500) -> SvmData:
    """A third of the rows are cracks on a thin ring around intact rows; the first gamma is much too small for that."""
    labels = (rng.random(rows) < 0.33).astype(np.int64)
    radius = np.where(labels == 1, 1.0, 0.55) + rng.normal(0.0, 0.14, rows)
    angle = rng.uniform(0.0, 2 * np.pi, rows)
    plane = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    groups = np.array([f"p{i % 25}" for i in range(rows)])
    return SvmData(plane, labels, groups, np.full(rows, "s"), np.ones(rows, bool))


@pytest.fixture(scope="module")
def found() -> AdaptiveSearch:
    return adaptive_search(ring(np.random.default_rng(0)), None, seed=0)


def test_adaptive_search_ring_improves_f1(found: AdaptiveSearch) -> None:
    start = found.path[0]
    assert start.decided == "start"
    assert found.best.f1 > start.f1 + 0.03
    assert found.best.f1 == max(step.f1 for step in found.path if step.kept)


def test_adaptive_search_steps_reduce_worse_error_first(found: AdaptiveSearch) -> None:
    kept = [step for step in found.path if step.kept]
    assert all(later.f1 > earlier.f1 for earlier, later in pairwise(kept))
    last = found.path[0]
    first_after_kept = True
    for step in found.path[1:]:
        if first_after_kept:
            assert step.decided.startswith("misses" if last.misses_are_worse else "false alarms")
        first_after_kept = step.kept
        last = step if step.kept else last


def test_adaptive_search_fits_counts_settings_not_thresholds(found: AdaptiveSearch) -> None:
    assert found.fits == FOLDS * len({step.settings for step in found.path})
    assert any("threshold" in step.decided for step in found.path)


def test_misses_are_worse_compares_errors_relative_to_targets() -> None:
    def step(false_alarms: float, misses: float) -> SearchStep:
        return SearchStep(SvmSettings(1.0, 1.0), 0.0, 0.5, false_alarms, misses, "", True)

    assert step(0.05, 0.10).misses_are_worse
    assert not step(0.10, 0.15).misses_are_worse
