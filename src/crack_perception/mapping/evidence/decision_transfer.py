# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Decisions of reviewers on cracks that the mapper merges or divides: they follow what they were taken on.

A crack with a decision is never removed. When it becomes a part of another one, its decisions become those of that
crack, in their order. A verdict must not spread to what its reviewer has not seen: of two parts with different verdicts
the longer one decides, and where that would contradict a reviewer the crack is open again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from crack_perception.mapping.evidence.decisions import Action, Decision, Review, Verdict, reviews

AUTHOR = "crack_mapper"
"""Author of the decisions that follow from merging."""

_OPEN = Review()
_VERDICTS = {Verdict.ACCEPTED: Action.ACCEPT, Verdict.REJECTED: Action.REJECT, Verdict.OPEN: Action.REOPEN}
_NAMES_A_CRACK = {Action.MERGE: "into", Action.SPLIT: "new_id"}


class DecisionBook:
    """All decisions of a map while the mapper has it.

    Args:
        decisions: Those that are stored.
    """

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        self._decisions = {decision.id: decision for decision in decisions}
        self._changed: dict[int, Decision] = {}

    @property
    def crack_ids(self) -> set[int]:
        """The cracks that decisions were taken on, or that decisions name."""
        return {crack_id for decision in self._decisions.values() for crack_id in _cracks_of(decision)}

    @property
    def rejected(self) -> frozenset[int]:
        """The cracks whose present verdict is that there is none."""
        states = reviews(self._decisions.values()) if self._decisions else {}
        return frozenset(crack_id for crack_id, review in states.items() if review.verdict is Verdict.REJECTED)

    def changes(self) -> dict[int, Decision]:
        """New and changed decisions since the last call, by id."""
        changed, self._changed = self._changed, {}
        return changed

    def unsaved(self) -> DecisionBook:
        """The same decisions, all of them as changes."""
        book = DecisionBook(self._decisions.values())
        book._changed = dict(self._decisions)
        return book

    def merge(self, gone: int, survivor: int, gone_length_m: float, survivor_length_m: float, time_ns: int) -> None:
        """Transfer the decisions on a crack that was merged into another one.

        Args:
            gone, survivor: The cracks.
            gone_length_m, survivor_length_m: Their lengths before.
            time_ns: Time that decisions made here bear, since 1970, UTC.
        """
        if self.crack_ids.isdisjoint((gone, survivor)):
            return
        before = reviews(self._decisions.values())
        shorter, longer = before.get(gone, _OPEN).verdict, before.get(survivor, _OPEN).verdict
        if gone_length_m > survivor_length_m:
            shorter, longer = longer, shorter
        for decision in list(self._decisions.values()):
            moved = _renamed(decision, gone, survivor)
            if moved is decision:
                continue
            if moved.action is Action.MERGE and moved.value["into"] == moved.crack_id:
                # What the reviewer wanted has happened.
                self._append(Decision(survivor, Action.UNDO, {"decision": decision.id}, AUTHOR, time_ns))
            self._put(moved)
        wanted = _verdict_of_both(shorter, longer)
        if reviews(self._decisions.values()).get(survivor, _OPEN).verdict is not wanted:
            self._append(Decision(survivor, _VERDICTS[wanted], {}, AUTHOR, time_ns))

    def divide(self, crack_id: int, piece: int, time_ns: int) -> None:
        """Give a piece of a crack that has become a crack of its own verdict and structural review of the whole."""
        review = reviews(self._decisions.values()).get(crack_id, _OPEN)
        if review.verdict is not Verdict.OPEN:
            self._append(Decision(piece, _VERDICTS[review.verdict], {}, AUTHOR, time_ns))
        if review.structural_review:
            self._append(Decision(piece, Action.STRUCTURAL_REVIEW, {"needed": True}, AUTHOR, time_ns))

    def _append(self, decision: Decision) -> None:
        self._put(replace(decision, id=max(self._decisions, default=0) + 1))

    def _put(self, decision: Decision) -> None:
        self._decisions[decision.id] = self._changed[decision.id] = decision


def _cracks_of(decision: Decision) -> list[int]:
    name = _NAMES_A_CRACK.get(decision.action)
    return [decision.crack_id, *([int(decision.value[name])] if name else [])]


def _renamed(decision: Decision, old: int, new: int) -> Decision:
    """The decision with another id for a crack; the same object where it does not name it."""
    if old not in _cracks_of(decision):
        return decision
    name = _NAMES_A_CRACK.get(decision.action)
    value = decision.value
    if name and int(value[name]) == old:
        value = {**value, name: new}
    return replace(decision, crack_id=new if decision.crack_id == old else decision.crack_id, value=value)


def _verdict_of_both(shorter: Verdict, longer: Verdict) -> Verdict:
    """Verdict on a crack that consists of two parts."""
    if shorter is longer or shorter is Verdict.OPEN:
        return longer
    if longer is Verdict.OPEN:
        # A long crack is no mistake because a short part of it was one.
        return shorter if shorter is Verdict.ACCEPTED else Verdict.OPEN
    return Verdict.ACCEPTED if longer is Verdict.ACCEPTED else Verdict.OPEN
