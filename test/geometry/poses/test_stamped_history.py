"""A short history sorted by stamp: late arrivals, repeated stamps, time that is set back, and its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crack_perception.geometry.poses.stamped_history import StampedHistory

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS


def filled(*seconds: float, kept_s: float = 5.0, most: int | None = None) -> StampedHistory[float]:
    history: StampedHistory[float] = StampedHistory(kept_s, most)
    for moment in seconds:
        history.push(START_NS + round(moment * SECOND_NS), moment)
    return history


@given(st.lists(st.integers(0, 900), max_size=30))
def test_items_are_sorted_by_stamp_in_whatever_order_they_come(milliseconds: list[int]) -> None:
    history = filled(*(ms / 1000 for ms in milliseconds))
    assert history.items == [ms / 1000 for ms in sorted(set(milliseconds))]
    assert history.stamps_ns == sorted(history.stamps_ns)


def test_later_item_of_the_same_stamp_replaces_the_first() -> None:
    history = filled(0.0, 0.5)
    history.push(START_NS, 7.0)
    assert history.items == [7.0, 0.5]


def test_time_set_back_by_more_than_a_second_restarts_the_history() -> None:
    assert filled(0.0, 3.0, 2.0).items == [0.0, 2.0, 3.0]
    assert filled(0.0, 3.0, 1.999).items == [1.999]


def test_one_stamp_from_the_far_future_is_recovered_from() -> None:
    assert filled(0.0, 0.1, 1e6, 0.2, 0.3).items == [0.2, 0.3]


def test_old_items_and_those_beyond_the_number_are_forgotten() -> None:
    assert filled(0.0, 2.0, 4.0, 5.5).items == [2.0, 4.0, 5.5]
    assert filled(0.0, 1.0, 2.0, 3.0, most=2).items == [2.0, 3.0]


def test_nearest_item_and_its_distance() -> None:
    history = filled(0.0, 1.0, 2.0)
    assert history.nearest(START_NS + 1_600_000_000) == (400_000_000, 2.0)
    assert history.nearest(START_NS - 5) == (5, 0.0)
    assert history.nearest(START_NS + 9 * SECOND_NS) == (7 * SECOND_NS, 2.0)
    assert filled().nearest(START_NS) is None
