"""Arrival times of a source: when it counts as stopped, and when its next pose is worth waiting for."""

from __future__ import annotations

import pytest

from crack_perception.geometry.poses.arrivals import Arrivals

SECOND_NS = 1_000_000_000


def arrived(*times_s: float, lag_s: float = 0.0, rate: float = 1.0) -> Arrivals:
    arrivals = Arrivals(max_gap_s=0.2)
    for time_s in times_s:
        arrivals.note(round((time_s - lag_s) * rate * SECOND_NS), time_s)
    return arrivals


def at_50_hz(**how: float) -> Arrivals:
    return arrived(*(step / 50 for step in range(51)), **how)


def test_arrivals_without_any_are_not_waited_for() -> None:
    arrivals = Arrivals(0.2)
    assert arrivals.silence_s(5.0) is None
    assert arrivals.patience_s(5.0) == 0.0 and not arrivals.may_reach(0, 1.0, 5.0)


def test_arrivals_that_cease_count_as_stopped_after_the_widest_gap() -> None:
    arrivals = at_50_hz()
    assert arrivals.silence_s(1.1) == pytest.approx(0.1)
    assert arrivals.patience_s(1.1) == pytest.approx(0.1)
    assert arrivals.patience_s(1.21) == 0.0
    assert arrivals.may_reach(round(1.12 * SECOND_NS), 0.1, 1.1)
    assert not arrivals.may_reach(round(1.22 * SECOND_NS), 0.1, 1.21)


def test_arrivals_of_a_slow_source_are_given_three_periods() -> None:
    arrivals = arrived(*range(10))
    assert arrivals.patience_s(10.0) == pytest.approx(2.0)


def test_arrivals_of_few_poses_are_given_a_second() -> None:
    assert arrived(0.0, 0.001).patience_s(0.5) == pytest.approx(0.501)


def test_arrivals_that_lag_too_far_are_not_waited_for() -> None:
    lagging = at_50_hz(lag_s=0.5)
    assert lagging.may_reach(round(0.6 * SECOND_NS), 0.1, 1.0)
    assert not lagging.may_reach(round(1.0 * SECOND_NS), 0.1, 1.0)
    assert lagging.may_reach(round(1.0 * SECOND_NS), 0.6, 1.0)


def test_arrivals_of_a_recording_played_fast_advance_as_fast() -> None:
    fast = at_50_hz(rate=10.0)
    assert fast.may_reach(round(10.9 * SECOND_NS), 0.1, 1.0)
    assert not fast.may_reach(round(13.0 * SECOND_NS), 0.1, 1.0)


def test_arrivals_after_time_was_set_back_are_waited_for() -> None:
    arrivals = at_50_hz()
    arrivals.note(0, 1.02)
    assert arrivals.may_reach(SECOND_NS // 10, 0.1, 1.03)
