# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Counters, rates and percentiles of frames."""

from __future__ import annotations

import math

import pytest

from crack_perception.ros.common.frame_statistics import FrameStatistics


def test_snapshot_before_the_first_frame_is_unknown() -> None:
    snapshot = FrameStatistics().snapshot(0.0)
    assert (snapshot.received, snapshot.processed, snapshot.failed, snapshot.rate_hz) == (0, 0, 0, 0.0)
    assert math.isnan(snapshot.age_median_ms) and math.isnan(snapshot.processing_p95_ms)


def test_snapshot_steady_stream_has_rate_and_percentiles() -> None:
    statistics = FrameStatistics()
    for index in range(101):
        statistics.count_received()
        statistics.count_processed(age_ms=float(index), processing_ms=10.0, now_s=index * 0.1)
    statistics.count_failed()
    snapshot = statistics.snapshot(10.0)
    assert (snapshot.received, snapshot.processed, snapshot.failed) == (101, 101, 1)
    assert snapshot.rate_hz == pytest.approx(10.0, rel=0.05)
    assert snapshot.age_median_ms == pytest.approx(50.0)
    assert snapshot.age_p95_ms == pytest.approx(95.0)
    # A stream that stopped has no rate any more.
    assert statistics.snapshot(60.0).rate_hz == 0.0
