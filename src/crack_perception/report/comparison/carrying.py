# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Verdicts of the old survey's reviewers for the same cracks of the new one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from crack_perception.mapping.evidence.decisions import Action, Decision, Review, Verdict
from crack_perception.mapping.storage.database import MapStore
from crack_perception.report.comparison.changes import Comparison
from crack_perception.report.comparison.survey import Survey

AUTHOR = "carried over from the earlier survey"


def carried_decisions(result: Comparison, old: Survey, new: Survey) -> Iterator[Decision]:
    """Decisions on cracks of the new map that nobody has reviewed there.

    A crack that several old ones lie along takes over what all of them have in common.
    """
    now_ns = time.time_ns()
    for new_id, old_id in result.rejected_again:
        if new_id not in new.reviews:
            yield Decision(new_id, Action.REJECT, {}, AUTHOR, now_ns)
            yield from _name(new_id, old.reviews.get(old_id, Review()).name, now_ns)
    for change in result.changes:
        states = {crack_id: old.reviews.get(crack_id, Review()) for crack_id in change.old_ids}
        if not states:
            continue
        is_accepted = all(review.verdict is Verdict.ACCEPTED for review in states.values())
        needs_review = all(review.structural_review for review in states.values())
        names = {review.name for review in states.values()}
        for new_id in change.new_ids:
            if new_id in new.reviews:
                continue
            if is_accepted:
                yield Decision(new_id, Action.ACCEPT, {}, AUTHOR, now_ns)
            if needs_review:
                yield Decision(new_id, Action.STRUCTURAL_REVIEW, {"needed": True}, AUTHOR, now_ns)
            if len(names) == 1 and len(change.new_ids) == 1:
                yield from _name(new_id, names.pop(), now_ns)


def _name(crack_id: int, name: str, now_ns: int) -> Iterator[Decision]:
    if name:
        yield Decision(crack_id, Action.RENAME, {"name": name}, AUTHOR, now_ns)


def carry_verdicts(path: Path, result: Comparison, old: Survey, new: Survey) -> int:
    """Write them into the new map's file; their number.

    Raises:
        UserError: The file cannot be written, or ``crack_mapper`` has it.
    """
    decisions = list(carried_decisions(result, old, new))
    if decisions:
        store = MapStore(path)
        try:
            for decision in decisions:
                store.add_decision(decision)
        finally:
            store.close()
    return len(decisions)
