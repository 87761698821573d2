# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the whole map: robustness, invariance, restoration and cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from map_flights import Noise, flight, moved, passes, wall_cracks
from map_observations import WIDE_VIEW, frame, only, segment, show, states

from crack_perception.geometry import rotations
from crack_perception.mapping import growing_map as module
from crack_perception.mapping.growing_map import GrowingMap
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.settings import MapSettings

NAN = float("nan")
SHORT_WALL = (4.0, 1.9)


# Robustness


def test_update_invalid_observations_counted_valid_mapped() -> None:
    crack_map = GrowingMap()
    good = segment((0, 0), (1, 0))
    bad = segment((0, 1), (1, 1), covariance_m2=np.full((3, 3), NAN))
    crack_map.add(frame(0.0, bad, good, footprint_m=np.full((4, 3), NAN)))
    assert len(crack_map) == 1
    assert crack_map.refused == {"a covariance is not finite": 1}


@pytest.mark.parametrize("scale", [0.0, 1e-12, 4.0])
def test_update_any_covariance_size_keeps_map_valid(scale: float) -> None:
    crack_map = GrowingMap()
    for number in range(6):
        crack_map.add(frame(number, segment((0, 0), (1, 0), covariance_m2=scale * np.eye(3))))
    crack = only(crack_map)
    assert np.all(np.isfinite(crack.line_m))
    assert np.linalg.eigvalsh(crack.covariance_m2)[0] > 0


def test_update_time_set_back_continues() -> None:
    crack_map = GrowingMap()
    for _ in range(3):
        show(crack_map, [100.0, 101.0, 102.0], segment((0, 0), (1, 0)))
    show(crack_map, [0.0], segment((0, 0), (1, 0)))
    crack = only(crack_map)
    assert (crack.views, crack.state) == (10, CrackState.CONFIRMED)
    assert (crack.first_seen_ns, crack.last_seen_ns) == (0, 102 * 10**9)
    assert np.linalg.eigvalsh(crack.covariance_m2)[0] > 0


def test_update_repeated_or_empty_frame_no_effect() -> None:
    crack_map = GrowingMap()
    show(crack_map, [1.0, 1.0, 1.0], segment((0, 0), (1, 0)))
    assert states(crack_map) == {1: CrackState.NEW}
    assert crack_map.add(frame(2.0, footprint_m=np.zeros((0, 3)), source="nobody")).changed == set()


# Properties


def flown(seed: int, size_m: tuple[float, float] = SHORT_WALL, count: int = 4) -> list:
    rng = np.random.default_rng(seed)
    cracks = wall_cracks(rng, count, size_m)
    return list(flight(rng, cracks, np.vstack(passes(size_m, 2)), Noise()))


def test_update_observation_order_irrelevant() -> None:
    frame_observations = flown(1)
    one, other = GrowingMap(), GrowingMap()
    for frame_observation in frame_observations:
        one.add(frame_observation)
        shuffled = tuple(reversed(frame_observation.observations))
        other.add(replace(frame_observation, observations=shuffled))
    assert [c.id for c in one.cracks()] == [c.id for c in other.cracks()]
    for a, b in zip(one.cracks(), other.cracks(), strict=True):
        assert np.array_equal(a.line_m, b.line_m)


def test_update_rigid_motion_of_input_moves_map() -> None:
    turn, shift = np.array([0.5, -0.3, 1.2]), np.array([40.0, -70.0, 12.0])
    rotation = rotations.to_matrix(rotations.from_rotation_vector(turn))
    here, there = GrowingMap(), GrowingMap()
    for frame_observation in flown(2):
        here.add(frame_observation)
        there.add(moved(frame_observation, turn, shift))
    assert len(here) >= 4
    for a, b in zip(here.cracks(), there.cracks(), strict=True):
        assert b.line_m == pytest.approx(a.line_m @ rotation.T + shift, abs=1e-5)
        assert b.covariance_m2 == pytest.approx(rotation @ a.covariance_m2 @ rotation.T, rel=1e-3, abs=1e-8)
        assert (a.id, a.state, a.views, a.misses) == (b.id, b.state, b.views, b.misses)


