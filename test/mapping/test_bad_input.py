# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the map with random invalid frames."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.observation import CrackObservation, FrameObservation


def nonsense(rng: np.random.Generator, size_m: float) -> CrackObservation:
    """Return a random line: folded, straight or interrupted, with an unrelated normal and any covariance."""
    count, step_m = int(rng.integers(2, 60)), 10 ** rng.uniform(-3, 0)
    start = rng.uniform(-1, 1, 3) * size_m * [1, 1, 0.05]
    line = start + np.cumsum(rng.normal(0, step_m, (count, 3)) * [1, 1, rng.integers(2)], axis=0)
    kind = rng.integers(4)
    if kind == 1:
        line = start + np.arange(count)[:, None] * step_m * np.array([[1.0, 0, 0]])
    elif kind == 2:
        line = np.vstack([line, line[::-1]])
    elif kind == 3:
        line[rng.integers(count)] = np.nan
    count = len(line)
    root = rng.normal(0, 10 ** rng.uniform(-3, 0.3), (3, 3))
    covariance = np.outer(root[0], root[0]) if rng.random() < 0.2 else root @ root.T
    normal = [np.array([0.0, 0, 1]), np.array([1.0, 0, 0]), rng.normal(size=3)][rng.integers(3)]
    widths = np.where(rng.random(count) < 0.3, np.nan, rng.normal(0.5, 0.5, count))
    gsd_mm = float(rng.choice([np.nan, 0.0, 1.0, 2.0]))
    return CrackObservation(line, widths, np.abs(rng.normal(0, 0.2, count)), normal, covariance, gsd_mm, rng.random())


@pytest.mark.parametrize("seed", range(12))
def test_crack_map_random_invalid_input_stays_valid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crack_map, size_m = GrowingMap(), 10 ** rng.uniform(-1, 2)
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        for number in range(20):
            stamp_ns = int(rng.uniform(-5, 50) * 1e9) if rng.random() < 0.5 else number * 10**8
            corners = rng.uniform(-1, 1, (rng.choice([0, 2, 4, 7]), 3)) * size_m * [1, 1, 0.01]
            observations = tuple(nonsense(rng, size_m) for _ in range(rng.integers(0, 5)))
            crack_map.add(FrameObservation(stamp_ns, str(rng.choice(["one", "two"])), corners, observations))
            cracks = crack_map.cracks()
            assert len({crack.id for crack in cracks}) == len(cracks)
            for crack in cracks:
                assert len(crack.line_m) == len(crack.evidence) == len(crack.width_mm) >= 2
                assert np.all(np.isfinite(crack.line_m))
                assert np.linalg.eigvalsh(crack.covariance_m2)[0] > 0
                assert np.linalg.norm(crack.normal) == pytest.approx(1.0)
                assert 0 < crack.score < 1
                assert set(crack.apart_from.tolist()) < {other.id for other in cracks}
    again = GrowingMap()
    again.restore(cracks, crack_map.next_id)
    assert [crack.id for crack in again.cracks()] == [crack.id for crack in cracks]
