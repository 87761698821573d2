# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What reviewers have decided about the cracks of a map: a list that only grows, and the state that follows from it.

Nothing is ever removed: ``undo`` is a decision as well. The state of a crack is found by going through the list, so
that it can be told who decided what, and when.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any


class Action(Enum):
    """Kinds of decisions; ``value`` of a decision holds what is named here."""

    ACCEPT = "accept"
    """It is a crack."""
    REJECT = "reject"
    """It is none, and stays rejected when it is seen again."""
    REOPEN = "reopen"
    """Neither accepted nor rejected any more."""
    RENAME = "rename"
    """value: {"name": str}; an empty one removes the name."""
    COMMENT = "comment"
    """value: {"text": str}."""
    SEVERITY = "severity"
    """value: {"severity": str or None}: severity class in place of the measured one; None removes it."""
    STRUCTURAL_REVIEW = "structural_review"
    """value: {"needed": bool}: it warrants a structural review, condition state CS4."""
    MERGE = "merge"
    """value: {"into": int}: the crack is part of another one."""
    SPLIT = "split"
    """value: {"at_m": [x, y, z], "new_id": int, "new_part_m": [x, y, z]}: the part behind the vertex next to
    ``at_m`` is a crack of its own, with the verdict, the severity and the structural review of the whole; where
    ``new_part_m`` is given, it is the part on that side."""
    UNDO = "undo"
    """value: {"decision": int}: an earlier decision, as if it had not been taken."""


class Verdict(Enum):
    """What a reviewer thinks of a crack."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Decision:
    """One decision on one crack.

    Attributes:
        crack_id: The crack.
        action: What was decided.
        value: What the action needs; JSON.
        author: Who decided.
        time_ns: When, since 1970, UTC.
        id: Ascending in the order of the decisions; 0 until it is stored.
    """

    crack_id: int
    action: Action
    value: Mapping[str, Any] = field(default_factory=dict)
    author: str = ""
    time_ns: int = 0
    id: int = 0


@dataclass(frozen=True)
class Review:
    """State of a crack after all decisions.

    Attributes:
        verdict: Accepted, rejected or still open.
        name: The reviewer's name of the crack, or "".
        severity: Severity class in place of the measured one, or None.
        comments: In the order in which they were written.
        merged_into: The crack that this one is part of, or None.
        structural_review: Whether an inspector found that it warrants a structural review (CS4).
    """

    verdict: Verdict = Verdict.OPEN
    name: str = ""
    severity: str | None = None
    comments: tuple[Decision, ...] = ()
    merged_into: int | None = None
    structural_review: bool = False


def effective(decisions: Iterable[Decision]) -> list[Decision]:
    """The decisions that count, in order: those that were undone, and the undoing ones, are left out.

    An ``undo`` may itself be undone, which brings the decision back.
    """
    ordered = sorted(decisions, key=lambda decision: decision.id)
    undone: set[int] = set()
    for decision in reversed(ordered):
        if decision.action is Action.UNDO and decision.id not in undone:
            undone.add(int(decision.value["decision"]))
    return [each for each in ordered if each.action is not Action.UNDO and each.id not in undone]


def reviews(decisions: Iterable[Decision]) -> dict[int, Review]:
    """State of every crack that a decision was taken on, by id."""
    state: dict[int, Review] = {}
    for decision in effective(decisions):
        review = _after(state.get(decision.crack_id, Review()), decision)
        state[decision.crack_id] = review
        if decision.action is Action.SPLIT:
            part = Review(review.verdict, severity=review.severity, structural_review=review.structural_review)
            state.setdefault(int(decision.value["new_id"]), part)
    return state


def _after(review: Review, decision: Decision) -> Review:
    """State of a crack after one more decision on it."""
    value = decision.value
    if decision.action is Action.ACCEPT:
        return replace(review, verdict=Verdict.ACCEPTED)
    if decision.action is Action.REJECT:
        return replace(review, verdict=Verdict.REJECTED)
    if decision.action is Action.REOPEN:
        return replace(review, verdict=Verdict.OPEN)
    if decision.action is Action.RENAME:
        return replace(review, name=str(value["name"]))
    if decision.action is Action.COMMENT:
        return replace(review, comments=(*review.comments, decision))
    if decision.action is Action.SEVERITY:
        return replace(review, severity=value["severity"])
    if decision.action is Action.STRUCTURAL_REVIEW:
        return replace(review, structural_review=bool(value["needed"]))
    if decision.action is Action.MERGE:
        return replace(review, merged_into=int(value["into"]))
    return review


_VALUES: Mapping[Action, Mapping[str, tuple[type, ...]]] = {
    Action.RENAME: {"name": (str,)},
    Action.COMMENT: {"text": (str,)},
    Action.SEVERITY: {"severity": (str, type(None))},
    Action.STRUCTURAL_REVIEW: {"needed": (bool,)},
    Action.MERGE: {"into": (int,)},
    Action.SPLIT: {"at_m": (list, tuple), "new_id": (int,)},
    Action.UNDO: {"decision": (int,)},
}


def decision_of(plain: Mapping[str, Any]) -> Decision:
    """A decision from plain values of the same names.

    Raises:
        ValueError: A value is missing or wrong.
    """
    try:
        decision = Decision(
            crack_id=int(plain["crack_id"]),
            action=Action(plain["action"]),
            value=dict(plain.get("value") or {}),
            author=str(plain.get("author", "")),
            time_ns=int(plain.get("time_ns", 0)),
            id=int(plain.get("id", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"decision: {error}") from error
    for name, kinds in _VALUES.get(decision.action, {}).items():
        if name not in decision.value or not isinstance(decision.value[name], kinds):
            raise ValueError(f"decision: {decision.action.value} needs {name}")
    if decision.action is Action.SPLIT:
        for name in ("at_m", "new_part_m"):
            if name in decision.value and not _is_point(decision.value[name]):
                raise ValueError(f"decision: {name} is not a point")
    return decision


def _is_point(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(each, int | float) and math.isfinite(each) for each in value)
    )