def test_update_ids_unique_confirmed_removed_only_by_merging() -> None:
    crack_map = GrowingMap()
    known: set[int] = set()
    confirmed: set[int] = set()
    for frame_observation in flown(3, count=5):
        before = crack_map.next_id
        change = crack_map.add(frame_observation)
        ids = {crack.id for crack in crack_map.cracks()}
        assert change.changed <= ids
        assert not change.removed & ids
        assert set(change.merged) <= change.removed
        assert set(change.merged.values()) <= ids | set(change.merged)
        assert all(before <= identifier < crack_map.next_id for identifier in ids - known)
        assert known - ids <= change.removed
        assert confirmed - ids <= set(change.merged)
        confirmed = {crack.id for crack in crack_map.cracks() if crack.state is not CrackState.NEW}
        known = ids
    assert len(confirmed) >= 5


def test_restore_map_continues_identically() -> None:
    settings = MapSettings(white_share=0.1)
    frame_observations = flown(4)
    half = len(frame_observations) // 2
    lasting = GrowingMap(settings)
    for frame_observation in frame_observations[:half]:
        lasting.add(frame_observation)
    restored = GrowingMap(settings)
    restored.restore(lasting.cracks(), lasting.next_id)
    assert restored.next_id == lasting.next_id
    for a, b in zip(lasting.cracks(), restored.cracks(), strict=True):
        for name in ("line_m", "evidence", "width_mm", "normal"):
            assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        assert a.covariance_m2 == pytest.approx(b.covariance_m2, abs=0.03 * np.trace(a.covariance_m2))
    # The second pass is a minute later, when the drift is no longer correlated.
    for frame_observation in frame_observations[half:]:
        lasting.add(frame_observation)
        restored.add(frame_observation)
    assert states(lasting) == states(restored)
    for a, b in zip(lasting.cracks(), restored.cracks(), strict=True):
        assert a.views == b.views
        gaps = np.linalg.norm(a.line_m[3:-3, None] - b.line_m, axis=2).min(axis=1)
        assert np.median(gaps) < 0.011


def test_restore_minimal_cracks_ids_not_reused() -> None:
    stored = MappedCrack(
        7,
        CrackState.CONFIRMED,
        np.array([[0.0, 0, 0], [1, 0, 0]]),
        np.full(2, NAN),
        np.full(2, NAN),
        np.array([0.0, 0, 1]),
        0.001 * np.eye(3),
        0.9,
        NAN,
        5,
        0,
        0,
        10**9,
    )
    crack_map = GrowingMap()
    crack_map.restore([stored], next_id=12)
    show(crack_map, [5.0], segment((0, 0.01), (1, 0.01)), segment((0, 2), (1, 2)))
    assert states(crack_map) == {7: CrackState.CONFIRMED, 12: CrackState.NEW}
    with pytest.raises(ValueError, match="empty map"):
        crack_map.restore([stored])
    with pytest.raises(ValueError, match="same id"):
        GrowingMap().restore([stored, stored])


def test_reset_clears_all_but_ids() -> None:
    crack_map = GrowingMap()
    show(crack_map, [0.0], segment((0, 0), (1, 0)))
    crack_map.reset()
    assert crack_map.cracks() == ()
    show(crack_map, [1.0], segment((0, 0), (1, 0)))
    assert only(crack_map).id == 2


# Cost


def test_update_cost_independent_of_map_size(monkeypatch: pytest.MonkeyPatch) -> None:
    processed: list[int] = []
    associate, expected_views = module.associate, module.expected_views

    def counting_associate(lines, tracks, *rest):  # type: ignore[no-untyped-def]
        processed.append(len(tracks))
        return associate(lines, tracks, *rest)

    def counting_expected(tracks, *rest):  # type: ignore[no-untyped-def]
        processed.append(len(tracks))
        return expected_views(tracks, *rest)

    monkeypatch.setattr(module, "associate", counting_associate)
    monkeypatch.setattr(module, "expected_views", counting_expected)
    small = 0.6 * WIDE_VIEW / 5
    crack_map = GrowingMap()
    show(crack_map, [0.0], segment((0, 0), (0.5, 0)))
    template = only(crack_map)
    stored = []
    for number in range(5000):
        place = np.array([2.0 * (number % 100), 2.0 * (number // 100), 0.0])
        stored.append(replace(template, id=number + 1, line_m=template.line_m + place))
    crack_map = GrowingMap()
    crack_map.restore(stored)
    processed.clear()
    for number in range(10):
        change = crack_map.add(frame(number, segment((40, 40.01), (40.5, 40.01)), footprint_m=small + [40.0, 40, 0]))
        assert change.changed == {2021}
    assert len(processed) == 20
    assert max(processed) <= 4
