# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The cracks that follow from a map and its reviewers' decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from map_cracks import photograph_of_crack, straight_crack

from crack_perception.mapping.evidence.decisions import Action, Decision, Verdict
from crack_perception.mapping.evidence.reviewed import ReviewedCrack, reviewed_cracks, shows, without_rejected
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.recognition.severity import SeverityScale


def along_x(crack_id: int, first_m: float, last_m: float, height_m: float = 1.0, **changes: Any) -> MappedCrack:
    """A crack on the wall y = 0 with a vertex every 0.1 m."""
    count = round(abs(last_m - first_m) / 0.1) + 1
    x = np.linspace(first_m, last_m, count)
    line_m = np.column_stack([x, np.zeros(count), np.full(count, height_m)])
    return straight_crack(crack_id, line_m=line_m, **changes)


def decided(*steps: tuple[int, Action, dict[str, Any]]) -> list[Decision]:
    return [
        Decision(crack, action, value, "Ana", 100, number) for number, (crack, action, value) in enumerate(steps, 1)
    ]


def by_id(reviewed: tuple[ReviewedCrack, ...]) -> dict[int, ReviewedCrack]:
    assert [each.id for each in reviewed] == sorted(each.id for each in reviewed)
    return {each.id: each for each in reviewed}


def test_reviewed_cracks_without_decisions_are_those_of_the_map_with_their_photographs() -> None:
    cracks = [along_x(2, 0, 1), along_x(5, 3, 4)]
    coarse, fine = photograph_of_crack(5, 1, gsd_mm_per_px=2.0), photograph_of_crack(5, 2, gsd_mm_per_px=0.5)
    found = by_id(reviewed_cracks(cracks, [coarse, fine]))
    assert found[2].crack is cracks[0] and found[2].photographs == () and found[2].parts == (2,)
    assert found[5].photographs == (fine, coarse)


def test_reviewed_cracks_rejected_stays_with_its_verdict_and_is_left_out_of_documents() -> None:
    found = reviewed_cracks([along_x(1, 0, 1), along_x(2, 3, 4)], (), decided((1, Action.REJECT, {})))
    assert found[0].is_rejected and [each.id for each in without_rejected(found)] == [2]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_reviewed_cracks_merge_of_following_cracks_is_one_line_in_either_direction(turned: bool, before: bool) -> None:
    """Width and covariance follow the vertices; the gap counts as crack."""
    kept = along_x(3, 0.0, 1.0, covariance_m2=np.eye(3) * 1e-6, width_mm=np.linspace(0.1, 0.2, 11), views=3)
    ends = (-0.6, -0.2) if before else (1.2, 1.6)
    other = along_x(7, *(ends[::-1] if turned else ends), covariance_m2=np.eye(3) * 1e-4, views=5, first_seen_ns=5)
    only = reviewed_cracks([kept, other], (), decided((7, Action.MERGE, {"into": 3})))[0]
    assert only.parts == (3, 7) and only.crack.id == 3 and only.crack.views == 5 and only.crack.first_seen_ns == 5
    assert only.crack.length_m == pytest.approx(1.6)
    assert np.all(np.diff(only.crack.line_m[:, 0]) > 0)
    np.testing.assert_array_equal(only.crack.covariance_m2, other.covariance_m2)
    width = dict(zip(only.crack.line_m[:, 0].round(6), only.crack.width_mm, strict=True))
    assert width[1.0] == pytest.approx(0.2) and width[round(ends[0], 6)] == pytest.approx(0.6 if turned else 0.4)


def test_reviewed_cracks_merge_of_a_duplicate_keeps_the_length_and_both_photographs() -> None:
    cracks = [along_x(1, 0, 2), along_x(4, 0.5, 1.5, 1.04)]
    pictures = [photograph_of_crack(1), photograph_of_crack(4, 7)]
    only = reviewed_cracks(cracks, pictures, decided((4, Action.MERGE, {"into": 1})))[0]
    assert only.crack.length_m == pytest.approx(2.0) and only.parts == (1, 4) and len(only.photographs) == 2


def test_reviewed_cracks_merge_with_overlap_adds_what_lies_beyond_it() -> None:
    only = reviewed_cracks([along_x(1, 0, 2), along_x(4, 3.0, 1.5, 1.03)], (), decided((4, Action.MERGE, {"into": 1})))[
        0
    ]
    assert only.crack.length_m == pytest.approx(3.0, abs=0.05)  # with the step to the side


