# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception report`` on a map file with photographs and decisions."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reported_maps import write_bridge
from survey_maps import WALL_M, Errors, surveyed, wall_lines

from crack_perception.cli.demo import write_pdf_of_map
from crack_perception.cli.main import main
from crack_perception.mapping.storage.database import MapStore

pytest.importorskip("typst", reason="the extra `report` is not installed: run scripts/setup")


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bridge") / "map.sqlite"
    write_bridge(path, count=3, photographs_each=1)
    return path


def test_report_writes_all_formats_and_prints_them(
    tmp_path: Path, bridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    place = ["--epsg", "25832", "--origin", "691000,5335000,512.3", "--heading", "45"]
    assert main(["report", str(bridge), "--out", str(out), "--title", "Pier 7", *place]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "coco.json",
        "coverage.geojson",
        "cracks.csv",
        "cracks.geojson",
        "cracks.gpkg",
        "cracks.kml",
        "cracks.xlsx",
        "cracks_3d.dxf",
        "cracks_elevations.dxf",
        "photographs",
        "report.html",
        "report.pdf",
    ]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "2 cracks, 1 rejected one left out"
    assert all(Path(line.split(maxsplit=1)[1]).exists() for line in printed[1:])


def test_demo_ends_with_the_pdf_of_its_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bridge(tmp_path / "map" / "crack_map.sqlite", count=3, photographs_each=1)
    write_pdf_of_map(tmp_path, "aashto")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert capsys.readouterr().out.split(maxsplit=1) == ["PDF", f"{tmp_path / 'report.pdf'}\n"]


def test_report_without_a_place_leaves_kml_out(tmp_path: Path, bridge: Path) -> None:
    assert main(["report", str(bridge), "--out", str(tmp_path), "--formats", "geojson,csv"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cracks.csv", "cracks.geojson"]
    units = json.loads((tmp_path / "cracks.geojson").read_text(encoding="utf-8"))["crack_perception"]["units"]
    assert units == "m"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--formats", "docx"], "there is no format 'docx'"),
        (["--formats", "kml"], "--origin-wgs84"),
        (["--epsg", "25832"], "has no origin"),
        (["--origin", "1,2,3"], "no coordinate system"),
        (["--epsg", "25832", "--origin", "1,2"], "not three numbers"),
        (["--origin", "1,2,3", "--origin-wgs84", "1,2,3"], "two origins"),
        (["--preset", "none"], "no severity preset"),
        (["--photographed", "-5"], "--photographed is -5"),
        (["--fonts", "nowhere"], "nowhere: is no folder with fonts"),
        (["--origin-wgs84", "91,0,0"], "no latitude"),
    ],
)
def test_report_wrong_options_are_refused_before_anything_is_written(
    tmp_path: Path, bridge: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["report", str(bridge), "--out", str(tmp_path / "out"), *options]) in (1, 2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_report_missing_map_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none.sqlite"), "--out", str(tmp_path / "out")]) == 1
    assert "none.sqlite" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_report_warns_of_letters_without_a_font(
    tmp_path: Path, bridge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    title = "Pier \U0010fffd"
    assert main(["report", str(bridge), "--out", str(tmp_path), "--formats", "pdf", "--title", title]) == 0
    assert "no font" in capsys.readouterr().err


def test_report_with_an_earlier_map_has_the_changes(tmp_path: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio", reason="pyogrio is not installed: run scripts/setup")
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: run scripts/setup")
    lines, rng = wall_lines(np.random.default_rng(7), 4, 2), np.random.default_rng(1)
    errors = Errors(position_m=0.002, width_mm=0.01, tip_m=0.002)
    for name, first_id, wider_mm in (("old", 1, 0.0), ("new", 101, 0.4)):
        cracks = [
            surveyed(rng, first_id + index, line, 0.8 + (wider_mm if index == 0 else 0.0), errors)
            for index, line in enumerate(lines)
        ]
        cracks = [replace(crack, first_seen_ns=crack.first_seen_ns + first_id * 10**15) for crack in cracks]
        with closing(MapStore(tmp_path / f"{name}.sqlite")) as store:
            store.save(cracks, (), 1000, [WALL_M])
    out = tmp_path / "out"
    compared = ["--compare", str(tmp_path / "old.sqlite"), "--formats", "pdf,html,gpkg"]
    assert main(["report", str(tmp_path / "new.sqlite"), "--out", str(out), *compared]) == 0
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(out / "report.pdf").pages)
    page = (out / "report.html").read_text()
    for document in (text, page):
        assert "Changes since the earlier survey" in document
        assert f"{len(lines)} cracks: 1 grown, {len(lines) - 1} unchanged" in document
    table = pyogrio.raw.read(out / "cracks.gpkg", layer="changes")
    fields = dict(zip(table[0]["fields"], table[3], strict=True))
    assert fields["old_ids"][0] == "1" and fields["status"][0] == "grown"
    assert fields["width_change_mm"][0] == pytest.approx(0.4, abs=0.06)
