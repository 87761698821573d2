# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The map that a review page shows: read again when it changes, and written one decision at a time."""

from __future__ import annotations

import os
import secrets
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crack_perception.desk.documents import Plain, coverage_documents, crack_document, facet_document
from crack_perception.desk.history import steps_of
from crack_perception.desk.orthophotos import Orthophotos, index_path
from crack_perception.errors import UserError, printable
from crack_perception.mapping.evidence.decisions import Action, Decision, decision_of, effective
from crack_perception.mapping.evidence.reviewed import ReviewedCrack, reviewed_cracks
from crack_perception.mapping.export.plan.surfaces import Surfaces
from crack_perception.mapping.polylines import arc_lengths
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.file_lock import holder_of
from crack_perception.mapping.storage.snapshot import Snapshot, read_snapshot
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale

MOST_AT_ONCE = 5000
_LONGEST_AUTHOR = 80
_LONGEST_NAME = 120
_LONGEST_COMMENT = 4000
_REVISIONS_KEPT = 50
# A map that a mapper writes all the time is read during this share of the time.
_READING_SHARE = 0.2
# Unicode categories: control characters, and halves of characters.
_UNWANTED = ("Cc", "Cs")
# Ids of decisions that are not stored yet.
_BEYOND = 1 << 62

Signature = tuple[tuple[int, int, int] | None, ...]


class RefusedDecision(UserError):
    """A decision that cannot be taken: it is wrong, or it does not fit the map as it is now."""


class ReadOnlyMap(UserError):
    """Nothing can be decided now; the text says why."""


@dataclass(frozen=True, eq=False)
class State:
    """The map at one moment.

    Attributes:
        revision: Changes whenever anything changes.
        snapshot: What the file holds.
        reviewed: Cracks after all decisions, by id.
        surfaces: The facets.
        orthophotos: Those beside the map.
        documents: The cracks for JSON, by id.
        facet_documents: The facets for JSON.
    """

    revision: str
    snapshot: Snapshot
    reviewed: Mapping[int, ReviewedCrack]
    surfaces: Surfaces
    orthophotos: Orthophotos
    documents: Mapping[int, dict[str, Plain]]
    facet_documents: tuple[dict[str, Plain], ...]


