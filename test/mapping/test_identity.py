# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of crack identity: same crack, continuation, branch, merge and new crack."""

from __future__ import annotations

import numpy as np
import pytest
from map_observations import frame, only, segment, show, states

from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.mapping.settings import MapSettings


def test_identity_shifted_observation_same_crack() -> None:
    crack_map = GrowingMap()
    for number in range(5):
        change = crack_map.add(frame(number, segment((0, 0.02 * number), (1, 0.02 * number))))
        assert change.changed == {1}
    crack = only(crack_map)
    assert (crack.views, crack.state, crack.misses) == (5, CrackState.CONFIRMED, 0)
    assert 0.0 < crack.line_m[:, 1].mean() < 0.08
    assert (crack.first_seen_ns, crack.last_seen_ns) == (0, 4 * 10**9)


@pytest.mark.parametrize(
    "other",
    [
        segment((0, 0.3), (1, 0.3)),
        segment((0.5, -0.5), (0.5, 0.5)),
        segment((0, 0), (1, 0), normal=np.array([0.0, 1, 0])),
        segment((0, 0, 0.5), (1, 0, 0.5)),
    ],
    ids=["far beside", "across", "on another wall", "at another depth"],
)
def test_identity_other_crack_new_id(other: object) -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)), other)  # type: ignore[arg-type]
    assert states(crack_map) == {1: CrackState.CONFIRMED, 2: CrackState.CONFIRMED}


def test_identity_parallel_cracks_stay_two_with_pose_offset() -> None:
    crack_map = GrowingMap()
    pair = (segment((0, 0), (1, 0)), segment((0.2, 0.08), (1.3, 0.08)))
    show(crack_map, [0.0, 1.0, 2.0], *pair)
    # In the second pass, the first line is at the former position of the second one.
    off = [segment((0, 0.07), (1, 0.07)), segment((0.2, 0.15), (1.3, 0.15))]
    show(crack_map, [100.0, 101.0], *off)
    first, second = crack_map.cracks()
    assert (first.views, second.views) == (5, 5)
    assert first.apart_from.tolist() == [2]
    assert abs(second.line_m[:, 1].mean() - first.line_m[:, 1].mean()) == pytest.approx(0.08, abs=0.01)


def test_identity_continuation_extends_crack() -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 1.0], segment((0, 0), (1, 0)))
    show(crack_map, [2.0, 3.0], segment((0.5, 0.01), (2, 0.01)))
    show(crack_map, [4.0, 5.0], segment((0.7, 0.0), (-0.5, 0.0)))
    crack = only(crack_map)
    assert crack.length_m == pytest.approx(2.5, abs=0.06)
    assert np.diff(crack.line_m[:, 0]).min() > 0 or np.diff(crack.line_m[:, 0]).max() < 0


def test_identity_branch_new_crack() -> None:
    crack_map = GrowingMap()
    stem = segment((0, 0), (2, 0))
    show(crack_map, [0.0, 1.0, 2.0], stem)
    # The other path through the junction: along the stem, then off at 40 degrees.
    bent = np.vstack([segment((0, 0), (1, 0)).line_m, segment((1, 0), (1.8, 0.65)).line_m[1:]])
    count = len(bent)
    fork = segment((0, 0), (1, 0), line_m=bent, width_mm=np.full(count, 0.4), width_sigma_mm=np.full(count, 0.05))
    show(crack_map, [3.0, 4.0, 5.0], fork)
    first, second = crack_map.cracks()
    assert first.length_m == pytest.approx(2.0, abs=0.08)
    assert second.length_m == pytest.approx(1.03, abs=0.08)
    junction = np.array([1.0, 0, 0])
    assert min(np.linalg.norm(second.line_m[[0, -1]] - junction, axis=1)) < 0.06


def test_identity_collinear_fragments_merge_into_older() -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 1.0, 2.0], segment((2, 0), (1.1, 0)))
    change = crack_map.add(frame(3.0, segment((0, 0.01), (1.0, 0.0)), segment((2, 0), (1.1, 0))))
    assert (change.merged, change.removed) == ({2: 1}, {2})
    assert only(crack_map).length_m == pytest.approx(2.0, abs=0.03)
    assert only(crack_map).id == 1


@pytest.mark.parametrize(
    "other",
    [segment((1.1, 0), (1.6, 0.6)), segment((1.1, 0.12), (2, 0.12)), segment((1.4, 0), (2, 0))],
    ids=["bent", "aside", "too far"],
)
def test_identity_other_fragments_stay_separate(other: object) -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 1.0], segment((0, 0), (1, 0)), other)  # type: ignore[arg-type]
    assert len(crack_map) == 2


def test_identity_bridging_line_joins_cracks() -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)), segment((1.6, 0), (2.5, 0)))
    assert len(crack_map) == 2
    show(crack_map, [3.0], segment((0.3, 0), (2.2, 0)))
    assert only(crack_map).length_m == pytest.approx(2.5, abs=0.03)


def test_identity_two_drones_one_crack() -> None:
    crack_map = GrowingMap(MapSettings(white_share=0.0))
    crack_map.add(frame(0.0, segment((0, 0), (1, 0)), source="first"))
    alone = only(crack_map).covariance_m2[1, 1]
    crack_map.add(frame(0.1, segment((0, 0.02), (1, 0.02)), source="second"))
    crack = only(crack_map)
    assert crack.line_m[:, 1].mean() == pytest.approx(0.01, abs=0.002)
    assert crack.covariance_m2[1, 1] < 0.6 * alone
