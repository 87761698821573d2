# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""An archive over several runs: recordings are added, replaced and removed, and a recording that ends its process."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ending_tasks import ending_part, ending_plan
from survey_inputs import PART_S, Archive, copy_of, survey

from crack_perception.cli.main import main
from crack_perception.errors import UsageError, UserError
from crack_perception.mapping.evidence.decisions import Action, Decision, Verdict, reviews
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.survey import run as survey_run
from crack_perception.survey.engine import Engine, local_engine
from crack_perception.survey.query import Archive as Queried
from crack_perception.survey.registry import Entry, Registry, read_registry
from crack_perception.survey.storage import Storage


def entry(path: str, *files: str, key: str = "", structure: str = "wall", problem: str | None = None) -> Entry:
    made = None if problem else key or f"key of {files}"
    plain = {"name": path, "path": path, "key": made, "files": list(files), "problem": problem}
    return Entry(structure, plain)


@pytest.mark.parametrize(
    ("earlier", "newer", "is_replaced"),
    [
        (entry("a", "1"), entry("b", "1"), True),  # moved
        (entry("a", "1"), entry("a", "1", "2"), True),  # photographs were added
        (entry("a", "1", "2"), entry("a", "1"), True),  # and removed
        (entry("a", "1"), entry("a", "2"), False),  # another memory card
        (entry("a", "1", "2"), entry("b", "1"), False),  # a part of it
        (entry("a", "1", key="k"), entry("b", "2", key="k"), True),
        (entry("a", problem="noise"), entry("a", "1"), True),
        (entry("a", problem="noise"), entry("a", problem="noise"), True),
        (entry("a", problem="noise"), entry("b", "1"), False),
        (entry("a", "1"), entry("a", "1", problem="noise"), False),
    ],
)
def test_entry_is_replaced_by_a_recording_with_its_files(earlier: Entry, newer: Entry, is_replaced: bool) -> None:
    assert Registry((earlier,)).replacing([newer]) == [[0] if is_replaced else []]


