# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception mission`` and ``plan-flight``."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from inspected_views import wall_view
from map_cracks import straight_crack

from crack_perception.cli.main import main
from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.export.geographic import GeographicOrigin, write_origin
from crack_perception.mapping.storage.database import MapStore

UNDETERMINED = straight_crack(width_mm=np.full(3, 0.41))
ORIGIN = ["--origin-wgs84", "48.1,11.5,560"]


@pytest.fixture
def covered_map(tmp_path: Path) -> Path:
    """A wall seen at 2 mm/px with an undetermined crack and a rejected one."""
    path = tmp_path / "map.sqlite"
    coverage = Coverage()
    coverage.add(wall_view())
    with closing(MapStore(path)) as store:
        store.save([UNDETERMINED, replace(UNDETERMINED, id=2)], coverage=coverage.take_changes())
        store.add_decision(Decision(2, Action.REJECT, {}, "Ada", 1))
    return path


def test_mission_is_written_in_both_formats(covered_map: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, waypoints = covered_map.with_suffix(".plan"), covered_map.with_suffix(".waypoints")
    for path in (plan, waypoints):
        assert main(["mission", str(covered_map), "--out", str(path), "--width", "1.5", *ORIGIN]) == 0
    assert "poses" in capsys.readouterr().out
    flown = [item for item in json.loads(plan.read_text())["mission"]["items"] if item["command"] == 16]
    rows = [line.split("\t") for line in waypoints.read_text().splitlines()[1:]]
    assert len(flown) >= 4 and len([row for row in rows if row[3] == "16"]) == len(flown) + 1
    assert flown[0]["params"][4] == pytest.approx(48.1, abs=1e-3)


def test_mission_targets_are_chosen(covered_map: Path) -> None:
    counts = {}
    for targets in ("cracks", "areas", "all"):
        path = covered_map.with_name(f"{targets}.plan")
        arguments = ["--width", "1.5", "--preset", "fine", "--standoff", "0.2", "--targets", targets]
        assert main(["mission", str(covered_map), "--out", str(path), *arguments, *ORIGIN]) == 0
        counts[targets] = path.read_text().count('"command": 16,')
    assert 0 < counts["cracks"] < counts["all"] and 0 < counts["areas"] < counts["all"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--origin-wgs84"),
        (["--origin-wgs84", "48"], 2, "three numbers"),
        (["--origin-wgs84", "148,11,5"], 1, "latitude"),
        (["--heading", "0"], 2, "--origin-wgs84"),
        ([*ORIGIN, "--home", "1"], 2, "two numbers"),
        ([*ORIGIN, "--home-height", "nan"], 2, "--home-height"),
        (["--origin-wgs84", "48,11,5335000"], 1, "altitude"),
        ([*ORIGIN, "--home", "1e7,0"], 2, "within 20 km"),
        ([*ORIGIN, "--home-height", "1e9"], 2, "--home-height"),
        ([*ORIGIN, "--width", "0"], 2, "--width"),
        ([*ORIGIN, "--hold", "inf"], 2, "--hold is inf"),
        ([*ORIGIN, "--hold=-5"], 2, "--hold"),
        ([*ORIGIN, "--speed", "100"], 2, "from 0.05 to 20 m/s"),
        ([*ORIGIN, "--gimbal-up", "nan"], 2, "--gimbal-up"),
        ([*ORIGIN, "--standoff", "0.001"], 2, "--standoff"),
        ([*ORIGIN, "--standoff", "50"], 1, "resolves 75 mm from --standoff 50 m, and areas need --width 0.3 mm"),
        ([*ORIGIN, "--camera", "unknown"], 2, "dji-mavic-3e"),
        ([*ORIGIN, "--width", "9"], 1, "nothing is open"),
    ],
)
def test_mission_refuses_with_the_reason(
    covered_map: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    out = covered_map.with_suffix(".plan")
    assert main(["mission", str(covered_map), "--out", str(out), "--targets", "areas", *arguments]) == code
    assert words in capsys.readouterr().err and not out.exists()


def test_mission_uses_the_place_beside_the_map_and_asks_for_the_height_of_the_take_off(
    covered_map: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_origin(covered_map, GeographicOrigin(47.5, 9.25, 540.0, 90.0))
    out = covered_map.with_suffix(".plan")
    arguments = ["mission", str(covered_map), "--out", str(out), "--width", "1.5"]
    for place in ([], ORIGIN):
        assert main([*arguments, *place]) == 2
        assert "--home-height" in capsys.readouterr().err and not out.exists()
    assert main([*arguments, "--heading", "0", "--home-height", "0"]) == 2
    assert "its own heading" in capsys.readouterr().err
    assert main([*arguments, "--home-height=-20.5", "--home=0,-5"]) == 0
    mission = json.loads(out.read_text())["mission"]
    # 5 m to the south of the origin.
    assert mission["plannedHomePosition"] == pytest.approx([47.5 - 5 / 111_180, 9.25, 519.5], abs=1e-6)
    heights = [item["Altitude"] for item in mission["items"] if item["command"] == 16]
    # The wall is seen around a height of 1.5 m of the map.
    assert heights and all(20.5 < height < 24.0 for height in heights)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--home=0,-5000"], "m away from the take-off place"), (["--home-height=-300"], "302 m above")],
)
def test_mission_far_from_the_take_off_is_warned_of(
    covered_map: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    out = str(covered_map.with_suffix(".plan"))
    assert main(["mission", str(covered_map), "--out", out, "--width", "1.5", *ORIGIN, *arguments]) == 0
    assert words in capsys.readouterr().err


def test_mission_through_the_wall_is_warned_of(covered_map: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["mission", str(covered_map), "--out", str(covered_map.with_suffix(".plan")), "--width", "1.5", *ORIGIN]
    assert main([*arguments, "--home=0,5"]) == 0
    shown = capsys.readouterr().err
    assert "from above the take-off place to pose 1" in shown and "RTL_ALT" in shown
    assert main([*arguments, "--home=0,-5"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_mission_of_a_map_without_camera_needs_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old.sqlite"
    with closing(MapStore(path)) as store:
        store.save([UNDETERMINED])
    out = str(tmp_path / "out.plan")
    arguments = ["mission", str(path), "--out", out, "--preset", "fine", "--standoff", "0.2", *ORIGIN]
    assert main(arguments) == 1
    assert "--camera" in capsys.readouterr().err
    assert main([*arguments, "--camera", "dji-zenmuse-p1-35mm"]) == 0


def test_plan_flight_prints_the_table_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "flight.svg"
    arguments = ["plan-flight", "--camera", "5000,4000,3000", "--width", "0.3", "--area", "10x5"]
    assert main([*arguments, "--shutter", "1/500", "--out", str(picture)]) == 0
    lines = capsys.readouterr().out
    assert "Standoff                  1.00 m" in lines and "1/500 s" in lines
    ElementTree.parse(picture)
    sensor = ["--sensor-mm", "35.9", "--focal-mm", "35", "--image", "8192x5460"]
    assert main(["plan-flight", "--width", "0.2", *sensor]) == 0
    assert "Standoff                  1.06 m" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--width", "0.3"],
        ["--width", "0.3", "--camera", "unknown"],
        ["--width", "-1", "--camera", "dji-mavic-3e"],
        ["--width", "0.01", "--camera", "1000,1920,1080", "--area", "500x200"],
        ["--width", "0.3", "--camera", "dji-mavic-3e", "--area", "10"],
        ["--width", "0.3", "--camera", "dji-mavic-3e", "--focal-mm", "35"],
        ["--width", "0.3", "--camera", "dji-mavic-3e", "--out", "flight.png"],
    ],
)
def test_plan_flight_wrong_arguments_are_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan-flight", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
