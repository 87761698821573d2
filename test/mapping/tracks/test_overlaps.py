# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the removal of stretches that belong to two cracks of the map."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.settings import MapSettings
from crack_perception.mapping.tracks.end_joining import end_to_end
from crack_perception.mapping.tracks.overlaps import absorb, longer_first, may_overlap
from crack_perception.mapping.tracks.track import Track, track_of
from crack_perception.mapping.tracks.vertices import Vertices

SETTINGS = MapSettings()
NAN = float("nan")


def track(identifier: int, *corners: tuple[float, float], shown: int = 10, width_mm: float = NAN) -> Track:
    """Return a crack along straight lines between corners with this number of observations and this width."""
    points = [np.zeros((0, 3))]
    for (x, y), (u, v) in pairwise(corners):
        count = max(2, round(np.hypot(u - x, v - y) / SETTINGS.step_m))
        points.append(np.linspace([x, y, 0.0], [u, v, 0.0], count, endpoint=False))
    line = np.vstack([*points, [[*corners[-1], 0.0]]])
    unknown = np.full(len(line), NAN)
    crack = MappedCrack(
        identifier,
        CrackState.CONFIRMED,
        line,
        unknown,
        unknown,
        np.array([0.0, 0, 1]),
        0.03**2 * np.eye(3),
        0.9,
        1.0,
        shown,
        0,
        0,
        10**9,
    )
    made = track_of(crack, 3.0)
    made.vertices.shown[:] = shown
    made.vertices.width_mm[:] = width_mm
    return made


def seen_side_by_side(one: Track, other: Track, frames: int) -> None:
    for a, b in ((one, other), (other, one)):
        a.apart_from.add(b.id)
        a.vertices.parallel_views[b.id] = np.full(len(a.vertices), float(frames))


def x_range(v: Vertices) -> tuple[float, float]:
    return float(v.point_m[:, 0].min()), float(v.point_m[:, 0].max())


def test_overlaps_contained_crack_merged() -> None:
    absorbed = absorb(track(1, (0, 0), (1, 0)), track(2, (0.2, 0.06), (0.7, 0.06)), SETTINGS)
    assert absorbed is not None and absorbed.left == []
    assert x_range(absorbed.longer) == pytest.approx((0, 1), abs=0.02)
    # Both are equally certain: they meet in the middle.
    middle = absorbed.longer.point_m[np.abs(absorbed.longer.point_m[:, 0] - 0.45) < 0.1]
    assert middle[:, 1] == pytest.approx(0.03, abs=0.005)


def test_overlaps_continuation_extends_crack() -> None:
    absorbed = absorb(track(1, (0, 0), (1, 0)), track(2, (1.5, 0.02), (0.7, 0.02)), SETTINGS)
    assert absorbed is not None and absorbed.left == []
    assert x_range(absorbed.longer) == pytest.approx((0, 1.5), abs=0.03)
    assert np.linalg.norm(np.diff(absorbed.longer.point_m, axis=0), axis=1).max() < 2 * SETTINGS.step_m


def test_overlaps_branch_loses_shared_stem() -> None:
    absorbed = absorb(track(1, (0, 0), (2, 0)), track(2, (0.4, 0.03), (1, 0.03), (1.4, 0.5)), SETTINGS)
    assert absorbed is not None
    (branch,) = absorbed.left
    assert x_range(branch) == pytest.approx((1.0, 1.4), abs=0.12)
    assert len(absorbed.longer) == pytest.approx(101, abs=2)


def test_overlaps_inner_stretch_divides_crack() -> None:
    way = track(2, (0.2, -0.5), (0.5, 0.03), (1.3, 0.03), (1.6, 0.5))
    absorbed = absorb(track(1, (-0.5, 0), (2.5, 0)), way, SETTINGS)
    assert absorbed is not None
    assert len(absorbed.left) == 2
    assert all(len(part) * SETTINGS.step_m == pytest.approx(0.55, abs=0.15) for part in absorbed.left)


@pytest.mark.parametrize("gap_m", [0.04, 0.08, 0.1])
def test_overlaps_parallel_lines_in_frames_stay_separate(gap_m: float) -> None:
    one, other = track(1, (0, 0), (1, 0)), track(2, (0.1, gap_m), (0.8, gap_m))
    seen_side_by_side(one, other, frames=5)
    assert absorb(one, other, SETTINGS) is None
    # One frame in ten may have shown two lines for one crack.
    seen_side_by_side(one, other, frames=1)
    assert absorb(one, other, SETTINGS) is not None


