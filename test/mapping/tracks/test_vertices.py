# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of vertex tables: resampling, joining and polyline warp."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.mapping.tracks.drift_filter import Drift
from crack_perception.mapping.tracks.polyline_warp import WarpedPart, traces, warp, warp_line
from crack_perception.mapping.tracks.vertices import Vertices

STEP_M = 0.02


def line(count: int, seed: int = 0) -> Vertices:
    """Return a straight line along x with random states and the drift of one source."""
    rng = np.random.default_rng(seed)
    points = np.stack([STEP_M * np.arange(count), np.zeros(count), np.zeros(count)], axis=1)
    table = rng.normal(size=(count, 6))
    made = Vertices.new(points, np.tile(0.01 * np.eye(3), (count, 1, 1)), 1.0, {"drone": Drift(table)})
    made.states[:] = rng.normal(size=made.states.shape)
    made.parallel_views[7] = rng.integers(0, 5, count).astype(float)
    return made


def assert_equal(one: Vertices, other: Vertices) -> None:
    np.testing.assert_array_equal(one.geometry, other.geometry)
    np.testing.assert_array_equal(one.states, other.states)
    assert one.drift.keys() == other.drift.keys() and one.parallel_views.keys() == other.parallel_views.keys()
    for source, drift in one.drift.items():
        np.testing.assert_array_equal(drift.table, other.drift[source].table)
    for crack, views in one.parallel_views.items():
        np.testing.assert_array_equal(views, other.parallel_views[crack])


def test_vertices_at_integer_indices_unchanged() -> None:
    v = line(9)
    assert_equal(v.at(np.arange(9.0)), v)
    assert_equal(v.at(np.arange(2.0, 6.0)), v.part(2, 6))
    assert_equal(v.reversed().reversed(), v)
    assert_equal(v.part(0, 4).joined(v.part(4, 9)), v)


def test_vertices_between_indices_interpolated_or_nearest() -> None:
    v = line(5)
    between = v.at(np.array([1.25, -3.0, 9.0]))
    assert between.point_m[:, 0] == pytest.approx([1.25 * STEP_M, 0.0, 4 * STEP_M])
    np.testing.assert_array_equal(between.states, v.states[[1, 0, 4]])


def test_vertices_copy_shares_no_array() -> None:
    v = line(5)
    kept, copy = v.copy(), v.copy()
    copy.point_m[:] += 1.0
    copy.evidence[:] += 1.0
    copy.drift["drone"].offset_m[:] += 1.0
    copy.parallel_views[7][:] += 1.0
    assert_equal(v, kept)


def test_joined_vertices_without_source_unknown_drift() -> None:
    one, other = line(3), line(2, seed=1)
    other.drift = {"second": other.drift["drone"]}
    joined = one.joined(other)
    assert np.isneginf(joined.drift["drone"].seen_s[3:]).all()
    assert np.isneginf(joined.drift["second"].seen_s[:3]).all()


def test_warp_shifts_part_and_tapers_off() -> None:
    v = line(200)
    shift = np.tile([0.0, 0.01, 0.0], (10, 1))
    warp_line(v, 20, 30, shift, STEP_M)
    across = v.point_m[:, 1]
    assert across[20:30] == pytest.approx(0.01)
    assert np.all(np.diff(across[29:130]) < 0) and np.all(np.diff(across[:21]) > 0)
    assert across[29 + 25] == pytest.approx(0.01 * np.exp(-1.0), rel=0.05)
    assert np.all(across[135:] == 0.0)


def test_warp_moves_accurate_vertices_less() -> None:
    v = line(60)
    v.covariance_m2[40:] *= 0.1
    warp_line(v, 0, 20, np.tile([0.0, 0.01, 0.0], (20, 1)), STEP_M)
    assert v.point_m[40, 1] / v.point_m[39, 1] == pytest.approx(0.1, rel=0.05)


def test_warp_several_lines_equals_separate_warps() -> None:
    rng = np.random.default_rng(3)
    sizes, spans = (50, 80), ((10, 20), (30, 70))
    variance = rng.uniform(0.5, 2.0, sum(sizes))
    shifts = [rng.normal(size=(stop - start, 3)) for start, stop in spans]
    alone, parts, shifted, first = [], [], [], 0
    for size, (start, stop), shift in zip(sizes, spans, shifts, strict=True):
        mine = variance[first : first + size]
        alone.append(warp(mine, [WarpedPart(start, stop, 0, size)], shift, mine[start:stop], STEP_M))
        parts.append(WarpedPart(first + start, first + stop, first, first + size))
        shifted.append(mine[start:stop])
        first += size
    together = warp(variance, parts, np.concatenate(shifts), np.concatenate(shifted), STEP_M)
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_traces_equal_covariance_traces() -> None:
    v = line(4)
    v.covariance_m2[:] = np.random.default_rng(0).normal(size=(4, 3, 3))
    assert traces(v.geometry) == pytest.approx(np.trace(v.covariance_m2, axis1=1, axis2=2))
