"""The map of all cracks: one id for each, found again, put together, believed and given up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from map_flights import Noise, flight, moved, passes, wall_cracks
from map_observations import WIDE_VIEW, frame, segment, show

from crack_perception.geometry import rotations
from crack_perception.mapping import crack_map as module
from crack_perception.mapping.crack_map import CrackMap
from crack_perception.mapping.map_settings import MapSettings
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack

NAN = float("nan")
SHORT_WALL = (4.0, 1.9)


def states(crack_map: CrackMap) -> dict[int, CrackState]:
    return {crack.id: crack.state for crack in crack_map.cracks()}


def only(crack_map: CrackMap) -> MappedCrack:
    (crack,) = crack_map.cracks()
    return crack


# Identity


def test_a_crack_seen_again_a_little_off_is_the_same() -> None:
    crack_map = CrackMap()
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
def test_another_crack_gets_an_id_of_its_own(other: object) -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)), other)  # type: ignore[arg-type]
    assert states(crack_map) == {1: CrackState.CONFIRMED, 2: CrackState.CONFIRMED}


def test_neighbours_side_by_side_stay_two_when_a_later_frame_is_off_by_their_distance() -> None:
    crack_map = CrackMap()
    pair = (segment((0, 0), (1, 0)), segment((0.2, 0.08), (1.3, 0.08)))
    show(crack_map, [0.0, 1.0, 2.0], *pair)
    # A second pass, where the first line comes to lie just where the second one was.
    off = [segment((0, 0.07), (1, 0.07)), segment((0.2, 0.15), (1.3, 0.15))]
    show(crack_map, [100.0, 101.0], *off)
    first, second = crack_map.cracks()
    assert (first.views, second.views) == (5, 5)
    assert first.apart_from.tolist() == [2]
    assert abs(second.line_m[:, 1].mean() - first.line_m[:, 1].mean()) == pytest.approx(0.08, abs=0.01)


def test_what_goes_on_beyond_the_end_extends_the_crack() -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0, 1.0], segment((0, 0), (1, 0)))
    show(crack_map, [2.0, 3.0], segment((0.5, 0.01), (2, 0.01)))
    show(crack_map, [4.0, 5.0], segment((0.7, 0.0), (-0.5, 0.0)))
    crack = only(crack_map)
    assert crack.length_m == pytest.approx(2.5, abs=0.06)
    assert np.diff(crack.line_m[:, 0]).min() > 0 or np.diff(crack.line_m[:, 0]).max() < 0


def test_a_branch_is_a_crack_of_its_own() -> None:
    crack_map = CrackMap()
    stem = segment((0, 0), (2, 0))
    show(crack_map, [0.0, 1.0, 2.0], stem)
    # The other way through the junction: along the stem, then off at 40 degrees.
    bent = np.vstack([segment((0, 0), (1, 0)).line_m, segment((1, 0), (1.8, 0.65)).line_m[1:]])
    count = len(bent)
    fork = segment((0, 0), (1, 0), line_m=bent, width_mm=np.full(count, 0.4), width_sigma_mm=np.full(count, 0.05))
    show(crack_map, [3.0, 4.0, 5.0], fork)
    first, second = crack_map.cracks()
    assert first.length_m == pytest.approx(2.0, abs=0.08)
    assert second.length_m == pytest.approx(1.03, abs=0.08)
    junction = np.array([1.0, 0, 0])
    assert min(np.linalg.norm(second.line_m[[0, -1]] - junction, axis=1)) < 0.06


def test_fragments_in_line_become_the_older_crack() -> None:
    crack_map = CrackMap()
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
def test_fragments_that_are_not_in_line_stay_apart(other: object) -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0, 1.0], segment((0, 0), (1, 0)), other)  # type: ignore[arg-type]
    assert len(crack_map) == 2


def test_a_line_that_bridges_two_cracks_joins_them() -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)), segment((1.6, 0), (2.5, 0)))
    assert len(crack_map) == 2
    show(crack_map, [3.0], segment((0.3, 0), (2.2, 0)))
    assert only(crack_map).length_m == pytest.approx(2.5, abs=0.03)


def test_two_drones_see_one_crack() -> None:
    crack_map = CrackMap(MapSettings(white_share=0.0))
    crack_map.add(frame(0.0, segment((0, 0), (1, 0)), source="first"))
    alone = only(crack_map).covariance_m2[1, 1]
    crack_map.add(frame(0.1, segment((0, 0.02), (1, 0.02)), source="second"))
    crack = only(crack_map)
    assert crack.line_m[:, 1].mean() == pytest.approx(0.01, abs=0.002)
    assert crack.covariance_m2[1, 1] < 0.6 * alone


# Belief


def test_three_views_confirm_and_one_moment_does_not() -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0, 0.1, 0.2], segment((0, 0), (1, 0)))
    assert states(crack_map) == {1: CrackState.NEW}
    show(crack_map, [0.4], segment((0, 0), (1, 0)))
    assert states(crack_map) == {1: CrackState.CONFIRMED}


def test_a_false_alarm_goes_with_the_frames_that_do_not_show_it() -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0], segment((0, 0), (0.3, 0)))
    assert not show(crack_map, [1.0])[0].removed
    assert show(crack_map, [2.0])[0].removed == {1}
    assert len(crack_map) == 0
    show(crack_map, [3.0], segment((0, 0), (0.3, 0)))
    assert only(crack_map).id == 2


def test_a_confirmed_crack_is_lost_after_misses_and_comes_back_with_its_id() -> None:
    crack_map = CrackMap(MapSettings(lost_after_misses=4))
    show(crack_map, [0.0, 1.0, 2.0, 3.0], segment((0, 0), (1, 0)))
    show(crack_map, [4.0, 5.0, 6.0])
    assert states(crack_map) == {1: CrackState.CONFIRMED}
    show(crack_map, [7.0])
    assert states(crack_map) == {1: CrackState.LOST}
    assert only(crack_map).misses == 4
    show(crack_map, [8.0 + number for number in range(20)])
    assert only(crack_map).length_m == pytest.approx(1.0, abs=0.03)
    show(crack_map, [30.0], segment((0, 0), (1, 0)))
    assert states(crack_map) == {1: CrackState.CONFIRMED}
    assert only(crack_map).misses == 0


def test_a_burst_of_misses_counts_like_one() -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)))
    show(crack_map, [3.0 + 0.01 * number for number in range(10)])
    assert states(crack_map) == {1: CrackState.CONFIRMED}


@pytest.mark.parametrize(
    "footprint",
    [
        np.zeros((0, 3)),
        WIDE_VIEW + np.array([0.0, 0, 1]),
        WIDE_VIEW + np.array([6.0, 0, 0]),
        WIDE_VIEW[:, [2, 0, 1]],
        2 * WIDE_VIEW,
    ],
    ids=["unknown", "another depth", "not inside", "another wall", "coarser than ever seen"],
)
def test_a_frame_that_should_not_have_shown_it_says_nothing_against_it(footprint: np.ndarray) -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)))
    for time_s in range(3, 20):
        crack_map.add(frame(time_s, footprint_m=footprint))
    assert states(crack_map) == {1: CrackState.CONFIRMED}
    assert only(crack_map).misses == 0


def test_a_part_that_is_not_there_is_cut_off() -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0, 1.0], segment((0, 0), (1.5, 0)))
    show(crack_map, [2.0 + number for number in range(8)], segment((0, 0), (1, 0)))
    assert only(crack_map).length_m == pytest.approx(1.0, abs=0.05)


# Robustness


def test_bad_observations_are_counted_and_the_good_one_is_mapped() -> None:
    crack_map = CrackMap()
    good = segment((0, 0), (1, 0))
    bad = segment((0, 1), (1, 1), covariance_m2=np.full((3, 3), NAN))
    crack_map.add(frame(0.0, bad, good, footprint_m=np.full((4, 3), NAN)))
    assert len(crack_map) == 1
    assert crack_map.refused == {"a covariance is not finite": 1}


@pytest.mark.parametrize("scale", [0.0, 1e-12, 4.0])
def test_covariances_of_any_size_keep_the_map_sound(scale: float) -> None:
    crack_map = CrackMap()
    for number in range(6):
        crack_map.add(frame(number, segment((0, 0), (1, 0), covariance_m2=scale * np.eye(3))))
    crack = only(crack_map)
    assert np.all(np.isfinite(crack.line_m))
    assert np.linalg.eigvalsh(crack.covariance_m2)[0] > 0


def test_time_that_jumps_back_keeps_the_map_going() -> None:
    crack_map = CrackMap()
    for _ in range(3):
        show(crack_map, [100.0, 101.0, 102.0], segment((0, 0), (1, 0)))
    show(crack_map, [0.0], segment((0, 0), (1, 0)))
    crack = only(crack_map)
    assert (crack.views, crack.state) == (10, CrackState.CONFIRMED)
    assert (crack.first_seen_ns, crack.last_seen_ns) == (0, 102 * 10**9)
    assert np.linalg.eigvalsh(crack.covariance_m2)[0] > 0


def test_the_same_frame_twice_and_an_empty_one_do_no_harm() -> None:
    crack_map = CrackMap()
    show(crack_map, [1.0, 1.0, 1.0], segment((0, 0), (1, 0)))
    assert states(crack_map) == {1: CrackState.NEW}
    assert crack_map.add(frame(2.0, footprint_m=np.zeros((0, 3)), source="nobody")).changed == set()


# Properties


def flown(seed: int, size_m: tuple[float, float] = SHORT_WALL, count: int = 4) -> list:
    rng = np.random.default_rng(seed)
    cracks = wall_cracks(rng, count, size_m)
    return list(flight(rng, cracks, np.vstack(passes(size_m, 2)), Noise()))


def test_the_order_of_a_frames_observations_does_not_matter() -> None:
    sightings = flown(1)
    one, other = CrackMap(), CrackMap()
    for sighting in sightings:
        one.add(sighting)
        shuffled = tuple(reversed(sighting.observations))
        other.add(replace(sighting, observations=shuffled))
    assert [c.id for c in one.cracks()] == [c.id for c in other.cracks()]
    for a, b in zip(one.cracks(), other.cracks(), strict=True):
        assert np.array_equal(a.line_m, b.line_m)


def test_a_rigid_motion_of_all_input_moves_the_map() -> None:
    turn, shift = np.array([0.5, -0.3, 1.2]), np.array([40.0, -70.0, 12.0])
    rotation = rotations.to_matrix(rotations.from_rotation_vector(turn))
    here, there = CrackMap(), CrackMap()
    for sighting in flown(2):
        here.add(sighting)
        there.add(moved(sighting, turn, shift))
    assert len(here) >= 4
    for a, b in zip(here.cracks(), there.cracks(), strict=True):
        assert b.line_m == pytest.approx(a.line_m @ rotation.T + shift, abs=1e-5)
        assert b.covariance_m2 == pytest.approx(rotation @ a.covariance_m2 @ rotation.T, rel=1e-3, abs=1e-8)
        assert (a.id, a.state, a.views, a.misses) == (b.id, b.state, b.views, b.misses)


def test_ids_are_unique_and_confirmed_cracks_only_go_by_merging() -> None:
    crack_map = CrackMap()
    known: set[int] = set()
    confirmed: set[int] = set()
    for sighting in flown(3, count=5):
        before = crack_map.next_id
        change = crack_map.add(sighting)
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


def test_a_restored_map_goes_on_as_if_nothing_had_happened() -> None:
    settings = MapSettings(white_share=0.1)
    sightings = flown(4)
    half = len(sightings) // 2
    lasting = CrackMap(settings)
    for sighting in sightings[:half]:
        lasting.add(sighting)
    restored = CrackMap(settings)
    restored.restore(lasting.cracks(), lasting.next_id)
    assert restored.next_id == lasting.next_id
    for a, b in zip(lasting.cracks(), restored.cracks(), strict=True):
        for name in ("line_m", "evidence", "width_mm", "normal"):
            assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        assert a.covariance_m2 == pytest.approx(b.covariance_m2, abs=0.03 * np.trace(a.covariance_m2))
    # The second pass comes a minute later, when nothing is left of the drift.
    for sighting in sightings[half:]:
        lasting.add(sighting)
        restored.add(sighting)
    assert states(lasting) == states(restored)
    for a, b in zip(lasting.cracks(), restored.cracks(), strict=True):
        assert a.views == b.views
        gaps = np.linalg.norm(a.line_m[3:-3, None] - b.line_m, axis=2).min(axis=1)
        assert np.median(gaps) < 0.011


def test_cracks_that_say_little_can_be_restored_and_ids_do_not_come_back() -> None:
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
    crack_map = CrackMap()
    crack_map.restore([stored], next_id=12)
    show(crack_map, [5.0], segment((0, 0.01), (1, 0.01)), segment((0, 2), (1, 2)))
    assert states(crack_map) == {7: CrackState.CONFIRMED, 12: CrackState.NEW}
    with pytest.raises(ValueError, match="empty map"):
        crack_map.restore([stored])
    with pytest.raises(ValueError, match="same id"):
        CrackMap().restore([stored, stored])


def test_reset_forgets_everything_but_the_ids() -> None:
    crack_map = CrackMap()
    show(crack_map, [0.0], segment((0, 0), (1, 0)))
    crack_map.reset()
    assert crack_map.cracks() == ()
    show(crack_map, [1.0], segment((0, 0), (1, 0)))
    assert only(crack_map).id == 2


# Cost


def test_the_work_of_a_frame_does_not_grow_with_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    associate, add_misses = module.associate, module.add_misses

    def counting_associate(lines, tracks, *rest):  # type: ignore[no-untyped-def]
        looked_at.append(len(tracks))
        return associate(lines, tracks, *rest)

    def counting_misses(tracks, *rest):  # type: ignore[no-untyped-def]
        looked_at.append(len(tracks))
        return add_misses(tracks, *rest)

    monkeypatch.setattr(module, "associate", counting_associate)
    monkeypatch.setattr(module, "add_misses", counting_misses)
    small = 0.6 * WIDE_VIEW / 5
    crack_map = CrackMap()
    show(crack_map, [0.0], segment((0, 0), (0.5, 0)))
    template = only(crack_map)
    stored = []
    for number in range(5000):
        place = np.array([2.0 * (number % 100), 2.0 * (number // 100), 0.0])
        stored.append(replace(template, id=number + 1, line_m=template.line_m + place))
    crack_map = CrackMap()
    crack_map.restore(stored)
    looked_at.clear()
    for number in range(10):
        change = crack_map.add(frame(number, segment((40, 40.01), (40.5, 40.01)), footprint_m=small + [40.0, 40, 0]))
        assert change.changed == {2021}
    assert len(looked_at) == 20
    assert max(looked_at) <= 4


def test_a_frame_with_unmeasured_regions_says_nothing_against_a_crack() -> None:
    crack_map = CrackMap(MapSettings(lost_after_misses=4))
    show(crack_map, [0.0, 1.0, 2.0], segment((0, 0), (1, 0)))
    for time_s in range(3, 20):
        crack_map.add(replace(frame(time_s), is_complete=False))
    assert states(crack_map) == {1: CrackState.CONFIRMED}
    assert only(crack_map).misses == 0
    show(crack_map, [20.0, 21.0, 22.0, 23.0])
    assert states(crack_map) == {1: CrackState.LOST}
