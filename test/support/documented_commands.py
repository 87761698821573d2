# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Shell commands of the documentation, and checks of what they name: verbs, options, launch arguments, parameters."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import re
import shlex
import sys
import textwrap
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from crack_perception.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]
SHELL = ("", "sh", "bash", "shell", "console")
SHARE = "SHARE"
"""Stands for the installed folder of the package, which pages write as a command substitution."""

_SHARE = "$(ros2 pkg prefix --share crack_perception)"
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_ASSIGNMENT = re.compile(r"^[A-Z_]+=")
_NODES = {"crack_node": "detector", "crack_mapper": "mapper", "px4_transforms": "px4"}


@dataclass(frozen=True)
class Command:
    """One command of a page.

    Attributes:
        page: Name of the file.
        words: Program and arguments, without comments and assignments to the environment.
        environment: Assignments before the program.
    """

    page: str
    words: tuple[str, ...]
    environment: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        return self.words[0]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def blocks_of(page: Path, languages: Sequence[str]) -> list[str]:
    """Return the fenced blocks of a page in these languages."""
    text = page.read_text(encoding="utf-8")
    return [textwrap.dedent(block) for _, language, block in _BLOCK.findall(text) if language in languages]


def commands_of(page: Path) -> list[Command]:
    """Return the commands of a page's shell blocks in order; blocks of other content have none."""
    commands = []
    for block in blocks_of(page, SHELL):
        lines = block.replace("\\\n", " ").replace(_SHARE, SHARE).splitlines()
        found = [command for line in lines for command in _commands_in(page.name, line)]
        if found and found[0].program in PROGRAMS:
            commands += found
    return commands


def inline_commands_of(page: Path) -> list[Command]:
    """Return the commands of this package that stand in a page's text."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    commands = []
    for code in _INLINE.findall(text):
        if code.startswith(("crack_perception ", "ros2 launch crack_perception ", "ros2 run crack_perception ")):
            commands += _commands_in(page.name, code.replace("\\|", "|"))
    return commands


def _commands_in(page: str, line: str) -> Iterator[Command]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # no shell: prose or a diagram with a quotation mark
        return
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "&&":
            parts.append([])
        else:
            parts[-1].append(word)
    for part in parts:
        first = next((index for index, word in enumerate(part) if not _ASSIGNMENT.match(word)), len(part))
        if part[first:]:
            yield Command(page, tuple(part[first:]), tuple(part[:first]))


def problem_with(command: Command) -> str:
    """Return what a command names that does not exist; empty where everything does."""
    if "..." in command.words:
        return inline_problem_with(command)
    check = PROGRAMS.get(command.program)
    return f"unknown program {command.program}" if check is None else check(command.words)


def inline_problem_with(command: Command) -> str:
    """Return what a command in a text names that does not exist; it may leave arguments out."""
    if command.program == "crack_perception":
        return _unknown_options(command.words)
    return PROGRAMS[command.program](command.words)


@cache
def _verbs() -> dict[str, argparse.ArgumentParser]:
    (action,) = [each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction)]
    return dict(action.choices)


def _unknown_options(words: Sequence[str]) -> str:
    """Abbreviations of options are unknown, too: an option with another name must not pass as one."""
    if len(words) < 2 or words[1].startswith("-"):
        return ""
    verb = _verbs().get(words[1])
    if verb is None:
        return "" if words[1] in ("...", "VERB") else f"unknown verb {words[1]}"
    known = {option for action in verb._actions for option in action.option_strings}
    unknown = [word.split("=")[0] for word in words[2:] if word.startswith("--") and word.split("=")[0] not in known]
    return f"{words[1]} has no {', '.join(unknown)}" if unknown else ""


def _check_verb(words: Sequence[str]) -> str:
    problem = _unknown_options(words)
    if problem:
        return problem
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.suppress(SystemExit):
        build_parser().parse_args(list(words[1:]))
        return ""
    return errors.getvalue().strip().splitlines()[-1]


@cache
def launch_arguments(file: str) -> dict[str, tuple[str, ...]]:
    """Return the declared arguments of a launch file with their choices (empty: any), without launch."""
    declared: dict[str, tuple[str, ...]] = {}

    class Declared:
        def __init__(self, name: str, *, choices: Sequence[str] | None = None, **_: Any) -> None:
            declared[name] = tuple(choices or ())

    class Anything(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            return Declared if name == "DeclareLaunchArgument" else type(name, (), {"__init__": lambda *_, **__: None})

    folders = ("actions", "conditions", "substitutions", "event_handlers", "events", "events.process")
    names = ["launch", "launch_ros", *(f"launch.{name}" for name in folders), "launch.launch_description_sources"]
    names += [f"launch_ros.{name}" for name in ("actions", "parameter_descriptions", "ros_adapters")]
    names += ["ament_index_python", "ament_index_python.packages"]
    before = {name: sys.modules.get(name) for name in names}
    sys.modules |= {name: Anything(name) for name in names}
    try:
        path = ROOT / "launch" / file
        spec = importlib.util.spec_from_file_location(f"documented_{path.name.split('.')[0]}", path)
        assert spec is not None and spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return declared


@cache
def parameters_of(executable: str) -> frozenset[str]:
    """Return the names of a node's parameters."""
    module = importlib.import_module(f"crack_perception.ros.{_NODES[executable]}.parameters")
    return frozenset(spec.name for spec in module.TABLE.specs) | {"use_sim_time"}


