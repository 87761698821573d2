# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Stamps of a clock that counts from a device's start, on the node's clock."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry.poses.boot_clock import BootClock

NOW_NS = 1_700_000_000_000_000_000
MS = 1_000_000


def test_boot_clock_stamps_with_a_date_are_not_changed() -> None:
    clock = BootClock()
    assert clock.converted(NOW_NS - 5 * MS, NOW_NS) == NOW_NS - 5 * MS
    assert clock.offset_ns is None


def test_boot_clock_simulated_time_is_not_changed() -> None:
    clock = BootClock()
    assert clock.converted(12_000 * MS, 12_010 * MS) == 12_000 * MS


def test_boot_clock_jitter_of_the_transport_does_not_reach_the_stamps() -> None:
    clock = BootClock()
    delays_ms = np.random.default_rng(4).exponential(8.0, 500) + 2.0
    errors_ms = [
        (clock.converted(i * 10 * MS, NOW_NS + i * 10 * MS + int(delay * MS)) - (NOW_NS + i * 10 * MS)) / MS
        for i, delay in enumerate(delays_ms)
    ]
    assert np.abs(errors_ms[100:]).max() == pytest.approx(delays_ms.min(), abs=0.5)


def test_boot_clock_follows_a_drift() -> None:
    clock = BootClock()
    # The device is 50 ppm slow: 0.18 s in an hour.
    for second in range(3600):
        stamp = clock.converted(int(second * 0.99995 * 1e9), NOW_NS + second * 10**9)
    assert stamp == pytest.approx(NOW_NS + 3599 * 10**9, abs=5 * MS)


def test_boot_clock_restart_of_the_device_begins_a_new_offset() -> None:
    clock = BootClock()
    clock.converted(500 * 10**9, NOW_NS)
    assert clock.converted(2 * 10**9, NOW_NS + 30 * 10**9) == NOW_NS + 30 * 10**9
