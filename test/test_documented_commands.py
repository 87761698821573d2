# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The commands of the documentation: all of them are checked for what they name, those of the tutorials are run.

CRACK_PERCEPTION_WHOLE_TUTORIALS=1 runs the tutorials as they stand, which takes minutes, instead of with short flights.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from documented_commands import (
    PROGRAMS,
    ROOT,
    Command,
    all_parameters,
    blocks_of,
    commands_of,
    inline_commands_of,
    inline_problem_with,
    launch_arguments,
    problem_with,
    profile_keys,
)
from inspected_views import wall_view
from review_maps import wall_map

from crack_perception.mapping.coverage.coverage import Coverage
from crack_perception.mapping.evidence.photograph import photograph_folder
from crack_perception.mapping.storage.database import MapStore

pytest.importorskip("rclpy", reason="no ROS 2 environment: run scripts/setup")

PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
IDS = [path.name for path in PAGES]
WHOLE = bool(os.environ.get("CRACK_PERCEPTION_WHOLE_TUTORIALS"))
PATIENCE_S = 1200 if WHOLE else 300

OF_OTHERS = {"camera_namespace"}
"""Parameters of other packages that the pages mention."""

SMALLER = {
    "simulate": ("--duration", "3", "--fps", "5", "--width", "1280", "--height", "720"),
    "simulate photographs": ("--duration", "2", "--fps", "2", "--passes", "1", "--photographs", "1"),
}
"""Arguments that are appended, so that the tutorials take seconds."""


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_commands_of_a_page_name_what_exists(path: Path) -> None:
    problems = [f"{command} ({problem})" for command in commands_of(path) if (problem := problem_with(command))]
    problems += [
        f"{command} ({problem})" for command in inline_commands_of(path) if (problem := inline_problem_with(command))
    ]
    assert problems == []


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_topics_of_a_page_are_in_the_reference(path: Path) -> None:
    reference = (ROOT / "docs" / "topics.md").read_text(encoding="utf-8")
    known = set(re.findall(r"`(~/[\w/]+)`", reference))
    named = set(re.findall(r"`(~/[\w/]+)`", path.read_text(encoding="utf-8")))
    assert {re.sub(r"_(N|\d+)$", "", topic) for topic in named} <= {re.sub(r"_(N|\d+)$", "", name) for name in known}


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_assignments_of_a_page_name_parameters_and_arguments(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    launch = set(launch_arguments("drone.launch.py")) | set(launch_arguments("replay.launch.py"))
    assigned = set(re.findall(r"`([a-z]\w+(?:\.\w+)?):=", text))
    assert assigned - launch - all_parameters() == set()
    written = set(re.findall(r"`([a-z]\w+_\w+(?:\.\w+)?): [^`]+`", text))
    assert written - all_parameters() - profile_keys() - OF_OTHERS == set()


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_files_of_a_page_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:config|docker|examples|launch|rviz|scripts)/[\w./-]*\w)`", text))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("crack_perception simulat --out x", "unknown verb simulat"),
        ("crack_perception simulate --out x --lenght 2", "simulate has no --lenght"),
        ("crack_perception simulate --ou x", "simulate has no --ou"),
        ("crack_perception simulate", "the following arguments are required: --out"),
        ("crack_perception simulate --preset grand --out x", "invalid choice: 'grand'"),
        ("ros2 launch crack_perception dron.launch.py", "no launch file"),
        ("ros2 launch crack_perception drone.launch.py stak:=px4", "has no argument stak"),
        ("ros2 launch crack_perception drone.launch.py stack:=px5", "no stack px5"),
        ("ros2 launch crack_perception drone.launch.py mapper:=perhaps", "mapper is one of"),
        ("ros2 run crack_perception crack_node --ros-args -p modell:=nano", "has no parameter modell"),
        ("ros2 run crack_perception cracker", "no executable cracker"),
        ("ros2 run nav2 manager --params-file SHARE/config/nav3.yaml", "no file"),
        ("docker build -f docker/moon.Dockerfile .", "no file docker/moon.Dockerfile"),
        ("python examples/read_maps.py x", "no file examples/read_maps.py"),
        ("python scripts/adaptation_figures.py --datum x", "has no --datum"),
        ("python -m pytest test/test_moon.py", "no file test/test_moon.py"),
        ("pip install 'crack_perception[desktop]'", "no extra desktop"),
        ("scripts/setup --with-traning", "has no --with-traning"),
        ("crack-perception simulate --out x", "unknown program"),
    ],
)
def test_command_with_a_wrong_name_is_found(line: str, problem: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```\ncd x\n{line}\n```\n")
    _, command = commands_of(page)
    assert problem in problem_with(command)


def test_commands_of_blocks_are_complete_and_others_are_none(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```\nscripts/demo    # comment\nA=1 colcon build && ros2 launch crack_perception \\\n  drone.launch.py\n```\n"
        "```\n camera ──► frame\n```\n```yaml\nscripts: x\n```\n1. text\n   ```sh\n   cd x\n   ```\n"
    )
    assert [command.words for command in commands_of(page)] == [
        ("scripts/demo",),
        ("colcon", "build"),
        ("ros2", "launch", "crack_perception", "drone.launch.py"),
        ("cd", "x"),
    ]
    assert commands_of(page)[1].environment == ("A=1",)


