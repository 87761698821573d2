# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception compare`` on map files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from survey_maps import WALL_M, Errors, Motion, split, surveyed, wall_lines

from crack_perception.cli.main import main
from crack_perception.mapping.evidence.decisions import Action, Decision, Verdict, reviews
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.report.comparison.document import COLUMNS

ERRORS = Errors(position_m=0.002, width_mm=0.01, tip_m=0.002)
MOTION = Motion()
NASTY = "<script>alert('ü')</script>"


def write_map(path: Path, cracks: list[MappedCrack], area_m: np.ndarray) -> Path:
    store = MapStore(path)
    store.save(cracks, (), 1000, [area_m])
    store.close()
    return path


@pytest.fixture
def maps(tmp_path: Path) -> tuple[Path, Path]:
    """Two surveys: crack 1 is 0.3 mm wider, 2 is gone, 3 is rejected, and a new one has number 115."""
    lines = wall_lines(np.random.default_rng(7), 5, 3)
    rng = np.random.default_rng(1)
    old = [surveyed(rng, index, line, 0.8, ERRORS) for index, line in enumerate(lines[:-1], 1)]
    new = [surveyed(rng, 100 + index, line, 0.8, ERRORS) for index, line in enumerate(lines, 1) if index != 2]
    new[0] = surveyed(rng, 101, lines[0], 1.1, ERRORS)
    later = [MOTION.crack(replace(crack, first_seen_ns=crack.first_seen_ns + 10**16)) for crack in new]
    paths = (
        write_map(tmp_path / "old.sqlite", old, WALL_M),
        write_map(tmp_path / "new.sqlite", later, MOTION.points(WALL_M)),
    )
    store = MapStore(paths[0])
    store.add_decision(Decision(3, Action.REJECT, {}, "Ada", 1))
    store.add_decision(Decision(1, Action.ACCEPT, {}, "Ada", 2))
    store.add_decision(Decision(1, Action.RENAME, {"name": NASTY}, "Ada", 3))
    store.close()
    return paths


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [value for name, value in attrs if name in ("src", "href")], "something from outside"


def test_compare_writes_files_that_agree(
    maps: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["compare", *map(str, maps), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "1 new, 1 grown" in printed and "1 gone" in printed
    assert "Alignment:" in printed and "rejected in the old survey" in printed
    document = json.loads((out / "comparison.json").read_text())
    assert (document["format"], document["version"]) == ("crack_perception/comparison", 1)
    by_status = {change["status"]: change for change in document["changes"]}
    assert by_status["grown"]["old_ids"] == [1] and by_status["gone"]["old_ids"] == [2]
    assert by_status["new"]["new_ids"] == [115]
    assert by_status["grown"]["width_change_mm"] == pytest.approx(0.3, abs=0.08)
    assert by_status["grown"]["width_growth_probability"] > 0.999
    assert by_status["grown"]["length_growth_probability"] < 0.975
    assert f"<td class=''>{by_status['grown']['length_growth_probability']:.1%}</td>" in (
        out / "comparison.html"
    ).read_text(encoding="utf-8")
    assert document["left_out"]["rejected_again"] == [{"new_id": 103, "old_id": 3}]
    assert document["alignment"]["heading_deg"] == pytest.approx(-MOTION.heading_deg, abs=0.5)
    with (out / "comparison.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["number"]) for row in rows] == [change["number"] for change in document["changes"]]
    layer = json.loads((out / "comparison.geojson").read_text())
    cracks = [feature for feature in layer["features"] if feature["properties"]["kind"] == "crack"]
    assert len(cracks) == len(rows)
    assert {feature["geometry"]["type"] for feature in layer["features"]} == {"MultiLineString"}
    drawing = ElementTree.parse(out / "comparison.svg").getroot()
    assert len([item for item in drawing.iter() if item.get("id", "").startswith("change-")]) == len(rows)
    assert cv2.imread(str(out / "comparison.png")).shape[1] > 1000


def test_compare_page_escapes_names_and_needs_nothing_from_outside(maps: tuple[Path, Path], tmp_path: Path) -> None:
    assert main(["compare", *map(str, maps), "--out", str(tmp_path), "--title", NASTY]) == 0
    text = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    tags = Tags(text).tags
    assert "script" not in tags and "svg" in tags
    assert "&lt;script&gt;alert(&#x27;ü&#x27;)" in text


def test_compare_carries_verdicts_only_on_request(maps: tuple[Path, Path], tmp_path: Path) -> None:
    assert main(["compare", *map(str, maps), "--out", str(tmp_path)]) == 0
    assert not read_snapshot(maps[1]).decisions
    assert main(["compare", *map(str, maps), "--out", str(tmp_path), "--carry-verdicts"]) == 0
    state = reviews(read_snapshot(maps[1]).decisions)
    assert state[101].verdict is Verdict.ACCEPTED and state[101].name == NASTY
    assert state[103].verdict is Verdict.REJECTED and len(state) == 2


def test_compare_applies_merges_and_splits_of_reviewers(tmp_path: Path) -> None:
    """The old crack 2 was mapped in two pieces far apart, which a reviewer has merged; the new crack 101 was cut."""
    lines = wall_lines(np.random.default_rng(7), 5, 3)
    rng = np.random.default_rng(1)
    old = [surveyed(rng, index, line, 0.8, ERRORS) for index, line in enumerate(lines, 1)]
    old[1:2] = split(old[1], 8, 7, 50)
    new = [MOTION.crack(surveyed(rng, 100 + index, line, 0.8, ERRORS)) for index, line in enumerate(lines, 1)]
    paths = (
        write_map(tmp_path / "old.sqlite", old, WALL_M),
        write_map(tmp_path / "new.sqlite", new, MOTION.points(WALL_M)),
    )
    for path, decision in (
        (paths[0], Decision(50, Action.MERGE, {"into": 2}, "Ada", 1)),
        (paths[1], Decision(101, Action.SPLIT, {"at_m": new[0].line_m[9].tolist(), "new_id": 900}, "Ada", 1)),
    ):
        store = MapStore(path)
        store.add_decision(decision)
        store.close()
    assert main(["compare", *map(str, paths), "--out", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "comparison.json").read_text())
    pairs = {tuple(change["old_ids"]): change["new_ids"] for change in document["changes"]}
    assert pairs[2,] == [102]
    assert sorted(pairs[1,]) == [101, 900]
    assert document["old"]["cracks"] == len(lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--confidence", "1.5"], "--confidence 1.5"),
        (["--offset-sigma", "0"], "--offset-sigma"),
        (["--offset-sigma", "1000"], "up to 5"),
        (["--heading-sigma", "nan"], "--heading-sigma is nan"),
        (["--offset", "0", "nan", "0"], "finite"),
        (["--heading", "inf"], "finite"),
    ],
)
def test_compare_wrong_option_refused(
    maps: tuple[Path, Path], tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, maps), "--out", str(tmp_path), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_compare_maps_without_common_cracks_refused_in_words(
    maps: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    line = np.linspace([0, 0, 0], [0.5, 0, 0.1], 26)
    other = write_map(tmp_path / "other.sqlite", [surveyed(rng, 1, line, 0.8, ERRORS)], WALL_M)
    assert main(["compare", str(maps[0]), str(other), "--out", str(tmp_path)]) == 1
    assert "--offset" in capsys.readouterr().err


def test_compare_empty_map_refused(maps: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = write_map(tmp_path / "empty.sqlite", [], WALL_M)
    assert main(["compare", str(maps[0]), str(empty), "--out", str(tmp_path)]) == 1
    assert "holds no crack" in capsys.readouterr().err
