# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Undo, redo and the history of decisions in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from crack_perception.mapping.evidence.decisions import Action, Decision, effective

_VERBS = {
    Action.ACCEPT: "accepted",
    Action.REJECT: "rejected",
    Action.REOPEN: "reopened",
    Action.UNDO: "undid a decision on",
}


@dataclass(frozen=True)
class Steps:
    """Return the steps that an author can undo and redo next.

    Attributes:
        undo: Ids of the decisions of the newest step that counts; empty where there is none.
        redo: Ids of the undoing decisions of the newest step that was undone; empty where there is none.
    """

    undo: tuple[int, ...] = ()
    redo: tuple[int, ...] = ()


def steps_of(decisions: Iterable[Decision], author: str) -> Steps:
    """The author's next steps. Decisions that were taken together, at one time, are one step."""
    ordered = sorted(decisions, key=lambda decision: decision.id)
    by_id = {decision.id: decision for decision in ordered}
    counted = {decision.id for decision in effective(ordered)}
    undo: list[tuple[int, ...]] = []
    redo: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    own = (decision for decision in ordered if decision.author == author)
    for _, group in groupby(own, key=lambda decision: (decision.time_ns, decision.action is Action.UNDO)):
        step = list(group)
        ids = tuple(decision.id for decision in step)
        if step[0].action is not Action.UNDO:
            undo.append(ids)
            redo.clear()
            continue
        targets = tuple(int(decision.value["decision"]) for decision in step)
        restored = next((entry for entry in redo if set(entry[1]) == set(targets)), None)
        if restored is not None:  # an undo of an undo
            redo.remove(restored)
            undo.append(restored[0])
        elif all(target in by_id and by_id[target].action is not Action.UNDO for target in targets):
            undo = [entry for entry in undo if not set(entry) <= set(targets)]
            redo.append((targets, ids))
    # Decisions may also be undone one by one, by others too.
    undo = [left for entry in undo if (left := tuple(each for each in entry if each in counted))]
    redo = [entry for entry in redo if not counted.intersection(entry[0])]
    return Steps(undo[-1] if undo else (), redo[-1][1] if redo else ())


@dataclass(frozen=True)
class HistoryEntry:
    """One decision for readers.

    Attributes:
        decision: It.
        words: What was decided, for example "accepted".
        counts: False where it was undone.
    """

    decision: Decision
    words: str
    counts: bool


def history(decisions: Sequence[Decision], crack_ids: Iterable[int]) -> list[HistoryEntry]:
    """Return the decisions on some cracks, the newest first; a decision that undoes another shows in its entry."""
    wanted = set(crack_ids)
    counted = {decision.id for decision in effective(decisions)}
    entries = [
        HistoryEntry(decision, words_of(decision), decision.id in counted)
        for decision in decisions
        if decision.crack_id in wanted and decision.action is not Action.UNDO
    ]
    return sorted(entries, key=lambda entry: -entry.decision.id)


def words_of(decision: Decision) -> str:
    """Describe a decision as the end of a sentence that begins with the author."""
    value = decision.value
    if decision.action is Action.RENAME:
        name = str(value["name"])
        return f"named crack {decision.crack_id} “{name}”" if name else f"removed the name of crack {decision.crack_id}"
    if decision.action is Action.COMMENT:
        return f"commented on crack {decision.crack_id}: {value['text']}"
    if decision.action is Action.SEVERITY:
        chosen = value["severity"]
        crack = f"crack {decision.crack_id}"
        return f"set the severity of {crack} to {chosen}" if chosen else f"returned {crack} to its measured severity"
    if decision.action is Action.STRUCTURAL_REVIEW:
        verb = "marked" if value["needed"] else "unmarked"
        return f"{verb} crack {decision.crack_id} for a structural review"
    if decision.action is Action.MERGE:
        return f"merged crack {decision.crack_id} into crack {value['into']}"
    if decision.action is Action.SPLIT:
        return f"split crack {value['new_id']} off crack {decision.crack_id}"
    return f"{_VERBS[decision.action]} crack {decision.crack_id}"
