# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the import rules between the rooms of docs/architecture.md, for the imports in every module."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = "crack_perception"
ROOT = Path(__file__).resolve().parents[1] / "src" / PACKAGE
EVERYBODYS = {
    "cores",
    "documents",
    "errors",
    "interrupts",
    "memory",
    "middleware",
    "parameter_files",
    "paths",
    "processes",
}
"""Modules at the top of the package that every room may import."""

CORE = {"vision", "recognition", "geometry", "mapping", "inspection"}
MAY_IMPORT: dict[str, set[str]] = {
    "vision": set(),
    "recognition": {"vision"},
    "geometry": set(),
    "mapping": {"geometry", "recognition"},
    "inspection": {"vision", "recognition", "geometry", "mapping"},
    "ros": CORE,
    "report": CORE | {"evaluation"},
    "photographs": CORE,
    "simulation": CORE,
    "evaluation": CORE | {"simulation"},
    "training": CORE | {"simulation", "evaluation"},
    "desk": CORE | {"report"},
    "planning": CORE,
    "survey": CORE | {"ros", "report", "evaluation", "photographs"},
    "cli": CORE
    | {"ros", "report", "simulation", "evaluation", "training", "desk", "planning", "photographs", "survey"},
}
"""Room -> the other rooms whose modules it may import."""

MAY_IMPORT_MODULE: dict[str, set[str]] = {
    # Orthophotos are made from recordings, whose topics are found as for a replay.
    "report": {
        "evaluation.recordings.bag",
        *("evaluation.recordings.definitions", "evaluation.recordings.images"),
        *("evaluation.recordings.messages", "evaluation.recordings.poses"),
        "evaluation.replay.input_topics",
        "evaluation.replay.plan",
        "evaluation.replay.static_transforms",
    },
    # Where orthophotos lie, and nothing that makes them; the classes of resolution, as in the documents.
    "desk": {"report.coverage", "report.orthophoto.index"},
    "training": {"simulation.wall.crack_rendering", "evaluation.metrics.classification"},
    # What the node does with messages, without ROS; how recordings are read; what has grown.
    "survey": {
        *("ros.common.health", "ros.common.severity_parameters", "ros.common.stamps"),
        *("ros.detector.camera_infos", "ros.detector.image_conversion"),
        *("ros.detector.parameter_specs", "ros.detector.parameters"),
        *("ros.detector.pose_messages", "ros.detector.processor", "ros.detector.surface_sources"),
        "ros.detector.timing",
        *("evaluation.recordings.bag", "evaluation.recordings.definitions"),
        *("evaluation.recordings.location", "evaluation.recordings.messages"),
        "evaluation.replay.plan",
        *("report.comparison.alignment", "report.comparison.changes", "report.comparison.survey"),
    },
}
"""Room -> single modules of other rooms that it may import."""

TORCH = {"torch", "torchvision"}
TRAINING_TOOLS = TORCH | {"onnx", "sklearn", "joblib"}
ROS_CLIENT = {"rclpy", "builtin_interfaces", "std_srvs", "rcl_interfaces", "tf2_ros", "cv_bridge", "rosidl_runtime_py"}
PICKLES = {"pickle", "dill", "cloudpickle", "marshal", "shelve"}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def all_modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def names_in(source: str, package: list[str]) -> Iterator[str]:
    """Yield the dotted names that a module of this package imports, including those inside functions.

    ``from a.b import c`` yields ``a.b.c``, because ``c`` may be a module; relative names are made absolute.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            parts = [*base, *([node.module] if node.module else [])]
            yield from (".".join([*parts, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            argument = node.args[0]
            if isinstance(argument, ast.Constant):
                yield str(argument.value)


def imported_names(path: Path) -> list[str]:
    """Return the imports of the module at this path, as from ``names_in``."""
    return list(names_in(path.read_text(encoding="utf-8"), [PACKAGE, *path.relative_to(ROOT).parent.parts]))


def outside(path: Path) -> set[str]:
    """Return the external top-level packages that a module imports."""
    return {name.split(".")[0] for name in imported_names(path)} - {PACKAGE, "__future__"}


def is_ros(top_level: str) -> bool:
    return top_level in ROS_CLIENT or top_level.endswith("_msgs")


def described(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def offenders(paths: list[Path], is_forbidden: Callable[[str], bool]) -> list[str]:
    return [
        f"{described(path)} imports {name}" for path in paths for name in sorted(outside(path)) if is_forbidden(name)
    ]


def test_names_in_finds_imports_anywhere() -> None:
    source = """
