# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Comparison of made-up surveys with known changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from survey_maps import WALL_M, Errors, Motion, split, surveyed, wall_lines, wandering

from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import Review, Verdict
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.report.comparison.alignment import Prior
from crack_perception.report.comparison.carrying import carried_decisions
from crack_perception.report.comparison.changes import Comparison, CrackChange, Status, compare
from crack_perception.report.comparison.survey import Survey, survey_of
from crack_perception.report.comparison.wording import warnings

EXACT = Errors(position_m=0.002, width_mm=0.01, tip_m=0.002)
MOTION = Motion()
PRIOR = Prior()


def old_of(cracks: Sequence[MappedCrack], reviews: dict[int, Review] | None = None, areas=(WALL_M,)) -> Survey:
    return survey_of(tuple(cracks), reviews or {}, tuple(areas))


def new_of(cracks: Sequence[MappedCrack], reviews: dict[int, Review] | None = None, areas=(WALL_M,)) -> Survey:
    return survey_of(tuple(map(MOTION.crack, cracks)), reviews or {}, tuple(MOTION.points(area_m) for area_m in areas))


@pytest.fixture
def lines() -> list[np.ndarray]:
    return wall_lines(np.random.default_rng(7), 5, 3)


def mapped(lines: Sequence[np.ndarray], seed: int, first_id: int = 1, width_mm: float = 0.8) -> list[MappedCrack]:
    rng = np.random.default_rng(seed)
    return [surveyed(rng, first_id + index, line, width_mm, EXACT) for index, line in enumerate(lines)]


def of_old(result: Comparison, crack_id: int) -> CrackChange:
    (change,) = [change for change in result.changes if crack_id in change.old_ids]
    return change


def of_new(result: Comparison, crack_id: int) -> CrackChange:
    (change,) = [change for change in result.changes if crack_id in change.new_ids]
    return change


def test_alignment_moved_map_found_within_its_uncertainty(lines: list[np.ndarray]) -> None:
    result = compare(old_of(mapped(lines, 1)), new_of(mapped(lines, 2, 101)), PRIOR)
    alignment = result.alignment
    assert alignment.heading_deg == pytest.approx(-MOTION.heading_deg, abs=3 * alignment.heading_sigma_deg)
    everywhere = np.concatenate(lines)
    errors = alignment.to_old(MOTION.points(everywhere)) - everywhere
    sigmas = np.sqrt([np.diag(alignment.covariance_at(point)) for point in everywhere])
    assert (np.abs(errors) < 3 * sigmas + 0.001).all()
    assert np.abs(errors).max() < 0.02
    assert {change.status for change in result.changes} == {Status.UNCHANGED}
    assert len(result.changes) == len(lines)


def test_alignment_far_offset_found_from_known_place(lines: list[np.ndarray]) -> None:
    far = Motion((40.0, -7.0, 2.0), 35.0)
    cracks = [far.crack(crack) for crack in mapped(lines, 2, 101)]
    back = -far.rotation.T @ np.array(far.shift_m) + [0.4, -0.3, 0.1]
    prior = Prior(tuple(back.tolist()), -36.5)
    result = compare(old_of(mapped(lines, 1)), survey_of(tuple(cracks), {}, ()), prior)
    assert {change.status for change in result.changes} == {Status.UNCHANGED}


def test_alignment_parallel_straight_cracks_refused_with_direction() -> None:
    rng = np.random.default_rng(3)
    straight = [np.linspace([0, 0, z], [1.0, 0, z], 51) for z in (0.0, 0.7, 1.1, 2.3)]
    cracks = [surveyed(rng, index + 1, line, 0.8, EXACT) for index, line in enumerate(straight)]
    with pytest.raises(UserError, match="--offset"):
        compare(old_of(cracks), survey_of(tuple(cracks), {}, ()), PRIOR)


def test_alignment_parallel_straight_cracks_known_offset_used() -> None:
    rng = np.random.default_rng(3)
    straight = [np.linspace([0, 0, z], [1.0, 0, z], 51) for z in (0.0, 0.7, 1.1, 2.3)]
    cracks = [surveyed(rng, index + 1, line, 0.8, EXACT) for index, line in enumerate(straight)]
    result = compare(old_of(cracks), survey_of(tuple(cracks), {}, ()), Prior(sigma_m=0.02, heading_sigma_deg=0.2))
    assert {change.status for change in result.changes} == {Status.UNCHANGED}


