"""The adaptive search on classes whose best machine is far from where it starts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("sklearn")

from crack_perception.training.data.photograph_folds import FOLDS
from crack_perception.training.heads.adaptive_search import AdaptiveSearch, SearchStep, adaptive_search
from crack_perception.training.heads.svm import SvmData, SvmSettings


def ring(rng: np.random.Generator, rows: int = 500) -> SvmData:
    """Cracks lie on a thin ring around sound tiles, a third of all; the starting gamma is much too smooth for that."""
    labels = (rng.random(rows) < 0.33).astype(np.int64)
    radius = np.where(labels == 1, 1.0, 0.55) + rng.normal(0.0, 0.14, rows)
    angle = rng.uniform(0.0, 2 * np.pi, rows)
    plane = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    groups = np.array([f"p{i % 25}" for i in range(rows)])
    return SvmData(plane, labels, groups, np.full(rows, "s"), np.ones(rows, bool))


@pytest.fixture(scope="module")
def found() -> AdaptiveSearch:
    return adaptive_search(ring(np.random.default_rng(0)), None, seed=0)


def test_search_rises_from_its_start(found: AdaptiveSearch) -> None:
    start = found.path[0]
    assert start.decided == "start"
    assert found.best.f1 > start.f1 + 0.03
    assert found.best.f1 == max(step.f1 for step in found.path if step.kept)


def test_kept_steps_rise_and_every_step_answers_an_error_of_the_step_before(found: AdaptiveSearch) -> None:
    kept = [step for step in found.path if step.kept]
    assert all(later.f1 > earlier.f1 for earlier, later in pairwise(kept))
    last = found.path[0]
    first_after_kept = True
    for step in found.path[1:]:
        if first_after_kept:
            assert step.decided.startswith("misses" if last.misses_are_worse else "false alarms")
        first_after_kept = step.kept
        last = step if step.kept else last


def test_fits_are_counted_and_a_moved_threshold_costs_none(found: AdaptiveSearch) -> None:
    assert found.fits == FOLDS * len({step.settings for step in found.path})
    assert any("threshold" in step.decided for step in found.path)


def test_the_worse_error_is_the_one_further_above_its_aim() -> None:
    def step(false_alarms: float, misses: float) -> SearchStep:
        return SearchStep(SvmSettings(1.0, 1.0), 0.0, 0.5, false_alarms, misses, "", True)

    assert step(0.05, 0.10).misses_are_worse
    assert not step(0.10, 0.15).misses_are_worse