def test_reviewed_cracks_merge_into_a_short_duplicate_extends_it_to_both_sides() -> None:
    only = reviewed_cracks(
        [along_x(1, 1.0, 1.5), along_x(4, 0.0, 3.0, 1.02)], (), decided((4, Action.MERGE, {"into": 1}))
    )[0]
    assert only.id == 1 and only.crack.length_m == pytest.approx(3.0, abs=0.05)  # with the step to the side
    assert np.all(np.diff(only.crack.line_m[:, 0]) > -1e-9)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(along_x(4, 3.5, 5), id="far"),
        pytest.param(along_x(4, 0.5, 1.5, 1.7), id="parallel"),
        pytest.param(straight_crack(4, line_m=np.array([[1.0, 0, 1.05], [1.0, 0, 1.5], [1, 0, 2]])), id="branch"),
    ],
)
def test_reviewed_cracks_merge_of_what_is_not_one_line_changes_nothing(other: MappedCrack) -> None:
    found = by_id(reviewed_cracks([along_x(1, 0, 2), other], (), decided((4, Action.MERGE, {"into": 1}))))
    assert found[4].crack is other and found[4].review.merged_into == 1 and found[1].crack.length_m == 2.0


def test_reviewed_cracks_merges_in_any_order_are_one_crack() -> None:
    """The crack in the middle, merged last, joins the three; a merge goes on to where its target has gone."""
    cracks = [along_x(1, 0, 1), along_x(2, 1.2, 2), along_x(3, 2.2, 3)]
    found = reviewed_cracks(cracks, (), decided((3, Action.MERGE, {"into": 1}), (2, Action.MERGE, {"into": 1})))
    assert [each.parts for each in found] == [(1, 2, 3)] and found[0].crack.length_m == pytest.approx(3.0)
    chained = reviewed_cracks(cracks, (), decided((2, Action.MERGE, {"into": 1}), (3, Action.MERGE, {"into": 2})))
    assert [each.parts for each in chained] == [(1, 2, 3)] and chained[0].id == 1


def test_reviewed_cracks_merges_in_a_circle_or_into_nothing_keep_every_crack() -> None:
    cracks = [along_x(1, 0, 1), along_x(2, 1.2, 2)]
    circle = decided((1, Action.MERGE, {"into": 2}), (2, Action.MERGE, {"into": 1}), (2, Action.MERGE, {"into": 99}))
    assert [each.parts for each in reviewed_cracks(cracks, (), circle)] == [(1, 2)]
    assert [each.id for each in reviewed_cracks(cracks, (), decided((1, Action.MERGE, {"into": 1})))] == [1, 2]


def test_reviewed_cracks_undone_merge_brings_both_back() -> None:
    cracks = [along_x(1, 0, 1), along_x(2, 1.2, 2)]
    undone = decided((2, Action.MERGE, {"into": 1}), (2, Action.UNDO, {"decision": 1}))
    assert [each.crack for each in reviewed_cracks(cracks, (), undone)] == cracks


def test_reviewed_cracks_merged_crack_has_the_targets_verdict_and_all_comments() -> None:
    decisions = decided(
        (2, Action.COMMENT, {"text": "first"}),
        (1, Action.COMMENT, {"text": "second"}),
        (2, Action.RENAME, {"name": "B 4"}),
        (2, Action.REJECT, {}),
        (1, Action.ACCEPT, {}),
        (2, Action.MERGE, {"into": 1}),
    )
    only = reviewed_cracks([along_x(1, 0, 1), along_x(2, 1.2, 2)], (), decisions)[0]
    assert only.review.verdict is Verdict.ACCEPTED and only.name == "B 4"
    assert [comment.value["text"] for comment in only.review.comments] == ["first", "second"]


def test_reviewed_cracks_split_makes_two_cracks_with_the_verdict_of_the_whole() -> None:
    decisions = decided(
        (1, Action.REJECT, {}),
        (1, Action.SPLIT, {"at_m": [0.62, 0.1, 1.0], "new_id": 8}),
        (8, Action.ACCEPT, {}),
    )
    found = by_id(reviewed_cracks([along_x(1, 0, 2)], (), decisions))
    assert found[1].crack.length_m == pytest.approx(0.6) and found[8].crack.length_m == pytest.approx(1.4)
    assert found[1].is_rejected and found[8].review.verdict is Verdict.ACCEPTED
    assert found[8].parts == (1,) and len(found[8].crack.width_mm) == len(found[8].crack.line_m)
    assert reviewed_cracks([along_x(1, 0, 2)], (), decisions[:2])[1].is_rejected