def test_alignment_nothing_in_common_refused(lines: list[np.ndarray]) -> None:
    others = [wandering(np.random.default_rng(9), (index * 0.9, 0.2), 1.3, 0.5) for index in range(5)]
    with pytest.raises(UserError, match=r"aligned|several places|do not determine"):
        compare(old_of(mapped(lines[:4], 1)), new_of(mapped(others, 2, 101)), PRIOR)


def test_alignment_single_crack_refused_for_its_number(lines: list[np.ndarray]) -> None:
    with pytest.raises(UserError, match="a single crack of each lies along one of the other, and two are needed"):
        compare(old_of(mapped(lines[:1], 1)), new_of(mapped(lines[:1], 2, 101)), PRIOR)


def test_crack_longer_and_wider_reported_with_amounts(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    old[0] = surveyed(np.random.default_rng(4), 1, lines[0][:-4], 0.8, EXACT)
    new[1] = surveyed(np.random.default_rng(5), 102, lines[1], 1.0, EXACT)
    result = compare(old_of(old), new_of(new), PRIOR)
    longer, wider = of_old(result, 1), of_old(result, 2)
    assert longer.status is wider.status is Status.GROWN
    assert longer.length is not None and longer.length.change == pytest.approx(0.08, abs=0.015)
    assert wider.width is not None and wider.width.change == pytest.approx(0.2, abs=0.05)
    assert sum(np.linalg.norm(np.diff(part, axis=0), axis=1).sum() for part in longer.added_m) == pytest.approx(
        0.08, abs=0.015
    )
    assert [change.status for change in result.changes].count(Status.GROWN) == 2
    assert result.changes[0].status is Status.GROWN and result.changes[0].number == 1


def test_crack_new_gone_and_outside_the_images_told_apart(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines[:-1], 1), mapped(lines[1:], 2, 102)
    half = np.array([[-1.0, 0, 4], [3.9, 0, 4], [3.9, 0, -1], [-1, 0, -1]])
    seen_everywhere = compare(old_of(old), new_of(new), PRIOR)
    assert of_old(seen_everywhere, 1).status is Status.GONE
    assert of_new(seen_everywhere, 100 + len(lines)).status is Status.NEW
    right = np.array([[0.9, 0, 4], [9, 0, 4], [9, 0, -1], [0.9, 0, -1]])
    partly = compare(old_of(old, areas=[half]), new_of(new, areas=[right]), PRIOR)
    assert of_old(partly, 1).status is Status.NOT_INSPECTED
    assert of_new(partly, 100 + len(lines)).status is Status.FIRST_INSPECTED


def test_crack_too_fine_for_the_new_survey_not_called_gone(lines: list[np.ndarray]) -> None:
    old = mapped(lines, 1)
    old[0] = surveyed(np.random.default_rng(4), 1, lines[0], 0.15, EXACT)
    result = compare(old_of(old), new_of(mapped(lines[1:], 2, 102)), PRIOR)
    change = of_old(result, 1)
    assert change.status is Status.NOT_INSPECTED and "finer" in change.remarks[0]


def test_crack_in_fragments_compared_along_common_line(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    new = [*split(new[0], 10, 3, 201), *new[1:]]
    old = [*split(old[1], 8, 2, 202), *[crack for crack in old if crack.id != 2]]
    result = compare(old_of(old), new_of(new), PRIOR)
    assert {change.status for change in result.changes} == {Status.UNCHANGED}
    assert of_old(result, 1).new_ids == (101, 201)
    assert of_new(result, 102).old_ids == (2, 202)


def test_crack_growing_into_the_unseen_not_called_longer(lines: list[np.ndarray]) -> None:
    old = mapped(lines, 1)
    line = np.linspace([3.5, 0, 3.5], [4.5, 0, 3.6], 51)
    rng = np.random.default_rng(4)
    old.append(surveyed(rng, 50, line[:20], 0.8, EXACT))
    half = np.array([[-1.0, 0, 4], [3.9, 0, 4], [3.9, 0, -1], [-1, 0, -1]])
    below = np.array([[-1.0, 0, 3.2], [9, 0, 3.2], [9, 0, -1], [-1, 0, -1]])
    new = [*mapped(lines, 2, 101), surveyed(rng, 150, line, 0.8, EXACT)]
    result = compare(old_of(old, areas=[half, below]), new_of(new), PRIOR)
    change = of_old(result, 50)
    assert change.status is Status.UNCHANGED and change.not_inspected_m > 0.4


def test_crack_fine_end_found_by_one_survey_only_not_called_longer(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    line, rng = lines[0], np.random.default_rng(4)
    old[0] = surveyed(rng, 1, line[:-8], 0.8, EXACT)
    whole = surveyed(rng, 101, line, 0.8, EXACT)
    end = len(whole.line_m) - 9
    fine = np.concatenate([whole.width_mm[:end], np.full(len(whole.line_m) - end, 0.25)])
    for widths, expected in ((fine, Status.UNCHANGED), (whole.width_mm, Status.GROWN)):
        new[0] = replace(whole, width_mm=widths)
        change = of_old(compare(old_of(old), new_of(new), PRIOR), 1)
        assert change.status is expected
    assert change.length is not None and change.length.change == pytest.approx(0.16, abs=0.02)


@pytest.mark.parametrize(
    ("width_px", "reported_m", "unresolved_m", "least", "most"),
    [(4.0, 0.30, 0.0, 0.9999, 1.0), (1.3, 0.30, 0.0, 0.9, 0.975), (0.7, 0.0, 0.30, 0.5, 0.9)],
)
def test_growth_near_the_resolution_limit_reported_as_measured_with_less_significance(
    lines: list[np.ndarray], width_px: float, reported_m: float, unresolved_m: float, least: float, most: float
) -> None:
    rng, width_mm = np.random.default_rng(4), 0.4 * width_px
    line = np.linspace([3.0, 0, 3.6], [4.2, 0, 3.7], 61)
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    old.append(surveyed(rng, 50, line[:46], width_mm, EXACT))
    new.append(surveyed(rng, 150, line, width_mm, EXACT))
    change = of_old(compare(old_of(old), new_of(new), PRIOR), 50)
    assert change.length is not None
    assert change.length.change == pytest.approx(reported_m, abs=0.02)
    assert change.length.sigma < 0.02
    assert change.not_resolved_m == pytest.approx(unresolved_m, abs=0.02)
    assert least <= change.length.growth_probability <= most
    assert (change.status is Status.GROWN) == (width_px > 1.5)


def test_crack_shifted_along_itself_with_one_end_unseen_not_called_longer(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    line, rng = np.linspace([3.4, 0, 3.5], [4.4, 0, 3.52], 51), np.random.default_rng(4)
    uncertain = {"covariance_m2": np.eye(3) * 0.015**2}
    old.append(surveyed(rng, 50, line[:30], 0.8, EXACT, **uncertain))
    # The new survey sees the same crack 4 cm to the left; its images end before the right end.
    shifted = line[:28] - [0.04, 0.0, 0.0]
    new.append(surveyed(rng, 150, shifted, 0.8, EXACT, **uncertain))
    areas = [np.array([[-1.0, 0, 4], [3.92, 0, 4], [3.92, 0, 3.2], [-1, 0, 3.2]])]
    areas.append(np.array([[-1.0, 0, 3.2], [9, 0, 3.2], [9, 0, -1], [-1, 0, -1]]))
    change = of_old(compare(old_of(old), new_of(new, areas=areas), PRIOR), 50)
    assert change.not_inspected_m > 0
    assert change.length is not None and change.length.change > 0.02
    assert change.status is Status.UNCHANGED


def test_crack_bent_by_position_errors_not_called_longer(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    straight = np.linspace([0.0, 0, 3.6], [0.8, 0, 3.7], 41)
    bent = straight + np.linspace(0, 1, 41)[:, None] ** 2 * [0.0, 0, 0.06]
    rng = np.random.default_rng(4)
    uncertain = {"covariance_m2": np.eye(3) * 0.012**2}
    old.append(surveyed(rng, 50, straight, 0.8, EXACT, **uncertain))
    new.append(surveyed(rng, 150, bent, 0.8, EXACT, **uncertain))
    change = of_old(compare(old_of(old), new_of(new), PRIOR), 50)
    assert change.status is Status.UNCHANGED
    assert change.new_ids == (150,)


def test_crack_width_that_jumps_at_one_place_not_called_wider(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    jumping = new[0].width_mm.copy()
    jumping[4:6] = 6.0  # where another crack crosses
    new[0] = replace(new[0], width_mm=jumping)
    change = of_old(compare(old_of(old), new_of(new), PRIOR), 1)
    assert change.status is Status.UNCHANGED


def test_common_width_error_estimated_and_subtracted(lines: list[np.ndarray]) -> None:
    rng = np.random.default_rng(11)
    shifted = replace(EXACT, width_offset_mm=0.12, tip_offset_m=0.01)
    new = [surveyed(rng, 101 + index, line, 0.8, shifted) for index, line in enumerate(lines)]
    new[0] = surveyed(rng, 101, lines[0], 1.0, shifted)
    result = compare(old_of(mapped(lines, 1)), new_of(new), PRIOR)
    assert result.width_bias.of(np.array([1.0, 0.8])) == pytest.approx(0.12, abs=0.02)
    assert result.length_bias.of(np.array([1.0])) == pytest.approx(0.01, abs=0.005)
    assert [change.old_ids for change in result.of(Status.GROWN)] == [(1,)]


def test_rejected_cracks_left_out_on_either_side(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    rejected = Review(verdict=Verdict.REJECTED)
    result = compare(old_of(old, {1: rejected}), new_of(new, {102: rejected}), PRIOR)
    assert result.rejected_again == ((101, 1),) and result.rejected_since == (2,)
    assert {change.status for change in result.changes} == {Status.UNCHANGED}
    assert len(result.changes) == len(lines) - 2


def test_unconfirmed_cracks_cover_but_are_not_reported(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines[:-1], 1), mapped(lines, 2, 101)
    new[0] = replace(new[0], state=CrackState.NEW)
    new[-1] = replace(new[-1], state=CrackState.NEW)
    result = compare(old_of(old), new_of(new), PRIOR)
    assert of_old(result, 1).status is Status.UNCHANGED
    assert result.unconfirmed == 1 and not result.of(Status.NEW)


def test_new_crack_through_an_unconfirmed_spot_is_new_not_longer(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    line, rng = np.linspace([3.0, 0, 3.6], [3.6, 0, 3.7], 31), np.random.default_rng(4)
    spot = surveyed(rng, 50, line[:5], 0.8, EXACT)
    new.append(surveyed(rng, 150, line, 0.8, EXACT))
    result = compare(old_of([*old, replace(spot, state=CrackState.NEW)]), new_of(new), PRIOR)
    assert of_new(result, 150).status is Status.NEW and of_new(result, 150).old_ids == ()
    assert result.unconfirmed == 1
    assert of_new(compare(old_of([*old, spot]), new_of(new), PRIOR), 150).status is Status.GROWN


def test_map_that_goes_on_reported_as_continuation(lines: list[np.ndarray]) -> None:
    old = mapped(lines, 1)
    result = compare(old_of(old), new_of(old), PRIOR)
    assert result.is_continuation
    later = [replace(crack, id=crack.id + 100, first_seen_ns=crack.last_seen_ns + 10**15) for crack in old]
    assert not compare(old_of(old), new_of(later), PRIOR).is_continuation


def test_maps_of_one_structure_give_no_warning(lines: list[np.ndarray]) -> None:
    later = [replace(crack, first_seen_ns=crack.first_seen_ns + 10**15) for crack in mapped(lines, 2, 101)]
    result = compare(old_of(mapped(lines, 1)), new_of(later), PRIOR)
    assert result.agreeing_share > 0.9 and not result.is_reversed
    assert warnings(result) == []


def test_swapped_maps_are_warned_of(lines: list[np.ndarray]) -> None:
    later = [replace(crack, first_seen_ns=crack.first_seen_ns + 10**15) for crack in mapped(lines, 2, 101)]
    result = compare(old_of(later), new_of(mapped(lines, 1)), PRIOR)
    assert result.is_reversed
    assert "swapped" in " ".join(warnings(result))


def test_growth_of_all_cracks_alike_is_warned_of(lines: list[np.ndarray]) -> None:
    """It cannot be told from a common error of the widths, and is subtracted."""
    result = compare(old_of(mapped(lines, 1)), new_of(mapped(lines, 2, 101, width_mm=0.99)), PRIOR)
    assert result.width_bias.surprise > 3
    assert "differ alike" in " ".join(warnings(result))


@pytest.mark.parametrize("which", ["other structure", "scale"])
def test_maps_that_hardly_agree_are_warned_of(lines: list[np.ndarray], which: str) -> None:
    new = mapped(lines, 2, 101)
    if which == "scale":
        middle_m = np.concatenate(lines).mean(axis=0)
        new = [replace(crack, line_m=middle_m + 1.06 * (crack.line_m - middle_m)) for crack in new]
    else:
        apart = wall_lines(np.random.default_rng(8), 5, 3)
        new = new[:5] + mapped(apart[5:], 3, 201)
    result = compare(old_of(mapped(lines, 1)), new_of(new), Prior(sigma_m=0.1))
    assert result.agreeing_share < 0.6
    assert "two structures" in " ".join(warnings(result))


def test_share_that_agrees_counts_only_what_both_have_inspected(lines: list[np.ndarray]) -> None:
    left, right = WALL_M.copy(), WALL_M.copy()
    left[left[:, 0] > 0, 0], right[right[:, 0] < 0, 0] = 2.7, 0.8
    old = [crack for crack in mapped(lines, 1) if crack.line_m[:, 0].max() < 2.7]
    new = [crack for crack in mapped(lines, 2, 101) if crack.line_m[:, 0].min() > 0.8]
    result = compare(old_of(old, areas=(left,)), new_of(new, areas=(right,)), PRIOR)
    assert result.alignment.matched_share < 0.75
    assert result.agreeing_share > 0.85


def test_verdicts_carried_only_where_nobody_has_reviewed(lines: list[np.ndarray]) -> None:
    old, new = mapped(lines, 1), mapped(lines, 2, 101)
    accepted, rejected = Review(verdict=Verdict.ACCEPTED, name="R1"), Review(verdict=Verdict.REJECTED)
    old_survey = old_of(old, {1: accepted, 2: rejected, 3: accepted})
    new_survey = new_of(new, {103: Review()})
    result = compare(old_survey, new_survey, PRIOR)
    carried = [(each.crack_id, each.action.value) for each in carried_decisions(result, old_survey, new_survey)]
    assert sorted(carried) == [(101, "accept"), (101, "rename"), (102, "reject")]


def test_random_pairs_growth_found_and_little_false_growth() -> None:
    """Errors as stated: 95 % significance gives at most 5 % false growth, and 0.2 mm or 5 cm are found."""
    counts = dict.fromkeys(("unchanged", "false", "grown", "found"), 0)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        lines = wall_lines(rng, 8, 4)
        errors = Errors()
        other = Errors(width_offset_mm=0.05, tip_offset_m=0.004)
        old, new, grown = [], [], set()
        for index, line in enumerate(lines, 1):
            width_mm, kind = float(rng.uniform(0.5, 2.0)), index % 6
            before = line[:-3] if kind == 1 else line
            after_mm = width_mm + 0.2 if kind == 2 else width_mm
            old.append(surveyed(rng, index, before, width_mm, errors))
            new.append(surveyed(rng, 100 + index, line, after_mm, other))
            if kind in (1, 2):
                grown.add(index)
        result = compare(old_of(old), new_of(new), PRIOR)
        for change in result.changes:
            (old_id,) = change.old_ids
            is_found = change.status is Status.GROWN
            counts["grown" if old_id in grown else "unchanged"] += 1
            counts["found" if old_id in grown else "false"] += is_found
    assert counts["unchanged"] + counts["grown"] == 4 * 32
    expected = 0.05 * counts["unchanged"]
    assert counts["false"] <= expected + 2 * np.sqrt(0.95 * expected)
    assert counts["found"] >= 0.85 * counts["grown"]