# Run


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of a clone that the tutorials use."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("config", "examples", "models", "scripts"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def reason_to_skip(command: Command) -> str:
    """Return why a command of a tutorial is not run here; empty where it is."""
    if command.program in ("source", "pip"):
        return "the environment is there"
    if command.words[:2] == ("crack_perception", "view"):
        if "--out" not in command.words:
            return "it opens a window"
        if importlib.util.find_spec("rerun") is None:
            return "rerun-sdk is not installed"
    return ""


def run(command: Command, folder: Path) -> str:
    """Run a command of a tutorial and return its output."""
    words = list(command.words)
    assert words[0] in PROGRAMS
    if words[0] == "python":
        words[0] = sys.executable
    if words[0] == "crack_perception":
        words[:1] = [sys.executable, "-m", "crack_perception.cli.main"]
        verb = " ".join([command.words[1], *({"photographs"} if "--photographs" in command.words else ())])
        words += [] if WHOLE else SMALLER.get(verb, ())
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def follow(page: str, folder: Path, prepare: Callable[[Command], None] = lambda command: None) -> list[str]:
    """Run the commands of a page in order; return the verbs and scripts that were run."""
    followed = []
    for command in commands_of(ROOT / "docs" / page):
        if not reason_to_skip(command):
            prepare(command)
            run(command, folder)
            followed.append(command.words[1])
    return followed


@pytest.mark.slow
def test_tutorial_is_followed_line_by_line(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert follow("tutorial.md", clone)[:3] == ["simulate", "replay", "examples/read_map.py"]
    made = clone / "build" / "tutorial" / "replay"
    table = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.MULTILINE)
    files = [name for cell in table for name in re.findall(r"`([^`]+)`", cell)]
    assert len(files) >= 8 and [name for name in files if not (made / name).is_file()] == []
    assert (clone / "severe_cracks.geojson").is_file() and (clone / "severe_cracks.csv").is_file()
    monkeypatch.chdir(clone)
    for block in blocks_of(ROOT / "docs" / "tutorial.md", ["python"]):
        runpy.run_path(_written(tmp_path, block))


@pytest.mark.slow
def test_photographs_report_and_mission_are_followed_line_by_line(tmp_path: Path) -> None:
    """The page ends with the photographs to try it with; coverage.md goes on with their map, and with one of a wall."""

    def surface_of_the_flight() -> None:
        (surface,) = json.loads((tmp_path / "photographs" / "truth.json").read_text(encoding="utf-8"))["surfaces"]
        (block,) = [text for text in blocks_of(ROOT / "docs" / "photographs.md", ["yaml"]) if "# wall.yaml" in text]
        settings = yaml.safe_load(block)
        normal = surface["normal"]
        distance_m = sum(n * p for n, p in zip(normal, surface["origin_m"], strict=True))
        settings["map_planes"]["equations"] = [*map(float, normal), distance_m]
        (tmp_path / "wall.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")

    *mapping, simulate = commands_of(ROOT / "docs" / "photographs.md")
    run(simulate, tmp_path)
    surface_of_the_flight()
    (tmp_path / "photographs").rename(tmp_path / "survey")
    for command in mapping:
        if not reason_to_skip(command):
            run(command, tmp_path)
    assert (tmp_path / "mapped" / "crack_map.origin.json").is_file() and (tmp_path / "report").is_dir()
    (tmp_path / "wall").mkdir()
    wall = wall_map(tmp_path / "wall")
    coverage = Coverage()
    coverage.add(wall_view(standoff_m=4.0))
    with closing(MapStore(wall)) as store:
        store.save((), coverage=coverage.take_changes())
    shutil.copy(wall, tmp_path / "crack_map.sqlite")
    shutil.copytree(photograph_folder(wall), photograph_folder(tmp_path / "crack_map.sqlite"))
    shutil.rmtree(tmp_path / "report")
    assert follow("report.md", tmp_path) == ["report"]
    assert follow("coverage.md", tmp_path) == ["mission", "mission", "plan-flight"]
    for name in ("report/report.pdf", "report/report.html", "revisit.plan", "flight.svg"):
        assert (tmp_path / name).stat().st_size > 1000


def test_python_of_the_quick_start_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "docs" / "annotated_frame.jpg", tmp_path / "wall.jpg")
    monkeypatch.chdir(tmp_path)
    for page in (ROOT / "docs" / "quick_start.md", ROOT / "README.md"):
        (block,) = blocks_of(page, ["python"])
        names = runpy.run_path(_written(tmp_path, block))
        assert names["annotated"].shape[2:] == (3,)


def _written(folder: Path, block: str) -> str:
    (folder / "block.py").write_text(block, encoding="utf-8")
    return str(folder / "block.py")
