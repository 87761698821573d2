# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the detection of parallel lines in one frame."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from map_observations import segment

from crack_perception.mapping.association.parallel_lines import ParallelLines, find_parallel_lines
from crack_perception.mapping.association.view_lines import view_lines
from crack_perception.mapping.observation import CrackObservation
from crack_perception.mapping.settings import MapSettings

SETTINGS = MapSettings()


def found(*observations: CrackObservation) -> list[ParallelLines]:
    return find_parallel_lines(view_lines(observations, SETTINGS, Counter()), SETTINGS)


@pytest.mark.parametrize("gap_m", [0.04, 0.1, 0.2])
def test_parallel_pairs_two_lines_found_in_both_directions(gap_m: float) -> None:
    # Lines of a frame are ordered by length.
    first, second = found(segment((0, 0), (1, 0)), segment((0.4, gap_m), (1.2, gap_m)))
    assert (first.line, first.other, second.line, second.other) == (0, 1, 1, 0)
    # Beyond their ends, lines still count as parallel over a distance that grows with the gap.
    step, slack_m = SETTINGS.step_m, 0.06 + 0.3 * gap_m
    for pair, begin_m, end_m, shift_m in ((first, 0.4, 1.0, -0.4), (second, 0.0, 0.6, 0.4)):
        assert pair.at.min() * step == pytest.approx(begin_m, abs=slack_m)
        assert pair.at.max() * step == pytest.approx(end_m, abs=slack_m)
        assert sorted(pair.at.tolist()) == list(range(pair.at.min(), pair.at.max() + 1))
        assert pair.other_at * step == pytest.approx(pair.at * step + shift_m, abs=slack_m)


@pytest.mark.parametrize(
    "other",
    [
        segment((0, 0.02), (1, 0.02)),
        segment((0, 0.4), (1, 0.4)),
        segment((0.5, -0.5), (0.5, 0.5)),
        segment((1.1, 0.05), (2, 0.05)),
        segment((0, 0.1), (1, 0.1), normal=np.array([0.0, 1, 0])),
        segment((0, 0.1, 0.4), (1, 0.1, 0.4)),
    ],
    ids=["one on the other", "far apart", "across", "one after the other", "another wall", "another depth"],
)
def test_parallel_pairs_unrelated_lines_not_found(other: CrackObservation) -> None:
    assert found(segment((0, 0), (1, 0)), other) == []


def test_parallel_pairs_fork_found_only_beyond_branching() -> None:
    fork = segment((0, 0), (0.8, 0.3))
    pairs = found(segment((0, 0), (1, 0)), fork)
    for pair in pairs:
        distances_m = pair.at * SETTINGS.step_m
        assert distances_m.min() > 0.05
    assert len(pairs) == 2


def test_parallel_pairs_single_line_none_found() -> None:
    assert found(segment((0, 0), (1, 0))) == []
    assert found() == []


def test_parallel_pairs_three_lines_give_six_for_any_origin() -> None:
    lines = [segment((x, y, 0), (x + 1, y, 0)) for x, y in ((1e5, 2e5), (1e5, 2e5 + 0.1), (1e5, 2e5 + 0.2))]
    assert sorted((pair.line, pair.other) for pair in found(*lines)) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
