"""The camera's rate by the arrival of its frames."""

from __future__ import annotations

import math

import pytest

from crack_perception.ros.detector.frame_interval import FrameInterval


def test_a_few_frames_are_needed() -> None:
    interval = FrameInterval()
    for count, now_s in enumerate((5.0, 5.1, 5.2)):
        interval.note(now_s)
        assert interval.seconds == math.inf, count
    interval.note(5.3)
    assert interval.seconds == pytest.approx(0.1)


def test_pauses_and_pairs_do_not_matter_but_a_new_rate_does() -> None:
    interval, now_s = FrameInterval(), 0.0
    for step_s in (0.1, 0.1, 7.0, 0.1, 0.001, 0.199, 0.1, 0.1, 0.1):
        now_s += step_s
        interval.note(now_s)
    assert interval.seconds == pytest.approx(0.1)
    for _ in range(20):
        now_s += 0.033
        interval.note(now_s)
    assert interval.seconds == pytest.approx(0.033)