def test_read_registry_results_of_another_version_are_named_and_not_used(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    plain = {"name": "f", "path": "/f", "key": "k", "problem": None, "posed_frames": 3, "format": 0}
    storage.write_json("survey.json", {"structures": [{"structure": "wall", "recordings": [plain]}]})
    (found,) = read_registry(storage).entries
    assert not found.is_finished
    assert "give its files again" in found.plain["problem"]


def test_registry_without_names_recordings_and_structures() -> None:
    entries = (entry("a", "1", key="k1", structure="B1"), entry("b", "2", structure="B1"), entry("c", structure="B2"))
    registry = Registry(entries)
    for names, left in ((["k1"], "bc"), (["B1"], "c"), (["b", "B2"], "a"), ([], "abc")):
        kept, removed = registry.without(names)
        assert "".join(each.name for each in kept.entries) == left
        assert len(removed) == 3 - len(left)
    with pytest.raises(UsageError, match=r"--remove B3: .* structures are B1, B2"):
        registry.without(["B3"])


def test_read_registry_damaged_summary_is_refused(tmp_path: Path) -> None:
    assert read_registry(Storage(str(tmp_path))).entries == ()
    (tmp_path / "survey.json").write_text('{"structures": [{"struc')
    with pytest.raises(UserError, match=r"survey\.json: is damaged"):
        read_registry(Storage(str(tmp_path)))


def by_name(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {structure["structure"]: structure for structure in summary["structures"]}


def test_survey_another_structure_keeps_those_of_earlier_runs(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    other = copy_of(archive.recordings / "tower" / "east", tmp_path / "in" / "pylon")
    (other / "photograph_0.jpg").unlink()
    shutil.copy(archive.recordings / "tower" / "west" / "photograph_0.jpg", other / "another.jpg")
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    summary = survey([other.parent], out, engine)
    assert (summary["recordings"], summary["resumed"], summary["problems"]) == (1, 0, 0)
    assert set(by_name(summary)) == {*by_name(archive.summary), "pylon"}
    for name, structure in by_name(archive.summary).items():
        assert by_name(summary)[name]["worst"] == structure["worst"]
        assert len(by_name(summary)[name]["recordings"]) == len(structure["recordings"])
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    page = (out / "index.html").read_text()
    assert all(f">{name}</a>" in page for name in by_name(summary))
    assert page.count("<img class=") == 3
    names, rows = Queried(str(out)).rows("", "frames")
    assert {row[names.index("structure")] for row in rows} == set(by_name(summary))


def test_survey_new_flight_of_a_structure_is_mapped_with_the_earlier_ones_and_keeps_verdicts(
    archive: Archive, engine: Engine, tmp_path: Path
) -> None:
    out, flights = tmp_path / "out", tmp_path / "in" / "bridge"
    for name in ("march", "may"):
        copy_of(archive.recordings / "bridge north" / name, flights / name)
    first = survey([copy_of(flights / "march", tmp_path / "one" / "bridge" / "march").parents[1]], out, engine)
    path = out / "structures" / "bridge" / "map.sqlite"
    before = read_snapshot(path)
    rejected, accepted = (crack.id for crack in before.cracks[:2])
    with closing(MapStore(path)) as store:
        store.add_decisions(
            [
                Decision(rejected, Action.REJECT, author="inspector", time_ns=1),
                Decision(accepted, Action.ACCEPT, author="inspector", time_ns=2),
                Decision(accepted, Action.RENAME, {"name": "crest"}, "inspector", 3),
            ]
        )
    second = survey([copy_of(flights / "may", tmp_path / "two" / "bridge" / "may").parents[1]], out, engine)
    after = read_snapshot(path)
    assert len(by_name(first)["bridge"]["recordings"]) == 1
    assert [each["name"] for each in by_name(second)["bridge"]["recordings"]] == ["one/bridge/march", "two/bridge/may"]
    assert {each.source for each in after.photographs} == {"one/bridge/march", "two/bridge/may"}
    states = reviews(after.decisions)
    assert states[rejected].verdict is Verdict.REJECTED
    assert (states[accepted].verdict, states[accepted].name) == (Verdict.ACCEPTED, "crest")
    assert {crack.id for crack in before.cracks[:2]} <= {crack.id for crack in after.cracks}
    # Without the new flight, the map is that of the first one again.
    left = survey([], out, engine, removed=["two/bridge/may"])
    assert [each["name"] for each in by_name(left)["bridge"]["recordings"]] == ["one/bridge/march"]
    assert len(list((out / "recordings").iterdir())) == 1
    again = read_snapshot(path)
    assert len(again.cracks) == len(before.cracks)
    assert {rejected, accepted} <= {crack.id for crack in again.cracks}
    assert reviews(again.decisions)[accepted].name == "crest"
    assert {each.file for each in again.photographs} == {each.file for each in before.photographs}


@pytest.mark.parametrize(("task", "ending"), [("process_part", ending_part), ("plan_recording", ending_plan)])
def test_survey_recording_that_ends_its_process_is_skipped_and_the_others_go_on(
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    task: str,
    ending: Any,
) -> None:
    monkeypatch.setattr(survey_run, task, ending)
    inputs = tmp_path / "in"
    copy_of(archive.recordings / "tower", inputs / "tower")
    copy_of(archive.recordings / "dam" / "left", inputs / "a" / "deadly flight")
    with local_engine(2) as own:
        summary = survey([inputs], tmp_path / "out", own)
    assert (summary["recordings"], summary["skipped"]) == (3, 1)
    (skipped,) = by_name(summary)["a"]["recordings"]
    assert "its process ended unexpectedly, also when it ran alone" in skipped["problem"]
    assert all(each["problem"] is None for each in by_name(summary)["tower"]["recordings"])
    assert summary["frames"] == 6
    assert "skipped: " in capsys.readouterr().err


def test_survey_names_that_are_not_utf8_are_readable_in_all_results(
    archive: Archive, engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "in" / os.fsdecode(b"B\xfccke")
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system refuses such names")
    shutil.copy(archive.recordings / "tower" / "east" / "photograph_0.jpg", folder / os.fsdecode(b"\xe4.jpg"))
    (folder / os.fsdecode(b"\xfc.jpg")).write_bytes(b"no picture")
    summary = survey([folder.parent], tmp_path / "out", engine)
    assert (summary["problems"], summary["frames"]) == (0, 1)
    assert list(by_name(summary)) == ["Bücke"]
    assert ">Bücke</a>" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    names, rows = Queried(str(tmp_path / "out")).rows("", "frames")
    assert [row[names.index("name")] for row in rows] == ["ä.jpg"]


def test_survey_remove_alone_needs_no_inputs_and_names_what_is_there(archive: Archive, tmp_path: Path) -> None:
    out = copy_of(archive.out, tmp_path / "out")
    command = ["survey", "--out", str(out), "--model", "nano", "--part", f"{PART_S:g}", "--workers", "1"]
    assert main([*command, "--remove", "tower"]) == 0
    assert "tower" not in {each.structure for each in read_registry(Storage(str(out))).entries}
    assert main([*command, "--remove", "tower"]) == 2
    assert main(command) == 2
