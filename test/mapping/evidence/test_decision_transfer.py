# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reviewers' decisions on cracks that the mapper merges and divides."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from crack_perception.mapping.evidence.decision_transfer import AUTHOR, DecisionBook
from crack_perception.mapping.evidence.decisions import Action, Decision, Verdict, reviews

VERDICTS = {Verdict.ACCEPTED: Action.ACCEPT, Verdict.REJECTED: Action.REJECT}


def decisions(*made: tuple[int, Action] | tuple[int, Action, dict[str, Any]]) -> list[Decision]:
    return [
        Decision(crack_id, action, *value, author="reviewer", time_ns=number, id=number)  # type: ignore[arg-type]
        for number, (crack_id, action, *value) in enumerate(made, 1)
    ]


def stored(before: list[Decision], book: DecisionBook) -> list[Decision]:
    """What the file holds after the changes of a book are saved."""
    rows = {decision.id: decision for decision in before} | book.changes()
    return [rows[key] for key in sorted(rows)]


def test_merge_comments_and_name_follow_in_their_order() -> None:
    before = decisions(
        (5, Action.RENAME, {"name": "joint"}), (2, Action.COMMENT, {"text": "a"}), (5, Action.COMMENT, {"text": "b"})
    )
    book = DecisionBook(before)
    book.merge(5, 2, 0.3, 2.0, 99)
    review = reviews(stored(before, book))[2]
    assert review.name == "joint" and [each.value["text"] for each in review.comments] == ["a", "b"]
    assert book.crack_ids == {2}


@pytest.mark.parametrize(
    ("older", "younger", "longer", "expected"),
    [
        (None, Verdict.REJECTED, "younger", Verdict.REJECTED),
        (None, Verdict.REJECTED, "older", Verdict.OPEN),
        (Verdict.REJECTED, None, "older", Verdict.REJECTED),
        (Verdict.REJECTED, None, "younger", Verdict.OPEN),
        (None, Verdict.ACCEPTED, "older", Verdict.ACCEPTED),
        (Verdict.ACCEPTED, Verdict.REJECTED, "older", Verdict.ACCEPTED),
        (Verdict.ACCEPTED, Verdict.REJECTED, "younger", Verdict.OPEN),
        (Verdict.REJECTED, Verdict.REJECTED, "older", Verdict.REJECTED),
    ],
)
@pytest.mark.parametrize("is_younger_first", [False, True])
def test_merge_verdict_is_that_of_the_longer_part(
    older: Verdict | None, younger: Verdict | None, longer: str, expected: Verdict, is_younger_first: bool
) -> None:
    made = [(crack_id, VERDICTS[verdict]) for crack_id, verdict in ((2, older), (5, younger)) if verdict]
    before = decisions(*(reversed(made) if is_younger_first else made))
    book = DecisionBook(before)
    book.merge(5, 2, *((2.0, 0.3) if longer == "younger" else (0.3, 2.0)), 99)
    after = stored(before, book)
    assert reviews(after)[2].verdict is expected
    assert len(after) - len(before) <= 1 and all(each.author == AUTHOR for each in after[len(before) :])


def test_merge_cracks_without_decisions_changes_nothing() -> None:
    book = DecisionBook(decisions((2, Action.REJECT)))
    book.merge(5, 2, 0.1, 2.0, 99)
    book.merge(8, 7, 0.1, 2.0, 99)
    assert not book.changes()


@pytest.mark.parametrize(("crack_id", "into"), [(5, 2), (2, 5)])
def test_merge_that_the_reviewer_wanted_does_not_merge_a_crack_into_itself(crack_id: int, into: int) -> None:
    before = decisions((crack_id, Action.MERGE, {"into": into}))
    book = DecisionBook(before)
    book.merge(5, 2, 0.3, 2.0, 99)
    assert reviews(stored(before, book)).get(2, reviews([]).get(2)) is None or (
        reviews(stored(before, book))[2].merged_into is None
    )


def test_merge_target_of_a_reviewers_merge_is_followed() -> None:
    before = decisions((9, Action.MERGE, {"into": 5}))
    book = DecisionBook(before)
    book.merge(5, 2, 0.3, 2.0, 99)
    assert reviews(stored(before, book))[9].merged_into == 2


def test_merge_chain_in_any_order_keeps_the_verdict() -> None:
    for chain in itertools.permutations([(9, 5), (5, 2)]):
        before = decisions((9, Action.REJECT), (5, Action.REJECT))
        book = DecisionBook(before)
        for gone, survivor in chain:
            book.merge(gone, survivor, 1.0, 0.5, 99)
        review = reviews(stored(before, book))
        assert (review.get(2) or review[5]).verdict is Verdict.REJECTED


def test_divide_piece_gets_the_verdict_of_the_whole() -> None:
    before = decisions((2, Action.REJECT), (3, Action.COMMENT, {"text": "wide"}))
    book = DecisionBook(before)
    book.divide(2, 20, 99)
    book.divide(3, 30, 99)
    after = reviews(stored(before, book))
    assert after[20].verdict is Verdict.REJECTED and 30 not in after


def test_unsaved_has_all_decisions_as_changes() -> None:
    before = decisions((2, Action.REJECT), (3, Action.ACCEPT))
    assert list(DecisionBook(before).unsaved().changes().values()) == before
