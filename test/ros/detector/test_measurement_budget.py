"""How long may be measured before the next frame comes."""

from __future__ import annotations

import math

import pytest

from crack_perception.ros.detector.measurement_budget import MeasuringTime


def camera_at_20_hz() -> MeasuringTime:
    time = MeasuringTime()
    for index in range(5):
        time.note_arrival(0.05 * index)
    return time


def test_there_is_no_limit_before_the_rate_is_known() -> None:
    assert MeasuringTime().left_s(7.0, 7.5) == math.inf


def test_what_follows_measuring_is_done_when_the_next_frame_comes() -> None:
    time = camera_at_20_hz()
    for _ in range(15):
        time.note_closing(0.008)
    # The next frame comes at 0.250, give or take a tenth of 0.05.
    assert time.left_s(0.2, 0.21) == pytest.approx(0.25 - 0.005 - 0.008 - 0.21)
    assert time.left_s(0.2, 0.24) == 0.0


def test_a_slower_closing_leaves_less_and_a_faster_one_more_again() -> None:
    time = camera_at_20_hz()
    left_s = []
    for closing_s in (0.002, 0.012, 0.004):
        for _ in range(15):
            time.note_closing(closing_s)
        left_s.append(time.left_s(0.2, 0.2))
    assert left_s[0] - left_s[1] == pytest.approx(0.010)
    assert left_s[2] - left_s[1] == pytest.approx(0.008)


def test_hiccups_do_not_end_measuring() -> None:
    time = camera_at_20_hz()
    for closing_s in (*(0.004,) * 13, 0.9, 0.9):
        time.note_closing(closing_s)
    assert time.left_s(0.2, 0.2) == pytest.approx(0.05 - 0.005 - 0.004)
    for _ in range(15):
        time.note_closing(0.9)
    assert time.left_s(0.2, 0.2) == pytest.approx(0.05 - 0.005 - 0.025)