import a.b
def lazily():
    from c import d
    from . import e
    from ..f.g import h
    importlib.import_module("i.j")
if TYPE_CHECKING:
    import k
"""
    expected = {"a.b", "c.d", "top.room.e", "top.f.g.h", "i.j", "k"}
    assert set(names_in(source, ["top", "room"])) == expected


def test_rooms_all_have_import_rules() -> None:
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_room_imports_only_allowed_rooms(room: str) -> None:
    wrong = []
    for path in modules(room):
        for name in imported_names(path):
            parts = name.split(".")
            if parts[0] != PACKAGE or len(parts) == 1 or parts[1] in EVERYBODYS | {"__version__"}:
                continue
            target = parts[1]
            narrowed = {module for module in MAY_IMPORT_MODULE.get(room, set()) if module.startswith(f"{target}.")}
            allowed = target == room or (
                target in MAY_IMPORT[room] and (not narrowed or ".".join(parts[1:4]) in narrowed)
            )
            if not allowed:
                wrong.append(f"{described(path)} imports {name}")
    assert wrong == []


def test_top_level_modules_import_no_room() -> None:
    for module in sorted(EVERYBODYS):
        names = [name for name in imported_names(ROOT / f"{module}.py") if name.startswith(PACKAGE)]
        assert {name.split(".")[1] for name in names} <= EVERYBODYS


def test_packages_have_a_door_that_names_existing_modules() -> None:
    """The docstring of a package says which of its modules other rooms use."""
    for door in sorted(ROOT.rglob("__init__.py")):
        text = ast.get_docstring(ast.parse(door.read_text(encoding="utf-8")))
        assert text, f"{described(door)} has no docstring"
        uses = re.search(r"(?:Other rooms use|For other rooms:)(.*?)(?:\.\s|\.$)", text, re.DOTALL)
        for name in re.findall(r"``([a-z_0-9]+)[a-z_0-9.]*``", uses.group(1) if uses else ""):
            named = door.parent / name
            assert named.is_dir() or named.with_suffix(".py").is_file(), f"{described(door)} names {name}"


def test_core_imports_no_ros_or_training() -> None:
    paths = [path for room in sorted(CORE) for path in modules(room)]
    assert paths
    assert offenders(paths, lambda name: is_ros(name) or name in TRAINING_TOOLS or name == "rosbags") == []


def test_rclpy_imported_only_by_ros_and_evaluation() -> None:
    paths = [path for path in all_modules() if path.relative_to(ROOT).parts[0] not in ("ros", "evaluation")]
    assert offenders(paths, is_ros) == []


def test_torch_imported_only_by_training() -> None:
    paths = [path for path in all_modules() if path.relative_to(ROOT).parts[0] != "training"]
    assert offenders(paths, TORCH.__contains__) == []


def test_nodes_import_no_offline_package() -> None:
    paths = [path for room in sorted(CORE | {"ros"}) for path in modules(room)]
    assert offenders(paths, (TRAINING_TOOLS | {"rosbags", "scipy", "matplotlib"}).__contains__) == []


def test_package_imports_no_pickle() -> None:
    assert offenders(all_modules(), PICKLES.__contains__) == []


@pytest.mark.parametrize("room", sorted(CORE | {"survey"}))
def test_core_room_import_loads_no_ros_or_torch(room: str) -> None:
    names = [".".join([PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]) for path in modules(room)]
    names = [name.removesuffix(".__init__") for name in names]
    program = (
        f"import importlib, sys\n[importlib.import_module(name) for name in {names!r}]\n"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert PACKAGE in loaded
    assert {name for name in loaded if is_ros(name) or name in TORCH} == set()
