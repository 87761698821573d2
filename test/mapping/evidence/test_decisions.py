# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The state of cracks that follows from reviewers' decisions."""

from __future__ import annotations

from typing import Any

import pytest

from crack_perception.mapping.evidence.decisions import Action, Decision, Review, Verdict, decision_of, reviews


def taken(*steps: tuple[Action, dict[str, Any]]) -> list[Decision]:
    return [Decision(1, action, value, "Ana", 100 + number, number) for number, (action, value) in enumerate(steps, 1)]


def test_reviews_last_verdict_counts_and_comments_add_up() -> None:
    decisions = taken(
        (Action.REJECT, {}),
        (Action.COMMENT, {"text": "a joint?"}),
        (Action.ACCEPT, {}),
        (Action.COMMENT, {"text": "no, a crack"}),
        (Action.RENAME, {"name": "A1"}),
        (Action.SEVERITY, {"severity": "obvious"}),
        (Action.MERGE, {"into": 9}),
    )
    expected = Review(Verdict.ACCEPTED, "A1", "obvious", (decisions[1], decisions[3]), 9)
    assert reviews(reversed(decisions)) == {1: expected}


def test_reviews_undone_decision_never_happened_and_can_be_brought_back() -> None:
    decisions = taken((Action.ACCEPT, {}), (Action.REJECT, {}), (Action.UNDO, {"decision": 2}))
    assert reviews(decisions)[1].verdict is Verdict.ACCEPTED
    again = [*decisions, Decision(1, Action.UNDO, {"decision": 3}, id=4)]
    assert reviews(again)[1].verdict is Verdict.REJECTED


@pytest.mark.parametrize(
    "change",
    [
        {"action": "burn"},
        {"crack_id": "one"},
        {"action": "rename"},
        {"action": "merge", "value": {"into": "2"}},
        {"action": "split", "value": {"at_m": [0.0, 1.0], "new_id": 3}},
        {"action": "split", "value": {"at_m": [0.0, 1.0, "2"], "new_id": 3}},
    ],
)
def test_decision_of_wrong_values_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="decision"):
        decision_of({"crack_id": 1, "action": "accept"} | change)


def test_reviews_structural_review_can_be_taken_back_and_undone() -> None:
    marked = Decision(3, Action.STRUCTURAL_REVIEW, {"needed": True}, id=1)
    unmarked = Decision(3, Action.STRUCTURAL_REVIEW, {"needed": False}, id=2)
    undone = Decision(3, Action.UNDO, {"decision": 2}, id=3)
    assert reviews([marked])[3].structural_review
    assert not reviews([marked, unmarked])[3].structural_review
    assert reviews([marked, unmarked, undone])[3].structural_review
    part = Decision(3, Action.SPLIT, {"at_m": [0.0, 0.0, 1.0], "new_id": 9}, id=4)
    assert reviews([marked, part])[9].structural_review


def test_reviews_split_part_has_the_verdict_and_severity_of_the_whole() -> None:
    decisions = taken(
        (Action.REJECT, {}),
        (Action.RENAME, {"name": "A1"}),
        (Action.SEVERITY, {"severity": "obvious"}),
        (Action.SPLIT, {"at_m": [0.0, 0.0, 1.0], "new_id": 5}),
        (Action.ACCEPT, {}),
    )
    assert reviews(decisions)[5] == Review(Verdict.REJECTED, severity="obvious")
    assert reviews(decisions)[1].verdict is Verdict.ACCEPTED
