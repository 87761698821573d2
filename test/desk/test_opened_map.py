# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Decisions on an opened map: what is stored, what is refused, and what other programs change meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import wait_for
from review_maps import level_crack, wall_map

from crack_perception.desk.opened_map import OpenedMap, ReadOnlyMap, RefusedDecision
from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import Action, Decision, Verdict
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.file_lock import holder_of
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.recognition.severity import SeverityScale

SCALE = SeverityScale.of_preset("gb50204")


@pytest.fixture
def opened(tmp_path: Path) -> OpenedMap:
    return OpenedMap(wall_map(tmp_path), SCALE)


def stored(opened: OpenedMap) -> list[tuple[int, str, dict[str, Any], str]]:
    return [
        (each.crack_id, each.action.value, dict(each.value), each.author)
        for each in read_snapshot(opened.path).decisions
    ]


@contextmanager
def held_by_another_process(path: Path) -> Iterator[int]:
    program = (
        "import sys, pathlib\nfrom crack_perception.mapping.storage.database import MapStore\n"
        "store = MapStore(pathlib.Path(sys.argv[1]))\nprint('READY', flush=True)\nsys.stdin.read()\nstore.close()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout and process.stdout.readline() == "READY\n"
        yield process.pid
    finally:
        process.communicate(timeout=60)


def test_decide_stores_author_time_and_every_kind_of_decision(opened: OpenedMap) -> None:
    opened.decide("  Ana ", [{"crack_id": 1, "action": "accept"}])
    opened.decide("Ana", [{"crack_id": 1, "action": "rename", "name": " Brücke 桥 "}])
    opened.decide("Ana", [{"crack_id": 1, "action": "comment", "text": "wet\r\nat\tnight"}])
    opened.decide("Ana", [{"crack_id": 1, "action": "severity", "severity": "minor"}])
    opened.decide("Ana", [{"crack_id": 1, "action": "structural_review", "needed": True}])
    state, _ = opened.decide("Ben", [{"crack_id": 4, "action": "reject"}, {"crack_id": 5, "action": "reopen"}])
    assert stored(opened) == [
        (1, "accept", {}, "Ana"),
        (1, "rename", {"name": "Brücke 桥"}, "Ana"),
        (1, "comment", {"text": "wet\nat\tnight"}, "Ana"),
        (1, "severity", {"severity": "minor"}, "Ana"),
        (1, "structural_review", {"needed": True}, "Ana"),
        (4, "reject", {}, "Ben"),
        (5, "reopen", {}, "Ben"),
    ]
    assert state.documents[1]["severity"] == "minor" and state.documents[1]["measured"] == "obvious"
    assert state.documents[4]["verdict"] == "rejected"
    assert state.documents[1]["structural_review"] and not state.documents[4]["structural_review"]
    times = [each.time_ns for each in read_snapshot(opened.path).decisions]
    assert times[-1] == times[-2] and times == sorted(times) and times[0] > 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"crack_id": 99, "action": "accept"}, "99 is not in the map"),
        ({"crack_id": True, "action": "accept"}, "not in the map"),
        ({"crack_id": "1", "action": "accept"}, "not in the map"),
        ({"action": "accept"}, "not in the map"),
        ({"crack_id": 1, "action": "burn"}, "no decision"),
        ({"crack_id": 1, "action": ["accept"]}, "no decision"),
        ({"crack_id": 1, "action": "rename"}, "not a text"),
        ({"crack_id": 1, "action": "rename", "name": "x" * 121}, "121 characters"),
        ({"crack_id": 1, "action": "rename", "name": "a\x00b"}, "cannot be shown"),
        ({"crack_id": 1, "action": "rename", "name": "a\ud800b"}, "cannot be shown"),
        ({"crack_id": 1, "action": "comment", "text": "  "}, "empty"),
        ({"crack_id": 1, "action": "severity", "severity": "terrible"}, "no severity class"),
        ({"crack_id": 1, "action": "severity", "severity": ["minor"]}, "no severity class"),
        ({"crack_id": 1, "action": "merge", "into": 1}, "cannot be merged"),
        ({"crack_id": 1, "action": "merge", "into": 77}, "cannot be merged"),
        ({"crack_id": 3, "action": "merge", "into": 1}, "not one line"),
        ({"crack_id": 4, "action": "merge", "into": 1}, "not one line"),
        ({"crack_id": 1, "action": "split", "along_m": 0}, "not a place"),
        ({"crack_id": 1, "action": "split", "along_m": "0.5"}, "not a place"),
        ({"crack_id": 1, "action": "split", "along_m": float("nan")}, "not a place"),
        ({"crack_id": 1, "action": "split", "along_m": 0.01}, "at its end"),
        ({"action": "undo", "decision": 1}, "does not count"),
        ({"action": "undo", "decision": None}, "does not count"),
    ],
)
def test_decide_wrong_request_is_refused_and_nothing_is_stored(
    opened: OpenedMap, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(RefusedDecision, match=message):
        opened.decide("Ana", [{"crack_id": 2, "action": "accept"}, request_])
    assert stored(opened) == []


@pytest.mark.parametrize("author", ["", "  ", "x" * 81, "a\nb"])
def test_decide_without_a_usable_author_is_refused(opened: OpenedMap, author: str) -> None:
    with pytest.raises(RefusedDecision):
        opened.decide(author, [{"crack_id": 1, "action": "accept"}])


def test_decide_merge_makes_one_crack_and_undo_brings_both_back(opened: OpenedMap) -> None:
    before = opened.state().documents
    state, _ = opened.decide("Ana", [{"crack_id": 2, "action": "merge", "into": 1}])
    assert set(state.documents) == {1, 3, 4, 5} and state.documents[1]["parts"] == [1, 2]
    assert state.documents[1]["length_m"] == pytest.approx(2.0)
    assert state.documents[4] is before[4], "what has not changed is not sent again"
    state, _ = opened.undo("Ana")
    assert state.documents == before
    state, _ = opened.redo("Ana")
    assert set(state.documents) == {1, 3, 4, 5}
    with pytest.raises(RefusedDecision, match="nothing to redo for Ana"):
        opened.redo("Ana")


def test_decide_split_gives_the_shorter_part_an_id_that_no_crack_will_have(opened: OpenedMap) -> None:
    state, decisions = opened.decide("Ana", [{"crack_id": 4, "action": "split", "along_m": 0.5}])
    new_id = decisions[0].value["new_id"]
    assert new_id == 6
    assert state.documents[6]["length_m"] == pytest.approx(0.5) and state.documents[4]["length_m"] == pytest.approx(1.5)
    state, decisions = opened.decide("Ana", [{"crack_id": 6, "action": "split", "along_m": 0.4}])
    assert decisions[0].value["new_id"] == 7 and state.documents[7]["length_m"] == pytest.approx(0.1)
    with closing(MapStore(opened.path)) as store:
        assert store.next_id == 8


def test_undo_of_one_decision_in_the_history_leaves_later_ones(opened: OpenedMap) -> None:
    _, first = opened.decide("Ana", [{"crack_id": 1, "action": "rename", "name": "A"}])
    opened.decide("Ana", [{"crack_id": 1, "action": "accept"}])
    state, _ = opened.decide("Ben", [{"action": "undo", "decision": first[0].id}])
    assert state.documents[1]["name"] == "" and state.documents[1]["verdict"] == "accepted"
    with pytest.raises(RefusedDecision, match="does not count"):
        opened.decide("Ben", [{"action": "undo", "decision": first[0].id}])


def test_decisions_survive_another_flight_and_a_rejected_crack_stays_rejected(opened: OpenedMap) -> None:
    opened.decide("Ana", [{"crack_id": 4, "action": "reject"}])
    before = opened.state()
    with closing(MapStore(opened.path)) as store:
        store.save([level_crack(4, 3.0, 5.5, 2.0, 1.6), level_crack(9, 0.0, 1.0, 2.5)], (), 10)
    wait_for(lambda: opened.state().revision != before.revision)
    state = opened.state()
    assert state.documents[4]["verdict"] == "rejected" and state.documents[4]["length_m"] == pytest.approx(2.5)
    assert 9 in state.documents


def test_state_of_an_unchanged_map_is_not_read_again(opened: OpenedMap, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = opened.decide("Ana", [{"crack_id": 4, "action": "reject"}])
    monkeypatch.setattr("crack_perception.desk.opened_map.read_snapshot", lambda path: pytest.fail("was read"))
    monkeypatch.setattr(opened, "_read_again_at", 0.0)
    assert opened.state() is state


def test_map_in_use_by_another_process_is_read_only_until_it_ends(opened: OpenedMap) -> None:
    assert opened.why_read_only() == "" and holder_of(opened.path) is None
    with held_by_another_process(opened.path) as process:
        assert f"process {process}" in opened.why_read_only()
        with pytest.raises(ReadOnlyMap, match="crack_mapper"):
            opened.decide("Ana", [{"crack_id": 1, "action": "accept"}])
    assert opened.why_read_only() == ""
    opened.decide("Ana", [{"crack_id": 1, "action": "accept"}])
    assert stored(opened) == [(1, "accept", {}, "Ana")]


def test_map_in_use_is_refused_where_locks_cannot_be_seen(opened: OpenedMap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crack_perception.desk.opened_map.holder_of", lambda path: None)
    with held_by_another_process(opened.path), pytest.raises(UserError, match="in use by another"):
        opened.decide("Ana", [{"crack_id": 1, "action": "accept"}])


def test_read_only_desk_stores_nothing(tmp_path: Path) -> None:
    opened = OpenedMap(wall_map(tmp_path), SCALE, read_only=True)
    with pytest.raises(ReadOnlyMap, match="--read-only"):
        opened.decide("Ana", [{"crack_id": 1, "action": "accept"}])


def test_removed_map_is_not_created_anew(opened: OpenedMap) -> None:
    opened.path.unlink()
    with pytest.raises(ReadOnlyMap, match="cannot be read"):
        opened.decide("Ana", [{"crack_id": 1, "action": "accept"}])
    assert not opened.path.exists() and opened.problem()
    assert 1 in opened.state().documents, "what was read before can still be looked at"


def test_damaged_map_is_not_replaced_by_the_desk(opened: OpenedMap) -> None:
    opened.path.write_bytes(b"not a map" * 1000)
    with pytest.raises(ReadOnlyMap, match="cannot be read"):
        opened.decide("Ana", [{"crack_id": 1, "action": "accept"}])
    assert opened.path.read_bytes() == b"not a map" * 1000


def test_crack_that_was_removed_meanwhile_is_refused(opened: OpenedMap) -> None:
    with closing(MapStore(opened.path)) as store:
        store.save((), [4])
    with pytest.raises(RefusedDecision, match="4 is not in the map any more"):
        opened.decide("Ana", [{"crack_id": 4, "action": "accept"}])


def test_decisions_of_another_desk_are_seen(opened: OpenedMap) -> None:
    with closing(MapStore(opened.path)) as store:
        store.add_decision(Decision(1, Action.REJECT, {}, "Ben", 5))
    wait_for(lambda: opened.state().reviewed[1].review.verdict is Verdict.REJECTED)


def test_facets_do_not_change_with_decisions(opened: OpenedMap) -> None:
    before = opened.state()
    assert [facet["words"] for facet in before.facet_documents] == ["wall facing -y", "wall facing +x"]
    state, _ = opened.decide("Ana", [{"crack_id": 4, "action": "split", "along_m": 1.0}])
    assert state.facet_documents is before.facet_documents
    assert state.documents[6]["facet"] == 0 and state.documents[5]["facet"] == 1
    line = np.array(state.documents[1]["line"])
    np.testing.assert_allclose(line, [[0.5, 1.0], [1.5, 1.0]], atol=2e-3)