class OpenedMap:
    """A map file for reviewing; may be used from several threads.

    The file is opened for writing only while a decision is stored, so that ``crack_mapper`` can use it at any other
    time. A decision is on the disk before ``decide`` returns.

    Args:
        path: The map file.
        scale: Severity classes.
        read_only: Whether to refuse all decisions.

    Raises:
        UserError: No such file, or no crack map.
    """

    def __init__(self, path: Path, scale: SeverityScale, read_only: bool = False) -> None:
        self.path = path
        self.scale = scale
        self._read_only = read_only
        self._lock = threading.RLock()
        self._run, self._number = secrets.token_hex(4), 0
        self._known: OrderedDict[str, State] = OrderedDict()
        self._problem = ""
        self._signature: Signature | None = _signature(path)
        started = time.monotonic()
        self._state = self._keep(read_snapshot(path), None)
        self._read_again_at = self._pause_after(started)

    def state(self) -> State:
        """The map as it is now, as far as it can be read."""
        with self._lock:
            if time.monotonic() >= self._read_again_at:
                self._refresh()
            return self._state

    def known(self, revision: str) -> State | None:
        """The map at an earlier moment, if that is not long ago."""
        with self._lock:
            return self._known.get(revision)

    def problem(self) -> str:
        """Why the newest state of the file could not be read, or ""."""
        with self._lock:
            return self._problem

    def why_read_only(self) -> str:
        """Why nothing can be decided now, in a sentence for people; "" if it can."""
        if self._read_only:
            return "Decisions are switched off: the page was started with --read-only."
        if not all(os.access(place, os.W_OK) for place in (self.path, self.path.parent)):
            return f"The map or its folder cannot be written: {self.path}."
        with self._lock:
            holder = holder_of(self.path)
        if holder is None:
            return ""
        return (
            f"Another program, probably crack_mapper, is using this map (process {holder}). "
            "You can look at everything; decisions can be taken when it has ended."
        )

    def decide(self, author: str, requests: Sequence[Mapping[str, Any]]) -> tuple[State, list[Decision]]:
        """Store one step of decisions of an author.

        Args:
            author: Name of a person.
            requests: ``crack_id``, ``action`` and what the action needs: ``name``, ``text``, ``severity``, ``needed``
                (structural review), ``into``, ``along_m`` (split: distance from the line's first vertex), or
                ``decision`` (undo).

        Returns:
            The new state, and the decisions as they were stored.

        Raises:
            RefusedDecision: They are wrong, or do not fit the map.
            ReadOnlyMap: The map is in use or cannot be written.
            UserError: It cannot be saved.
        """
        checked_author = _text(author, "author", _LONGEST_AUTHOR)
        if not checked_author:
            raise RefusedDecision("the name of the reviewer is missing", "Enter your name first")
        if not 0 < len(requests) <= MOST_AT_ONCE:
            raise RefusedDecision(f"{len(requests)} decisions at once", f"Take 1 to {MOST_AT_ONCE}")
        return self._take(lambda: [self._decision(request, checked_author) for request in requests])

    def undo(self, author: str) -> tuple[State, list[Decision]]:
        """Undo the author's newest step that counts.

        Raises:
            RefusedDecision: There is none.
            ReadOnlyMap, UserError: As ``decide``.
        """
        return self._take(lambda: self._undoing(author, steps_of(self._state.snapshot.decisions, author).undo, "undo"))

    def redo(self, author: str) -> tuple[State, list[Decision]]:
        """Bring back the author's newest step that was undone.

        Raises:
            RefusedDecision: There is none.
            ReadOnlyMap, UserError: As ``decide``.
        """
        return self._take(lambda: self._undoing(author, steps_of(self._state.snapshot.decisions, author).redo, "redo"))

    def _take(self, decisions_now: Callable[[], list[Decision]]) -> tuple[State, list[Decision]]:
        """Read the map again if it has changed, make the decisions from it, check and store them."""
        with self._lock:
            self._refresh()
            if self._problem:
                raise ReadOnlyMap(self._problem)
            reason = self.why_read_only()
            if reason:
                raise ReadOnlyMap(reason)
            decisions = decisions_now()
            self._check_together(decisions)
            stored = self._store(decisions)
            snapshot = self._state.snapshot
            self._signature = _signature(self.path)
            if self._signature[1] is not None:  # another program has opened it since
                self._signature = None
            self._state = self._keep(replace(snapshot, decisions=(*snapshot.decisions, *stored)), self._state.surfaces)
            return self._state, stored

    def _store(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Store one step, all of it or nothing; parts that are split off get ids that no crack has had or will have."""
        now_ns = time.time_ns()
        with closing(MapStore(self.path)) as store:
            new_id = store.next_id
            timed = []
            for decision in decisions:
                if decision.action is Action.SPLIT:
                    decision = replace(decision, value={**decision.value, "new_id": new_id})
                    new_id += 1
                timed.append(replace(decision, time_ns=now_ns))
            return store.add_decisions(timed)

    def _decision(self, request: Mapping[str, Any], author: str) -> Decision:
        """The checked decision of a request; a split gets its new id later."""
        state = self._state
        crack_id, name = request.get("crack_id"), request.get("action")
        if not isinstance(name, str) or name not in {action.value for action in Action}:
            raise RefusedDecision(f"there is no decision {name!r}")
        action = Action(name)
        if action is Action.UNDO:
            return self._undo_of(request.get("decision"), author)
        if type(crack_id) is not int or crack_id not in state.reviewed:
            raise RefusedDecision(f"crack {crack_id!r} is not in the map any more", "Choose another one")
        value: dict[str, Any] = {}
        if action is Action.RENAME:
            value = {"name": _text(request.get("name"), "name", _LONGEST_NAME)}
        elif action is Action.COMMENT:
            value = {"text": _text(request.get("text"), "comment", _LONGEST_COMMENT, lines=True)}
            if not value["text"]:
                raise RefusedDecision("the comment is empty")
        elif action is Action.SEVERITY:
            severity = request.get("severity")
            if severity is not None and severity not in (*self.scale.labels, UNDETERMINED):
                raise RefusedDecision(f"there is no severity class {severity!r}")
            value = {"severity": severity}
        elif action is Action.STRUCTURAL_REVIEW:
            needed = request.get("needed")
            if not isinstance(needed, bool):
                raise RefusedDecision(f"the structural review is {needed!r}", "Send true or false")
            value = {"needed": needed}
        elif action is Action.MERGE:
            into = request.get("into")
            if type(into) is not int or into not in state.reviewed or into == crack_id:
                raise RefusedDecision(f"crack {crack_id} cannot be merged into {into!r}", "Choose another crack")
            value = {"into": into}
        elif action is Action.SPLIT:
            value = _split_value(state.reviewed[crack_id], request.get("along_m"))
        return decision_of({"crack_id": crack_id, "action": name, "value": value, "author": author})

    def _undo_of(self, identifier: Any, author: str) -> Decision:
        counted = {decision.id: decision for decision in effective(self._state.snapshot.decisions)}
        if type(identifier) is not int or identifier not in counted:
            raise RefusedDecision(f"decision {identifier!r} does not count any more")
        target = counted[identifier]
        return Decision(target.crack_id, Action.UNDO, {"decision": identifier}, author)

    def _undoing(self, author: str, targets: Sequence[int], verb: str) -> list[Decision]:
        by_id = {decision.id: decision for decision in self._state.snapshot.decisions}
        if not targets:
            raise RefusedDecision(f"there is nothing to {verb} for {author or 'you'}")
        return [Decision(by_id[each].crack_id, Action.UNDO, {"decision": each}, author) for each in targets]

    def _check_together(self, decisions: Sequence[Decision]) -> None:
        """Refuse merges of cracks that are not one line, by trying them."""
        merged = [decision for decision in decisions if decision.action is Action.MERGE]
        if not merged:
            return
        tried = [replace(decision, id=_BEYOND + number) for number, decision in enumerate(merged)]
        snapshot = self._state.snapshot
        left = {each.id for each in reviewed_cracks(snapshot.cracks, (), (*snapshot.decisions, *tried))}
        for decision in merged:
            if decision.crack_id in left:
                raise RefusedDecision(
                    f"cracks {decision.crack_id} and {decision.value['into']} are not one line: they are more than a "
                    "metre apart, run side by side, or one branches off the other",
                    "Leave them separate, or split one of them first",
                )

    def _refresh(self) -> None:
        """Read the file again if it has changed."""
        signature = _signature(self.path)
        if signature == self._signature:
            return
        started = time.monotonic()
        try:
            snapshot = read_snapshot(self.path)
        except UserError as error:
            self._problem = f"The map cannot be read now: {error}"
        else:
            self._problem = ""
            self._signature = signature
            self._state = self._keep(snapshot, None)
        self._read_again_at = self._pause_after(started)

    @staticmethod
    def _pause_after(started: float) -> float:
        took = time.monotonic() - started
        return started + took / _READING_SHARE

    def _keep(self, snapshot: Snapshot, surfaces: Surfaces | None) -> State:
        """The state of a snapshot; what has not changed is taken from the state before."""
        before = next(reversed(self._known.values()), None)
        if surfaces is None:
            surfaces = Surfaces.of(snapshot.cracks, snapshot.inspected_areas_m)
            orthophotos = Orthophotos.beside(self.path)
            coverage = coverage_documents(snapshot.coverage, surfaces.facets)
            facets = tuple(
                {
                    **facet_document(facet),
                    "orthophotos": orthophotos.documents(facet),
                    "coverage": coverage[facet.name],
                }
                for facet in surfaces.facets
            )
            is_same = before is not None and orthophotos.problem == before.orthophotos.problem
            if before is not None and is_same and facets == before.facet_documents:
                facets = before.facet_documents
        else:
            assert before is not None
            facets, orthophotos = before.facet_documents, before.orthophotos
        reviewed = {
            each.id: each for each in reviewed_cracks(snapshot.cracks, snapshot.photographs, snapshot.decisions)
        }
        documents = {each.id: self._document(each, surfaces, before) for each in reviewed.values()}
        self._number += 1
        state = State(f"{self._run}-{self._number}", snapshot, reviewed, surfaces, orthophotos, documents, facets)
        self._known[state.revision] = state
        while len(self._known) > _REVISIONS_KEPT:
            self._known.popitem(last=False)
        return state

    def _document(self, reviewed: ReviewedCrack, surfaces: Surfaces, before: State | None) -> dict[str, Plain]:
        old = before.reviewed.get(reviewed.id) if before is not None else None
        if before is None or old is None:
            return crack_document(reviewed, surfaces, self.scale)
        is_same = old.crack is reviewed.crack and old.review == reviewed.review and surfaces is before.surfaces
        if is_same and len(old.photographs) == len(reviewed.photographs):
            return before.documents[reviewed.id]
        document = crack_document(reviewed, surfaces, self.scale)
        return before.documents[reviewed.id] if document == before.documents[reviewed.id] else document


def _split_value(reviewed: ReviewedCrack, along_m: Any) -> dict[str, Any]:
    """Return the place of a cut, and a point of the shorter part, which becomes a crack of its own."""
    line_m, positions_m = reviewed.crack.line_m, arc_lengths(reviewed.crack.line_m)
    # A whole number of any size can be compared with Python's floats, not with NumPy's.
    if type(along_m) not in (int, float) or not 0 < along_m < float(positions_m[-1]):
        raise RefusedDecision(
            f"{printable(repr(along_m), 80)} is not a place on the crack", "Choose a place between its ends"
        )
    cut = int(np.abs(positions_m - along_m).argmin())
    if not 0 < cut < len(line_m) - 1:
        raise RefusedDecision("a crack cannot be split at its end", "Choose a place between its ends")
    is_behind = positions_m[cut] >= positions_m[-1] / 2
    inside = (cut + len(line_m)) // 2 if is_behind else cut // 2
    return {"at_m": line_m[cut].tolist(), "new_id": 0, "new_part_m": line_m[inside].tolist()}


def _text(value: Any, what: str, longest: int, lines: bool = False) -> str:
    """A text that a person has entered, without control characters around or in it."""
    if not isinstance(value, str):
        raise RefusedDecision(f"the {what} is not a text")
    text = value.strip()
    if len(text) > longest:
        raise RefusedDecision(f"the {what} has {len(text)} characters", f"Use at most {longest}")
    text = text.replace("\r\n", "\n")
    allowed = "\n\t" if lines else ""
    if any(unicodedata.category(letter) in _UNWANTED and letter not in allowed for letter in text):
        raise RefusedDecision(f"the {what} has characters that cannot be shown", "Remove them")
    return text


def _signature(path: Path) -> Signature:
    """Changes when the file, its log or the orthophotos beside it do."""
    return tuple(map(_stamp, (path, path.with_name(f"{path.name}-wal"), index_path(path))))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