@pytest.mark.parametrize("turned", [False, True])
def test_reviewed_cracks_split_of_a_line_that_was_turned_keeps_the_sides(turned: bool) -> None:
    line = along_x(1, 2, 0) if turned else along_x(1, 0, 2)
    value = {"at_m": [0.6, 0, 1.0], "new_id": 8, "new_part_m": [1.5, 0.0, 1.0]}
    found = by_id(reviewed_cracks([line], (), decided((1, Action.SPLIT, value))))
    assert found[8].crack.length_m == pytest.approx(1.4) and found[8].crack.line_m[:, 0].max() == 2.0


def test_reviewed_cracks_split_of_merged_cracks_parts_them_again() -> None:
    decisions = decided((2, Action.MERGE, {"into": 1}), (1, Action.SPLIT, {"at_m": [1.1, 0, 1.0], "new_id": 8}))
    found = by_id(reviewed_cracks([along_x(1, 0, 1.1), along_x(2, 1.3, 2)], (), decisions))
    assert found[1].parts == (1,) and found[8].parts == (2,)


@pytest.mark.parametrize("value", [{"at_m": [-5.0, 0, 1], "new_id": 8}, {"at_m": [1.0, 0, 1], "new_id": 1}])
def test_reviewed_cracks_split_at_an_end_or_with_a_used_id_changes_nothing(value: dict[str, Any]) -> None:
    crack = along_x(1, 0, 2)
    assert [each.crack for each in reviewed_cracks([crack], (), decided((1, Action.SPLIT, value)))] == [crack]


def test_reviewed_cracks_split_shares_the_photographs_by_what_they_show() -> None:
    """Two metres in front of the wall a picture of 640 px at f = 1000 px shows 1.28 m."""
    left = photograph_of_crack(1, 1, position_m=np.array([0.0, -2.0, 1.0]))
    middle = photograph_of_crack(1, 2, position_m=np.array([2.5, -2.0, 1.0]), gsd_mm_per_px=3.0)
    unknown = photograph_of_crack(1, 3, position_m=np.full(3, np.nan), gsd_mm_per_px=9.0)
    assert shows(left, np.array([[0.6, 0.0, 1.0]])) and not shows(left, np.array([[0.9, 0.0, 1.0]]))
    assert not shows(left, np.array([[0.0, -4.0, 1.0]]))
    decisions = decided((1, Action.SPLIT, {"at_m": [2.5, 0, 1.0], "new_id": 8}))
    found = by_id(reviewed_cracks([along_x(1, 0, 5)], [left, middle, unknown], decisions))
    assert found[1].photographs == (left, middle, unknown)
    assert found[8].photographs == (middle, unknown)


def test_reviewed_cracks_state_of_a_merged_crack_is_confirmed_if_a_part_is() -> None:
    cracks = [along_x(1, 0, 1, state=CrackState.NEW), along_x(2, 1.2, 2)]
    assert reviewed_cracks(cracks, (), decided((2, Action.MERGE, {"into": 1})))[0].crack.state is CrackState.CONFIRMED


def test_reviewed_crack_severity_is_the_reviewers_if_the_scale_has_it() -> None:
    crack = reviewed_cracks([along_x(1, 0, 1)], (), decided((1, Action.SEVERITY, {"severity": "minor"})))[0]
    assert crack.severity("obvious", SeverityScale.of_preset("gb50204")) == "minor"
    assert crack.severity("<0.3mm", SeverityScale.of_preset("aashto")) == "<0.3mm"
    open_one = reviewed_cracks([along_x(1, 0, 1)])[0]
    assert open_one.severity("obvious", SeverityScale.of_preset("gb50204")) == "obvious"
    assert open_one.name == "1"


def test_reviewed_cracks_thousands_with_merges_take_less_than_a_second() -> None:
    cracks = [along_x(2 * n + k, 2.0 * k, 2.0 * k + 1.8, float(n)) for n in range(1000) for k in (1, 2)]
    merges = decided(*((2 * n + 2, Action.MERGE, {"into": 2 * n + 1}) for n in range(1000)))
    assert len(reviewed_cracks(cracks, (), merges)) == 1000
