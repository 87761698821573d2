# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the existence probability: correlated views, and the share of frames that detect the object."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from map_observations import frame, segment, show

from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.tracks.existence import ExistenceProbability, log_odds

SCORES = st.floats(0.0, 1.0)
COUNTS = st.floats(0.0, 1e6)


def seen(score: float, times: int) -> ExistenceProbability:
    existence = ExistenceProbability.of(score)
    for _ in range(times - 1):
        existence.add_view(score, 1.0)
    return existence


def test_existence_single_view_keeps_its_score() -> None:
    assert ExistenceProbability.of(0.8).score == pytest.approx(0.8)
    assert ExistenceProbability().score == 0.5


def test_existence_many_correlated_views_stay_uncertain() -> None:
    scores = [seen(0.6, times).score for times in (1, 2, 5, 20, 1000)]
    assert scores == sorted(scores)
    # 0.4 of the variance is common: the information is at most that of 2.5 views.
    assert scores[-1] == pytest.approx(1 / (1 + (0.4 / 0.6) ** 2.5), abs=1e-3)
    assert seen(0.4, 1000).score == pytest.approx(1 - scores[-1])


def test_existence_quick_views_weigh_less() -> None:
    slow, quick = ExistenceProbability.of(0.6), ExistenceProbability.of(0.6)
    slow.add_view(0.9, 1.0)
    quick.add_view(0.9, 0.1)
    assert 0.6 < quick.score < slow.score
    quick.add_view(0.0, 0.0)
    assert quick.views == pytest.approx(1.1)


def test_regularity_equals_marginal_likelihood_ratio() -> None:
    """Compare with numerical integration over the rate r: densities 2r for cracks and 2(1 - r) for other objects."""
    rate = (np.arange(20000) + 0.5) / 20000
    for shown, missing in ((0, 3), (5, 1), (7, 7), (2.5, 11.5)):
        likelihood = rate**shown * (1 - rate) ** missing
        odds = (likelihood * rate).mean() / (likelihood * (1 - rate)).mean()
        assert ExistenceProbability(0.0, 1.0, shown, missing).score == pytest.approx(odds / (1 + odds), abs=1e-4)


def test_existence_rarely_detected_gets_low_probability() -> None:
    assert replace(seen(0.7, 8), shown=6.0, missing=1.0).score > 0.95
    assert replace(seen(0.7, 8), shown=3.0, missing=50.0).score < 0.5


@given(st.lists(st.tuples(SCORES, st.floats(0.0, 1.0)), max_size=30), COUNTS, COUNTS)
def test_existence_any_views_give_probability(views: list[tuple[float, float]], one: float, other: float) -> None:
    existence = ExistenceProbability(shown=one, missing=other)
    for score, weight in views:
        existence.add_view(score, weight)
    assert 0.0099 <= existence.score <= 0.9901


@given(SCORES, SCORES, st.integers(1, 9), st.integers(1, 9), COUNTS)
def test_existence_merge_is_commutative(a: float, b: float, m: int, n: int, shown: float) -> None:
    first, second = replace(seen(a, m), shown=shown), replace(seen(b, n), missing=2.0)
    joined = first.joined(second)
    assert joined.score == pytest.approx(second.joined(first).score)
    assert joined.views == m + n and (joined.shown, joined.missing) == (shown, 2.0)
    mean = (m * log_odds(a) + n * log_odds(b)) / (m + n)
    assert joined.log_odds == pytest.approx(mean, abs=1e-9)
    assert ExistenceProbability().joined(ExistenceProbability()).score == 0.5


def state(score: float, **rates: int) -> CrackState:
    """Return the result for an object in ``shown`` frames, alternating with ``missing`` frames without it."""
    crack_map = GrowingMap()
    shown, missing = rates["shown"], rates["missing"]
    show(crack_map, [0.0, 0.5], segment((0, 0), (1, 0), score=score))
    for number in range(shown):
        for other in range(missing):
            crack_map.add(frame(1.0 + number * (missing + 1) + other))
        crack_map.add(frame(1.0 + (number + 1) * (missing + 1) - 0.5, segment((0, 0), (1, 0), score=score)))
    return crack_map.cracks()[0].state


def test_existence_low_score_stays_new() -> None:
    assert state(0.6, shown=20, missing=0) is CrackState.CONFIRMED
    assert state(0.45, shown=20, missing=0) is CrackState.CONFIRMED, "each frame shows it"
    assert state(0.1, shown=20, missing=0) is CrackState.NEW
    assert state(0.55, shown=10, missing=1) is CrackState.CONFIRMED
    assert state(0.3, shown=10, missing=1) is CrackState.NEW


def test_existence_better_views_revoke_confirmation() -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 0.5, 1.0], segment((0, 0), (1, 0), score=0.6))
    assert crack_map.cracks()[0].state is CrackState.CONFIRMED
    states = [
        show(crack_map, [2.0 + number], segment((0, 0), (1, 0), score=0.05)) and crack_map.cracks()[0].state
        for number in range(8)
    ]
    assert states[-1] is CrackState.NEW and states == sorted(states, key=[CrackState.CONFIRMED, CrackState.NEW].index)


def test_existence_restored_map_same_probability() -> None:
    crack_map, restored = GrowingMap(), GrowingMap()
    show(crack_map, [0.0, 0.5, 1.0, 2.0], segment((0, 0), (1, 0), score=0.7))
    crack_map.add(frame(3.0))
    restored.restore(crack_map.cracks())
    for each in (crack_map, restored):
        show(each, [10.0, 11.0], segment((0, 0), (1, 0), score=0.9))
    assert restored.cracks()[0].score == pytest.approx(crack_map.cracks()[0].score)
    old = replace(crack_map.cracks()[0], score=0.8, view_log_odds=math.nan, score_views=0.0)
    aged = GrowingMap()
    aged.restore([old])
    assert aged.cracks()[0].score == pytest.approx(0.8)
