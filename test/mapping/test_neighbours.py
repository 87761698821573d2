# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the map with cracks that are close to each other: no merging and no duplicates."""

from __future__ import annotations

import numpy as np
import pytest
from map_flights import Noise, flight, map_errors, passes

from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.polylines import arc_lengths, even_positions, interpolated

WALL_M = (4.0, 1.9)
NOISE = Noise(white_share=0.3)


def path(*corners: tuple[float, float]) -> np.ndarray:
    """Return a slightly uneven line (N, 2) with vertices every centimetre."""
    line = np.array(corners, dtype=float)
    line = interpolated(line, even_positions(arc_lengths(line), 0.01))
    wave = 0.004 * np.sin(np.arange(len(line)) / 7.0)
    return line + wave[:, None]


def mapped(cracks: list[np.ndarray], seed: int) -> list[MappedCrack]:
    rng = np.random.default_rng(seed)
    crack_map = GrowingMap()
    for frame_observation in flight(rng, cracks, np.vstack(passes(WALL_M, 3)), NOISE):
        crack_map.add(frame_observation)
    return [crack for crack in crack_map.cracks() if crack.state is CrackState.CONFIRMED]


PARALLEL = [path((1.0, 0.9), (2.6, 0.95)), path((1.1, 1.0), (2.5, 1.05))]
FORK = [path((0.8, 0.6), (3.0, 0.8)), path((1.8, 0.69), (2.4, 1.1), (2.9, 1.4))]
CROSS = [path((0.8, 0.5), (2.9, 1.3)), path((0.9, 1.3), (2.9, 0.6))]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cracks", [PARALLEL, FORK, CROSS], ids=["parallel", "fork", "cross"])
def test_crack_map_close_cracks_mapped_once_each(cracks: list[np.ndarray], seed: int) -> None:
    found = mapped(cracks, seed)
    verdict = map_errors(found, cracks)
    true_m = sum(float(arc_lengths(np.column_stack([line, np.zeros(len(line))]))[-1]) for line in cracks)
    assert verdict.recall >= 0.95
    assert verdict.false_objects == 0
    # No duplicates and no losses; where cracks diverge, they may be one object over some centimetres.
    assert verdict.length_m == pytest.approx(true_m, rel=0.1)
    # At a crossing, a crack may end and continue as another object.
    assert 2 <= len(found) <= (3 if cracks is CROSS else 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_crack_map_parallel_cracks_keep_distance(seed: int) -> None:
    first, second = mapped(PARALLEL, seed)
    gaps_m = np.linalg.norm(first.line_m[10:-10, None] - second.line_m, axis=2).min(axis=1)
    assert np.median(gaps_m) == pytest.approx(0.1, abs=0.03)
