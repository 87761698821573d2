# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Time limits of frames from the frame interval and the time that closing a frame takes."""

from __future__ import annotations

import math
import time

import pytest

from crack_perception.ros.detector.timing import LoadControl


def control_at_20_hz() -> LoadControl:
    control = LoadControl()
    for index in range(5):
        control.note_arrival(0.05 * index)
    return control


def test_interval_is_unknown_before_three_intervals() -> None:
    control = LoadControl()
    for count, now_s in enumerate((5.0, 5.1, 5.2)):
        control.note_arrival(now_s)
        assert control.interval_s == math.inf, count
    control.note_arrival(5.3)
    assert control.interval_s == pytest.approx(0.1)


def test_interval_pauses_and_bursts_are_ignored_and_a_new_rate_is_followed() -> None:
    control, now_s = LoadControl(), 0.0
    for step_s in (0.1, 0.1, 7.0, 0.1, 0.001, 0.199, 0.1, 0.1, 0.1):
        now_s += step_s
        control.note_arrival(now_s)
    assert control.interval_s == pytest.approx(0.1)
    for _ in range(20):
        now_s += 0.033
        control.note_arrival(now_s)
    assert control.interval_s == pytest.approx(0.033)


def test_left_unknown_interval_is_unlimited() -> None:
    assert LoadControl().left_s(7.0, 7.5) == math.inf


def test_left_known_interval_reserves_closing_before_the_next_frame() -> None:
    control = control_at_20_hz()
    for _ in range(15):
        control.note_closing(0.008)
    # The next frame arrives at 0.250, with a tolerance of a tenth of 0.05.
    assert control.left_s(0.2, 0.21) == pytest.approx(0.25 - 0.005 - 0.008 - 0.21)
    assert control.left_s(0.2, 0.24) == 0.0


def test_left_follows_slower_and_faster_closing() -> None:
    control = control_at_20_hz()
    left_s = []
    for closing_s in (0.002, 0.012, 0.004):
        for _ in range(15):
            control.note_closing(closing_s)
        left_s.append(control.left_s(0.2, 0.2))
    assert left_s[0] - left_s[1] == pytest.approx(0.010)
    assert left_s[2] - left_s[1] == pytest.approx(0.008)


def test_left_rare_delays_do_not_end_measuring() -> None:
    control = control_at_20_hz()
    for closing_s in (*(0.004,) * 13, 0.9, 0.9):
        control.note_closing(closing_s)
    assert control.left_s(0.2, 0.2) == pytest.approx(0.05 - 0.005 - 0.004)
    for _ in range(15):
        control.note_closing(0.9)
    assert control.left_s(0.2, 0.2) == pytest.approx(0.05 - 0.005 - 0.025)


@pytest.mark.parametrize(
    ("budget_s", "next_waits", "skips"),
    [(1e-9, True, True), (1e-9, False, False), (60.0, True, False), (0.0, True, False)],
)
def test_skips_tiles_only_after_the_budget_while_the_next_frame_waits(
    budget_s: float, next_waits: bool, skips: bool
) -> None:
    timing = LoadControl(next_frame_waits=lambda: next_waits).note_arrival(time.monotonic())
    timing.begin_scoring(budget_s)
    time.sleep(0.001)
    assert timing.skips_tiles() is skips


@pytest.mark.parametrize("has_backlog", [False, True])
def test_skips_regions_with_a_backlog(monkeypatch: pytest.MonkeyPatch, has_backlog: bool) -> None:
    monkeypatch.setattr("crack_perception.ros.detector.timing._BEHIND_S", 60.0)
    timing = LoadControl(has_backlog=lambda: has_backlog).note_arrival(time.monotonic())
    timing.begin_scoring(0.0)
    timing.end_scoring()
    timing.begin_measuring()
    assert timing.measuring_s == math.inf
    assert timing.skips_regions() is has_backlog


@pytest.mark.parametrize(("is_pipelined", "has_time"), [(False, False), (True, True)])
def test_begin_measuring_late_frame_has_time_only_in_a_pipeline(is_pipelined: bool, has_time: bool) -> None:
    control = LoadControl(is_pipelined)
    now_s = time.monotonic()
    for age_s in (400.0, 300.0, 200.0):
        control.note_arrival(now_s - age_s)
    timing = control.note_arrival(now_s - 100.0)  # the next frame is due now
    timing.begin_scoring(0.0)
    timing.end_scoring()
    timing.begin_measuring()
    assert (timing.measuring_s > 0.0) is has_time
    assert timing.skips_regions() or has_time


def test_finish_frame_counts_the_time_after_measuring_as_closing() -> None:
    control = LoadControl(is_pipelined=True)
    now_s = time.monotonic()
    for age_s in (300.0, 200.0, 100.0):
        control.note_arrival(now_s - age_s)
    timing = control.note_arrival(now_s)
    before_s = control.left_s(now_s, now_s)
    timing.begin_scoring(0.0)
    timing.end_scoring()
    timing.begin_measuring()
    timing.end_measuring()
    done_s = timing.finish()
    assert 0.0 <= timing.processing_s <= done_s - now_s
    # The assumed closing of a tenth of the interval is replaced by the real one, which is far shorter.
    assert before_s == pytest.approx(80.0)
    assert 80.0 < control.left_s(now_s, now_s) <= 90.0


@pytest.mark.parametrize("next_waits", [True, False])
def test_is_busy_interval_unknown_only_while_the_next_frame_waits(next_waits: bool) -> None:
    timing = LoadControl(next_frame_waits=lambda: next_waits).note_arrival(time.monotonic())
    timing.begin_scoring(0.0)
    assert timing.is_busy() == next_waits


@pytest.mark.parametrize(("interval_s", "expected"), [(1e-9, True), (1000.0, False)])
def test_is_busy_after_half_of_the_frame_interval(interval_s: float, expected: bool) -> None:
    control = LoadControl()
    timing = control.note_arrival(time.monotonic())
    control.interval_s = interval_s
    timing.begin_scoring(0.0)
    time.sleep(1e-6)
    assert timing.is_busy() == expected
