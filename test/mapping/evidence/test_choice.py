# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Which photographs of a crack are kept, in the map and in the node's memory of what it has sent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crack_perception.mapping.evidence.choice import MOST, PhotographView, choose, surplus
from crack_perception.mapping.evidence.sent_photographs import SentPhotographs

S = 1_000_000_000
HOUR = 3600 * S


def view(
    quality: float = 1.0, seconds: float = 0.0, x_m: float = 0.0, reach_m: float = 0.5, y_m: float = 0.0
) -> PhotographView:
    x = np.linspace(x_m - reach_m, x_m + reach_m, 30)
    line_m = np.column_stack([x, np.full(30, y_m), 0.01 * np.sin(9.0 * x)])
    return replace(PhotographView.of(quality, int(seconds * S), line_m), value=quality)


class Crack:
    """The photographs of one crack as they are offered one after the other."""

    def __init__(self) -> None:
        self.kept: list[PhotographView] = []

    def offer(self, new: PhotographView) -> bool:
        choice = choose(self.kept, new)
        if choice.is_kept:
            self.kept = [each for index, each in enumerate(self.kept) if index not in choice.replaced] + [new]
        assert len(self.kept) <= MOST
        return choice.is_kept


def test_choose_first_photographs_a_second_apart_are_all_kept() -> None:
    crack = Crack()
    assert [crack.offer(view(0.5, 1.1 * number)) for number in range(4)] == [True, True, True, False]


def test_choose_within_a_second_only_a_much_better_one_is_kept() -> None:
    crack = Crack()
    crack.offer(view(1.0))
    assert not crack.offer(view(1.9, 0.9))
    assert crack.offer(view(2.1, 0.9))
    assert [each.value for each in crack.kept] == [2.1]


def test_choose_better_one_replaces_the_worst() -> None:
    crack = Crack()
    for number, quality in enumerate((0.9, 0.5, 0.7)):
        crack.offer(view(quality, 2 * number))
    assert not crack.offer(view(0.55, 10)), "a little better is not worth the traffic"
    assert crack.offer(view(0.8, 12))
    assert sorted(each.value for each in crack.kept) == [0.7, 0.8, 0.9]


def test_choose_other_part_of_a_long_crack_replaces_a_repetition() -> None:
    crack = Crack()
    for number in range(3):
        crack.offer(view(1.0, 2 * number))
    assert crack.offer(view(0.7, 8, x_m=3.0))
    assert {round(each.samples_m[4, 0], 3) for each in crack.kept} == {0.0, 3.0}


def test_choose_later_flight_gets_its_place() -> None:
    crack = Crack()
    for number in range(3):
        crack.offer(view(1.0, 2 * number))
    assert crack.offer(replace(view(0.7), stamp_ns=24 * HOUR))
    assert sum(each.stamp_ns < HOUR for each in crack.kept) == 2


def test_choose_steady_stream_is_soon_refused() -> None:
    rng = np.random.default_rng(0)
    crack = Crack()
    kept = [crack.offer(view(float(rng.uniform(0.8, 1.0)), 0.1 * number)) for number in range(2000)]
    assert sum(kept) < 12 and not any(kept[1000:])


def test_view_of_a_fragment_is_worth_less_than_that_of_the_crack() -> None:
    line_m = np.column_stack([np.linspace(0, 1, 50), np.zeros(50), np.zeros(50)])
    whole, fragment = PhotographView.of(1.0, 0, line_m), PhotographView.of(1.0, 0, line_m[:6])
    assert whole.value > 0.8 and fragment.value < 0.5 * whole.value


def test_surplus_two_of_one_moment_and_place_are_one() -> None:
    assert surplus([view(1.0), view(0.9, 0.5), view(0.8, 0.2, x_m=4.0)]) == [1]


def test_surplus_after_a_merge_leaves_the_best_of_different_parts() -> None:
    views = [view(1.0), view(0.9, 2), view(0.8, 4), view(0.5, 6, x_m=4.0), view(0.6, 8, x_m=4.0)]
    left = set(range(5)) - set(surplus(views))
    assert len(left) == MOST and {0, 4} <= left


def test_sent_photographs_compares_only_those_of_the_same_place() -> None:
    sent = SentPhotographs()
    for number in range(3):
        sent.add(view(1.0, 2 * number))
    assert not sent.wants(view(1.0, 10, x_m=0.1))
    assert sent.wants(view(1.0, 10, x_m=2.0))
    assert sent.wants(view(1.0, 10, y_m=0.2)), "a crack beside it"
    assert not sent.wants(view(1.0, 10, x_m=0.3, reach_m=0.1)), "a part of it"
    sent.clear()
    assert sent.wants(view(1.0, 10, x_m=0.1))


def test_sent_photographs_memory_is_bounded() -> None:
    sent = SentPhotographs()
    for number in range(3000):
        sent.add(view(1.0, number, x_m=2.0 * number))
    assert len(sent._memory[0]) == len(sent._memory[1]) == 1024
    assert not sent.wants(view(1.0, 2999.5, x_m=2.0 * 2999)) and sent.wants(view(1.0, 9999, x_m=0.0))
