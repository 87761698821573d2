# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception report`` on a map file with photographs and decisions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reported_maps import write_bridge

from crack_perception.cli.demo import write_pdf_of_map
from crack_perception.cli.main import main

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
