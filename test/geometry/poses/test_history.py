# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Histories of stamped items (order, repeated stamps, time set back, bounds) and arrival times of a source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crack_perception.geometry.poses.history import Arrivals, StampedHistory

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS


def filled(*seconds: float, kept_s: float = 5.0, most: int | None = None) -> StampedHistory[float]:
    history: StampedHistory[float] = StampedHistory(kept_s, most)
    for moment in seconds:
        history.push(START_NS + round(moment * SECOND_NS), moment)
    return history


@given(st.lists(st.integers(0, 50), max_size=30))
def test_history_any_order_within_50_ms_is_sorted_by_stamp(milliseconds: list[int]) -> None:
    history = filled(*(ms / 1000 for ms in milliseconds))
    assert history.items == [ms / 1000 for ms in sorted(set(milliseconds))]
    assert history.stamps_ns == sorted(history.stamps_ns)


@given(st.lists(st.integers(0, 2000), max_size=40))
def test_history_any_order_is_ascending_and_ends_with_its_newest_stamp(milliseconds: list[int]) -> None:
    history = filled(*(ms / 1000 for ms in milliseconds))
    assert history.stamps_ns == sorted(set(history.stamps_ns))
    assert len(history.items) == len(history.stamps_ns) and set(history.items) <= {ms / 1000 for ms in milliseconds}
    assert not milliseconds or milliseconds[-1] / 1000 <= history.items[-1]


def test_history_late_items_are_sorted_in_when_newer_ones_follow() -> None:
    assert filled(0.0, 0.5, 0.1, 0.2).items == [0.0, 0.5]
    assert filled(0.0, 0.5, 0.1, 0.2, 0.6).items == [0.0, 0.1, 0.2, 0.5, 0.6]
    assert filled(0.0, 0.5, 0.3, 0.2, 0.1, 0.6).items == [0.0, 0.1, 0.2, 0.3, 0.5, 0.6]
    assert filled(0.0, 0.5, 0.1, 0.6, 0.2, 0.7, 0.3, 0.8).items == [0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8]


def test_history_clock_set_back_by_under_a_second_restarts_with_the_third_item() -> None:
    before = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert filled(*before, 0.2, 0.3).items == [*before]
    assert filled(*before, 0.21, 0.31, 0.41).items == [0.21, 0.31, 0.41]
    assert filled(*before, 0.21, 0.31, 0.41, 0.51, 0.61).items == [0.21, 0.31, 0.41, 0.51, 0.61]
    # Set back by 60 ms: the last of the three is less than 50 ms older.
    assert filled(0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.04 + 1e-3, 0.061, 0.081).items == [0.041, 0.061, 0.081]


def test_history_same_items_sent_again_do_not_restart() -> None:
    history = filled(0.0, 0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert history.items == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_history_same_stamp_replaces_item() -> None:
    history = filled(0.0, 0.5)
    history.push(START_NS + SECOND_NS // 2, 7.0)
    assert history.items == [0.0, 7.0]
    history.push(START_NS, 8.0)
    history.push(START_NS + SECOND_NS, 9.0)
    assert history.items == [8.0, 7.0, 9.0]


def test_history_clock_set_back_by_over_a_second_restarts() -> None:
    assert filled(0.0, 3.0, 2.0, 3.1).items == [0.0, 2.0, 3.0, 3.1]
    assert filled(0.0, 3.0, 1.999).items == [1.999]


def test_history_stamp_from_far_future_recovers() -> None:
    assert filled(0.0, 0.1, 1e6, 0.2, 0.3).items == [0.2, 0.3]


def test_history_old_or_excess_items_are_dropped() -> None:
    assert filled(0.0, 2.0, 4.0, 5.5).items == [2.0, 4.0, 5.5]
    assert filled(0.0, 1.0, 2.0, 3.0, most=2).items == [2.0, 3.0]


def test_history_nearest_returns_distance_and_item() -> None:
    history = filled(0.0, 1.0, 2.0)
    assert history.nearest(START_NS + 1_600_000_000) == (400_000_000, 2.0)
    assert history.nearest(START_NS - 5) == (5, 0.0)
    assert history.nearest(START_NS + 9 * SECOND_NS) == (7 * SECOND_NS, 2.0)
    assert filled().nearest(START_NS) is None


def arrived(*times_s: float, lag_s: float = 0.0, rate: float = 1.0) -> Arrivals:
    arrivals = Arrivals(max_gap_s=0.2)
    for time_s in times_s:
        arrivals.record(round((time_s - lag_s) * rate * SECOND_NS), time_s)
    return arrivals


def at_50_hz(**how: float) -> Arrivals:
    return arrived(*(step / 50 for step in range(51)), **how)


def test_arrivals_none_received_are_not_expected() -> None:
    arrivals = Arrivals(0.2)
    assert arrivals.silence_s(5.0) is None
    assert arrivals.patience_s(5.0) == 0.0 and not arrivals.may_reach(0, 1.0, 5.0)


def test_arrivals_silence_beyond_widest_gap_counts_as_stopped() -> None:
    arrivals = at_50_hz()
    assert arrivals.silence_s(1.1) == pytest.approx(0.1)
    assert arrivals.patience_s(1.1) == pytest.approx(0.1)
    assert arrivals.patience_s(1.21) == 0.0
    assert arrivals.may_reach(round(1.12 * SECOND_NS), 0.1, 1.1)
    assert not arrivals.may_reach(round(1.22 * SECOND_NS), 0.1, 1.21)


def test_arrivals_slow_source_stops_after_three_periods() -> None:
    arrivals = arrived(*range(10))
    assert arrivals.patience_s(10.0) == pytest.approx(2.0)


def test_arrivals_unknown_rate_stops_after_a_second() -> None:
    assert arrived(0.0, 0.001).patience_s(0.5) == pytest.approx(0.501)


def test_arrivals_lagging_stamps_are_not_expected() -> None:
    lagging = at_50_hz(lag_s=0.5)
    assert lagging.may_reach(round(0.6 * SECOND_NS), 0.1, 1.0)
    assert not lagging.may_reach(round(1.0 * SECOND_NS), 0.1, 1.0)
    assert lagging.may_reach(round(1.0 * SECOND_NS), 0.6, 1.0)


def test_arrivals_fast_playback_advances_at_its_rate() -> None:
    fast = at_50_hz(rate=10.0)
    assert fast.may_reach(round(10.9 * SECOND_NS), 0.1, 1.0)
    assert not fast.may_reach(round(13.0 * SECOND_NS), 0.1, 1.0)


def test_arrivals_after_clock_set_back_are_expected() -> None:
    arrivals = at_50_hz()
    arrivals.record(0, 1.02)
    assert arrivals.may_reach(SECOND_NS // 10, 0.1, 1.03)