def test_overlaps_lines_nearer_than_frames_can_show_two_merged() -> None:
    # Frames have shown lines of the one parallel to lines that were assigned to the other.
    one, other = track(1, (0, 0), (1, 0)), track(2, (0.1, 0.012), (0.8, 0.012))
    seen_side_by_side(one, other, frames=5)
    absorbed = absorb(one, other, SETTINGS)
    assert absorbed is not None and absorbed.left == []


def test_may_overlap_true_for_all_overlaps_and_false_for_most_other_pairs() -> None:
    rng = np.random.default_rng(3)
    found = dismissed = 0
    for _ in range(40):
        tracks = []
        for number in range(6):
            start, heading = rng.uniform(0, (0.6, 0.25)), rng.normal(0, 0.4)
            end = start + rng.uniform(0.1, 1.0) * np.array([np.cos(heading), np.sin(heading)])
            tracks.append(track(number + 1, tuple(start), tuple(end), shown=int(rng.integers(0, 9))))
        for other in tracks[1:3]:
            seen_side_by_side(tracks[0], other, frames=int(rng.integers(1, 6)))
        possible = may_overlap(tracks[0], tracks[1:], SETTINGS)
        overlaps = [absorb(*longer_first(tracks[0], other), SETTINGS) is not None for other in tracks[1:]]
        assert all(is_possible or not is_one for is_possible, is_one in zip(possible, overlaps, strict=True))
        found += sum(overlaps)
        dismissed += possible.count(False)
    assert found > 20
    assert dismissed > 0.3 * (200 - found)


def test_overlaps_restored_cracks_separate_until_evidence() -> None:
    one, other = track(1, (0, 0), (1, 0), shown=0), track(2, (0.1, 0.02), (0.8, 0.02), shown=0)
    one.apart_from.add(2)
    other.apart_from.add(1)
    assert absorb(one, other, SETTINGS) is None


@pytest.mark.parametrize(
    "other",
    [
        track(2, (0.5, -0.4), (0.5, 0.4)),
        track(2, (0, 0.2), (0.8, 0.2)),
        track(2, (0.9, 0.0), (1.3, 0.4)),
        track(2, (0, 0.09), (0.8, 0.09), shown=2),
    ],
    ids=["across", "too far", "from its end", "not seen often enough"],
)
def test_overlaps_disjoint_cracks_unchanged(other: Track) -> None:
    assert absorb(track(1, (0, 0), (1, 0)), other, SETTINGS) is None


def test_overlaps_crossing_unchanged() -> None:
    one, other = track(1, (0, 0), (1, 0)), track(2, (0.1, -0.2), (0.9, 0.2))
    # Frames show the two as parallel lines except where they cross.
    for a, b in ((one, other), (other, one)):
        gap_m = np.abs(0.5 * (a.vertices.point_m[:, 0] - 0.5))
        a.vertices.parallel_views[b.id] = 10.0 * (gap_m > 0.03)
    assert absorb(one, other, SETTINGS) is None


def test_overlaps_cracks_of_other_width_kept() -> None:
    wide, narrow = track(1, (0, 0), (1, 0), width_mm=5.0), track(2, (0.2, 0.03), (0.7, 0.03), width_mm=0.5)
    assert absorb(wide, narrow, SETTINGS) is None


def test_overlaps_cracks_of_unknown_or_like_width_merged() -> None:
    for other_mm in (NAN, 0.9):
        absorbed = absorb(
            track(1, (0, 0), (1, 0), width_mm=0.5), track(2, (0.2, 0.03), (0.7, 0.03), width_mm=other_mm), SETTINGS
        )
        assert absorbed is not None and absorbed.left == []


@pytest.mark.parametrize(("other_mm", "is_one"), [(5.0, False), (0.8, True), (NAN, True)])
def test_end_to_end_joins_only_like_widths(other_mm: float, is_one: bool) -> None:
    joined = end_to_end(
        track(1, (0, 0), (1, 0), width_mm=0.5), track(2, (1.05, 0), (2, 0), width_mm=other_mm), True, SETTINGS
    )
    assert (joined is not None) is is_one
