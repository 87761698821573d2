# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Steps of undo and redo, and the history in words."""

from __future__ import annotations

from typing import Any

from crack_perception.desk.history import Steps, history, steps_of
from crack_perception.mapping.evidence.decisions import Action, Decision, Verdict, reviews


class Log:
    """A list of decisions that grows as a map's does."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def take(self, author: str, *step: tuple[int, Action, dict[str, Any]]) -> None:
        time_ns = len(self.decisions) + 1
        for crack_id, action, value in step:
            self.decisions.append(Decision(crack_id, action, value, author, time_ns, len(self.decisions) + 1))

    def undo(self, author: str, ids: tuple[int, ...]) -> None:
        assert ids
        self.take(author, *((1, Action.UNDO, {"decision": each}) for each in ids))

    def steps(self, author: str = "Ana") -> Steps:
        return steps_of(self.decisions, author)

    def verdict(self, crack_id: int = 1) -> Verdict:
        return reviews(self.decisions)[crack_id].verdict if crack_id in reviews(self.decisions) else Verdict.OPEN


def test_steps_of_nothing_are_empty() -> None:
    assert Log().steps() == Steps((), ())


def test_steps_undo_twice_and_redo_twice_lead_back() -> None:
    log = Log()
    log.take("Ana", (1, Action.ACCEPT, {}))
    log.take("Ana", (1, Action.REJECT, {}))
    seen = [log.verdict()]
    for way in ("undo", "undo", "redo", "redo", "undo", "redo"):
        log.undo("Ana", getattr(log.steps(), way))
        seen.append(log.verdict())
    accepted, rejected, opened = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.OPEN
    assert seen == [rejected, accepted, opened, accepted, rejected, accepted, rejected]
    assert log.steps().redo == () and log.steps().undo == (2,)


def test_steps_new_decision_after_undo_ends_redo() -> None:
    log = Log()
    log.take("Ana", (1, Action.ACCEPT, {}))
    log.undo("Ana", log.steps().undo)
    assert log.steps().redo
    log.take("Ana", (2, Action.REJECT, {}))
    assert log.steps() == Steps((3,), ())


def test_steps_of_one_author_leave_those_of_others_alone() -> None:
    log = Log()
    log.take("Ana", (1, Action.ACCEPT, {}))
    log.take("Ben", (1, Action.REJECT, {}))
    assert log.steps("Ana").undo == (1,) and log.steps("Ben").undo == (2,) and log.steps("Cem").undo == ()


def test_steps_decisions_taken_together_are_undone_together() -> None:
    log = Log()
    log.take("Ana", (1, Action.REJECT, {}), (2, Action.REJECT, {}))
    assert log.steps().undo == (1, 2)
    log.undo("Ana", log.steps().undo)
    assert log.verdict(1) is log.verdict(2) is Verdict.OPEN
    log.undo("Ana", log.steps().redo)
    assert log.verdict(1) is log.verdict(2) is Verdict.REJECTED


def test_steps_decision_undone_by_another_is_not_undone_again() -> None:
    log = Log()
    log.take("Ana", (1, Action.ACCEPT, {}))
    log.take("Ana", (1, Action.REJECT, {}))
    log.undo("Ben", (2,))
    assert log.steps("Ana").undo == (1,)


def test_history_tells_the_newest_first_and_what_was_undone() -> None:
    log = Log()
    log.take("Ana", (1, Action.RENAME, {"name": "A 1"}))
    log.take("Ana", (1, Action.MERGE, {"into": 3}))
    log.take("Ana", (2, Action.REJECT, {}))
    log.take("Ana", (1, Action.SEVERITY, {"severity": None}))
    log.take("Ana", (1, Action.COMMENT, {"text": "wet"}))
    log.undo("Ana", (2,))
    assert [(entry.words, entry.counts) for entry in history(log.decisions, {1})] == [
        ("commented on crack 1: wet", True),
        ("returned crack 1 to its measured severity", True),
        ("merged crack 1 into crack 3", False),
        ("named crack 1 “A 1”", True),
    ]
