# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Exit codes of every verb: 0 done, 1 the work found problems, 2 wrong usage; errors are one line without traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_model import write_tiny_model

from crack_perception.cli.main import VERBS, main

DONE = [
    "score --model tiny wall.png",
    "detect --model tiny --out found wall.png",
    "simulate --out flight --preset quick --width 64 --height 48 --duration 0.2 --cracks 1",
    "simulate --out photographs --photographs 1 --preset quick --width 64 --height 48 --duration 0.2 --cracks 1",
    "survey recorded --out archive --model tiny --workers 1",
    "models tiny",
]
PROBLEM = [
    "score --model tiny nowhere.png",
    "score --model tiny bad.png wall.png",
    "score --model broken wall.png",
    "detect --model tiny --out found bad.png",
    "detect --model tiny --out wall.png wall.png",
    "simulate --out wall.png --duration 1",
    "simulate --out flight2 --texture bad.png --texture-mm-per-px 1",
    "replay nowhere --out out",
    "replay bad.png --out out",
    "replay empty --out out",
    "demo --out out --texture nowhere.png --texture-mm-per-px 1",
    "join-log nowhere.ulg bad.png --out out --camera nowhere.yaml",
    "join-log bad.png bad.png --out out --camera bad.png",
    "map-photos . --out out --model tiny --camera bad.png --standoff 2",
    "map-photos nowhere --out out --model tiny --standoff 2",
    "map-photos empty --out out --model tiny --standoff 2",
    "map-photos . --out out --model tiny --standoff 2",
    "map-photos . --out out --model tiny --poses bad.png",
    "map-photos . --out out --model tiny --surface bad.yaml",
    "plan nowhere.sqlite",
    "plan bad.png",
    "desk nowhere.sqlite",
    "desk bad.png",
    "desk nowhere.sqlite --export-tiles out",
    "report nowhere.sqlite --out out",
    "report bad.png --out out",
    "orthophoto nowhere --map nowhere.sqlite --out out",
    "orthophoto bad.png --map bad.png --out out",
    "view nowhere.sqlite --out out.rrd",
    "view nowhere --out out.rrd",
    "view bad.png --out out.rrd",
    "compare nowhere.sqlite nowhere.sqlite --out out",
    "compare bad.png bad.png --out out",
    "mission nowhere.sqlite --out out.plan --origin-wgs84 48,11,500",
    "mission bad.png --out out.plan --origin-wgs84 48,11,500",
    "survey bad.mcap --out archive2 --model tiny --workers 1",
    "survey recorded --out archive3 --model broken",
    "survey recorded --out archive3 --model tiny --structures nowhere.csv",
    "query nowhere",
    "adapt tiny --tiles empty --out out",
    "models broken",
    "evaluate --data empty --model tiny",
    "benchmark --markdown nowhere.json",
    "soak --markdown nowhere.json",
]
USAGE = [
    "score --model unknown wall.png",
    "score --model empty wall.png",
    "score --backend unknown wall.png",
    "score --preset unknown wall.png",
    "score --gsd nan wall.png",
    "score --model tiny --out empty wall.png",
    "score --threshold 5 wall.png",
    "score --resume wall.png",
    "score empty",
    "score",
    "detect --model unknown wall.png",
    "detect --preset unknown --model tiny wall.png",
    "detect --gsd -1 --model tiny wall.png",
    "detect empty",
    "simulate --out flight3 --duration -1",
    "simulate --out flight3 --preset unknown",
    "simulate --out flight3 --texture-mm-per-px 1",
    "simulate",
    "replay flight --out out --model unknown",
    "replay flight --out out --preset unknown",
    "replay flight --out out --rate 0",
    "replay flight --out out --start -1",
    "replay flight --out out --duration 0",
    "replay flight --out out --min-width-px -1",
    "replay flight --out out --topic nonsense",
    "replay flight --out out --topic image=/nowhere",
    "replay flight",
    "orthophoto flight",
    "demo --out out --model unknown",
    "demo --out out --seconds 0",
    "demo --out out --seed -1",
    "replay flight --out out --require recall",
    "replay flight --out out --require unheard_of>=1",
    "replay flight --out out --variant one:model=nano",
    "replay flight --out out --variant one:model=unknown --variant two:model=nano",
    "join-log",
    "join-log a.ulg b.mp4 --out out",
    "join-log a.ulg b.mp4 --out out --camera c.yaml --mount here",
    "map-photos",
    "map-photos .",
    "map-photos . --out out --model unknown",
    "map-photos . --out out --model tiny --jobs -1",
    "map-photos . --out out --model tiny --scale 0",
    "map-photos . --out out --model tiny --origin here",
    "map-photos . --out out --model tiny --standoff -1",
    "map-photos . --out out --model tiny --threshold 2",
    "map-photos . --out out --model tiny --confirm-views 0",
    "map-photos . --out out --model tiny --preset unknown",
    "simulate --out photographs2 --photographs 0",
    "plan",
    "plan map.sqlite --preset unknown",
    "desk",
    "desk map.sqlite --preset unknown",
    "desk map.sqlite --port 70000",
    "desk map.sqlite --port -1",
    "report",
    "report map.sqlite",
    "report map.sqlite --out out --preset unknown",
    "report map.sqlite --out out --formats unknown",
    "report map.sqlite --out out --epsg -1 --origin 0,0,0",
    "view",
    "view map.sqlite --live",
    "view map.sqlite --out out.txt",
    "view map.sqlite --preset unknown",
    "view flight --duration 0",
    "view flight --start -1",
    "compare map.sqlite --out out",
    "compare map.sqlite map.sqlite",
    "compare map.sqlite map.sqlite --out out --preset unknown",
    "plan-flight",
    "plan-flight --width 0.2 --camera unknown",
    "mission map.sqlite",
    "mission map.sqlite --out out.plan",
    "survey",
    "survey recorded",
    "survey nowhere --out out",
    "survey empty --out out",
    "survey recorded --out out --model unknown",
    "survey recorded --out out --preset unknown",
    "survey recorded --out out --workers 0",
    "survey recorded --out out --part 0",
    "survey recorded --out out --evidence-mb -1",
    "survey recorded --out out --topic nonsense",
    "survey recorded --out out --model tiny --tls-ca wall.png",
    "query",
    "query empty --table unknown",
    "query empty --limit 0",
    "adapt",
    "adapt unknown --tiles empty --out out",
    "adapt tiny --out out",
    "models unknown",
    "models tiny empty",
    "evaluate --data empty --model unknown",
    "evaluate --data empty --split unknown",
    "train --data empty --out out --epochs 0",
    "train --data empty --out out --refit nano --student swift",
    "train --data empty --out out --teacher nano",
    "train --data empty --out out --start nano --weights weights.pt",
    "train --data empty --out out --start nano --student swift",
    "ablate --data empty --out out --epochs 0",
    "tables --data empty --out out --tables 9",
    "tables --data empty --out out --model unknown",
    "export --model unknown --out model.onnx",
    "export --model tiny --out model.txt",
    "benchmark",
    "benchmark --out out.json --model unknown",
    "benchmark --out out.json --seed -1",
    "benchmark --out out.json --parts unknown",
    "soak --minutes 0",
    "soak --size 99p",
    "soak --rate -1",
    "soak --model unknown",
    "soak --faults unknown",
    "build-engine --model unknown",
    "build-engine --batch 0",
    "build-engine --precision unknown",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a sound and a broken model, a picture, a file that is none, and an empty folder."""
    place = tmp_path_factory.mktemp("exit_codes")
    write_tiny_model(place / "tiny")
    broken = write_tiny_model(place / "broken")
    card = json.loads((broken / "card.json").read_text())
    (broken / next(iter(card["files"]))).write_bytes(b"damaged")
    assert cv2.imwrite(str(place / "wall.png"), np.full((64, 64, 3), 180, np.uint8))
    (place / "bad.png").write_bytes(b"no picture")
    (place / "bad.mcap").write_bytes(b"no recording")
    (place / "empty").mkdir()
    arguments = "simulate --preset quick --width 64 --height 48 --duration 0.2 --cracks 1 --out"
    assert main([*arguments.split(), str(place / "recorded")]) == 0
    return place


def exit_code(command: str) -> int:
    try:
        return main(command.split())
    except SystemExit as ended:  # raised by argparse
        return int(ended.code or 0)


CASES = [(command, code) for code, commands in enumerate((DONE, PROBLEM, USAGE)) for command in commands]


@pytest.mark.parametrize(("command", "code"), CASES)
def test_verb_ends_with_the_documented_exit_code(
    folder: Path, command: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    # Cases of one folder do not depend on the order in which they run.
    command = command.replace("replay flight ", "replay recorded ")
    assert exit_code(command) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert code != 2 or error.startswith(("usage: ", f"crack_perception {command.split()[0]}: "))


def test_exit_codes_every_verb_has_a_case_of_wrong_usage() -> None:
    assert {command.split()[0] for command in USAGE} == set(VERBS)


OPTIONAL = (
    *("av", "distributed", "duckdb", "ezdxf", "fsspec", "jinja2", "laspy", "onnx", "psutil", "pyarrow", "pyproj"),
    *("pyulog", "rawpy", "rclpy", "rerun", "rosbags", "scipy", "shapely", "sklearn", "starlette", "supervision"),
    *("tensorrt", "tifffile", "torch", "typst", "uvicorn", "xlsxwriter"),
)
"""Modules that the core installation lacks."""
NEEDS = {
    "replay flight --out out2": "crack_perception[replay]",
    "demo --out out2": "crack_perception[replay]",
    "soak": "crack_perception[replay]",
    "benchmark --out out2.json": "crack_perception[replay]",
    "simulate --out out2": "crack_perception[replay]",
    "join-log a.ulg b.mp4 --out out2 --camera c.yaml": "crack_perception[replay]",
    "report map.sqlite --out out2": "crack_perception[report]",
    "orthophoto flight --map map.sqlite": "crack_perception[report]",
    "desk map.sqlite": "crack_perception[desk]",
    "survey recorded --out out2": "crack_perception[survey]",
    "query out2": "crack_perception[survey]",
    "train --data empty --out out2": "crack_perception[train]",
    "ablate --data empty --out out2": "crack_perception[train]",
    "evaluate --data empty": "crack_perception[train]",
    "export --model tiny --out out2.tflite": "crack_perception[tflite]",
}
"""Command that needs more than the core installation -> what its error has to name."""


def test_verbs_in_core_installation_name_what_is_missing_without_traceback(folder: Path) -> None:
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL!r}))\n"
        "from crack_perception.cli.main import main\n"
        f"for line in {list(NEEDS)!r}:\n"
        "    sys.stderr.write(f'{main(line.split())} ')\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "crack_perception " in line]
    assert len(lines) == len(NEEDS), done.stderr
    for (line, named), shown in zip(NEEDS.items(), lines, strict=True):
        assert f"crack_perception {line.split()[0]}: " in shown and named in shown, shown
    assert done.stderr.endswith("1 ") and done.stderr.count("\n1 ") == len(NEEDS)


@pytest.mark.parametrize(
    ("extra", "modules"),
    [
        ("desk", ("desk.server", "desk.tiles")),
        ("report", ("report.contents", "report.writing")),
        ("survey", ("survey.run", "survey.tasks", "survey.structure_map", "survey.page")),
    ],
)
def test_extra_alone_is_enough_to_import_what_its_verb_runs(extra: str, modules: tuple[str, ...]) -> None:
    needs = [text.replace("'", '"') for text in metadata.requires("crack_perception") or ()]
    brings = {re.split(r"[^\w]", text)[0].lower() for text in needs if f'extra == "{extra}"' in text}
    assert brings & set(OPTIONAL)
    lacks = [name for name in OPTIONAL if name not in brings]
    program = f"import importlib, sys; sys.modules.update(dict.fromkeys({lacks!r}))\n" + "".join(
        f"importlib.import_module('crack_perception.{module}')\n" for module in modules
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_verb_with_a_package_that_nothing_checked_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "crack_perception.planning.calculator", None)
    with pytest.raises(ModuleNotFoundError):
        main(["plan-flight", "--width", "0.2", "--camera", "1000,1920,1080"])
    monkeypatch.delitem(sys.modules, "crack_perception.planning.calculator")
    monkeypatch.setattr("crack_perception.planning.cameras.camera_of", _needs_a_package)
    assert main(["plan-flight", "--width", "0.2", "--camera", "1000,1920,1080"]) == 1
    assert capsys.readouterr().err == (
        "crack_perception plan-flight: this needs scikit-learn, which is not installed. "
        "Install it with: pip install scikit-learn\n"
    )


def _needs_a_package(text: str) -> object:
    raise ModuleNotFoundError("No module named 'sklearn.svm'", name="sklearn.svm")