@cache
def all_parameters() -> frozenset[str]:
    """Return the names of the parameters of all nodes."""
    return frozenset().union(*map(parameters_of, _NODES))


def _check_launch(words: Sequence[str]) -> str:
    if not (ROOT / "launch" / words[3]).is_file():
        return f"no launch file {words[3]}"
    declared = launch_arguments(words[3])
    if words[3] != "drone.launch.py":
        declared = declared | launch_arguments("drone.launch.py")
    for word in words[4:]:
        name, assigned, value = word.partition(":=")
        if not assigned:
            if word != "--show-args":
                return f"{word} is no launch argument"
        elif name not in declared:
            return f"{words[3]} has no argument {name}"
        elif declared[name] and value not in declared[name] and value != "...":
            return f"{name} is one of {', '.join(declared[name])}"
        elif name in ("stack", "camera") and not (ROOT / "config" / f"{name}s" / f"{value}.yaml").is_file():
            return f"no {name} {value}"
    return ""


def _check_run(words: Sequence[str]) -> str:
    if words[3] == "crack_perception":
        return _check_verb(words[3:])
    if words[3] not in _NODES:
        return f"no executable {words[3]}"
    for option, word in pairwise(words[4:]):
        if option == "-p" and word.partition(":=")[0] not in parameters_of(words[3]):
            return f"{words[3]} has no parameter {word.partition(':=')[0]}"
    return ""


def _check_ros2(words: Sequence[str]) -> str:
    for word in words:
        if SHARE in word and not (ROOT / word.split(f"{SHARE}/")[-1]).is_file():
            return f"no file {word}"
    if words[1:3] == ("launch", "crack_perception"):
        return _check_launch(words)
    if words[1:3] == ("run", "crack_perception"):
        return _check_run(words)
    return ""


def _check_container(words: Sequence[str]) -> str:
    for option, word in pairwise(words):
        if option == "-f" and not (ROOT / word).is_file():
            return f"no file {word}"
    return _check_ros2(words[words.index("ros2") :]) if "ros2" in words else ""


def _check_script(words: Sequence[str]) -> str:
    path = ROOT / words[0]
    if not path.is_file() or not path.stat().st_mode & 0o100:
        return f"{words[0]} is no program"
    return _unnamed(path, words[1:])


def _check_python(words: Sequence[str]) -> str:
    if words[1] == "-m":
        if words[2] == "pip":
            return _check_pip(words[2:])
        files = [word for word in words[3:] if word.startswith("test/")]
        return next((f"no file {word}" for word in files if not (ROOT / word.split("::")[0]).exists()), "")
    path = ROOT / words[1]
    return _unnamed(path, words[2:]) if path.is_file() else f"no file {words[1]}"


def _unnamed(path: Path, arguments: Sequence[str]) -> str:
    """Return the first option of a script that does not stand in its text."""
    text = path.read_text(encoding="utf-8")
    options = [word for word in arguments if word.startswith("--")]
    return next((f"{path.name} has no {option}" for option in options if option not in text), "")


def _check_pip(words: Sequence[str]) -> str:
    """Extras of this package must exist; other packages are not looked up."""
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    for word in words[1:]:
        found = re.match(r"(?:crack_perception|\.)\[([\w,]+)\]", word)
        missing = [extra for extra in found[1].split(",") if f'"{extra}":' not in setup] if found else []
        if missing:
            return f"no extra {', '.join(missing)}"
    return ""


def _is_foreign(words: Sequence[str]) -> str:
    return ""


_OURS: dict[str, Callable[[Sequence[str]], str]] = {
    "crack_perception": _check_verb,
    "ros2": _check_ros2,
    "docker": _check_container,
    "pip": _check_pip,
    **dict.fromkeys(("python", "python3", ".venv/bin/python"), _check_python),
    **{f"scripts/{path.name}": _check_script for path in (ROOT / "scripts").iterdir() if not path.suffix},
}
_FOREIGN = ("source", "cd", "git", "rosdep", "colcon", "dask", "MicroXRCEAgent", "sed", "pipx", "export")
PROGRAMS = {**dict.fromkeys(_FOREIGN, _is_foreign), **_OURS}
"""Program -> check of its arguments; programs of others are not checked."""


def profile_keys() -> frozenset[str]:
    """Return the keys of the parameter files and profiles in config/."""
    keys: set[str] = set()

    def collect(content: Any) -> None:
        if isinstance(content, dict):
            keys.update(map(str, content))
            for value in content.values():
                collect(value)

    for path in (ROOT / "config").rglob("*.yaml"):
        collect(yaml.safe_load(path.read_text(encoding="utf-8")))
    return frozenset(keys)
