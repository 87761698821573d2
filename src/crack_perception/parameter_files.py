# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Find ROS parameter settings without effect on a node: keys that do not match, unknown names.

ROS ignores both silently. The rules are those of rcl: a key of a parameter file is a node's full name, its leading
slash may be left out, ``*`` stands for one part of the name and ``**`` for any number of parts. A name on the command
line may be preceded by the name of a node without namespace (``-p crack_node:threshold:=0.5``).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crack_perception.errors import UserError

_BEGIN = "Begin with a copy of config/drone.yaml"
_LEAF = "ros__parameters"
_ROS_ARGUMENTS = "--ros-args"
# Parameters that rclpy declares for every node, and those that appear with a publisher or subscription.
_BUILT_IN = ("use_sim_time", "start_type_description_service")
_BUILT_IN_PREFIX = "qos_overrides."
_COPY_MARK = "# copy of "
_SIMILARITY = 0.6


class _Loader(yaml.SafeLoader):
    """Ignores tags that YAML does not define, as rcl does: launch writes arrays as ``!!python/tuple``."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []
        """Keys that stand twice in one mapping, with their lines."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node, whose repeated keys are noted: the last one wins, as for rcl."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                line = key.start_mark.line + 1
                if lines.setdefault(key.value, line) != line:
                    self.repeated.append(f"'{key.value}' in lines {lines[key.value]} and {line}")
        return super().construct_mapping(node, deep)

    def construct_untagged(self, node: yaml.Node) -> Any:
        """The plain value of a node."""
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        return self.construct_scalar(node)


_Loader.add_constructor(None, _Loader.construct_untagged)


@dataclass(frozen=True)
class ParameterBlock:
    """One block of a parameter file.

    Attributes:
        key: Full name of the node, or a pattern; as written, nested namespaces joined by slashes.
        values: Name -> value of the parameters that it sets, nested names joined by dots.
    """

    key: str
    values: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that it sets."""
        return tuple(self.values)

    def applies_to(self, node: str) -> bool:
        """Return whether the key matches a node's full name (``/namespace/name``)."""
        return _matches(_parts(self.key), _parts(node))


def copy_mark(source: str) -> str:
    """Return a last line for a copy of a parameter file, by which messages about the copy name its source.

    launch resolves substitutions in a temporary copy, whose name means nothing to the user.
    """
    return f"\n{_COPY_MARK}{' '.join(source.split())}\n"


def source_of(path: Path) -> str:
    """Return the name by which messages refer to a parameter file: that of its source if it is a marked copy."""
    try:
        last = path.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2]
    except OSError:
        return str(path)
    return last.removeprefix(_COPY_MARK) if last.startswith(_COPY_MARK) else str(path)


def read_parameter_file(path: Path) -> list[ParameterBlock]:
    """Read the blocks of a parameter file.

    Raises:
        UserError: The file is missing, unreadable, no YAML or no ROS parameter file.
    """
    return _read(path)[0]


def parameter_values(path: Path, node: str) -> dict[str, Any]:
    """Return the values that a parameter file sets for a node, a later block before an earlier one.

    Args:
        path: The parameter file.
        node: Full name of the node, ``/namespace/name``.

    Raises:
        UserError: As in ``read_parameter_file``.
    """
    values: dict[str, Any] = {}
    for block in read_parameter_file(path):
        if block.applies_to(node):
            values.update(block.values)
    return values


def _read(path: Path) -> tuple[list[ParameterBlock], list[str]]:
    """Blocks of a parameter file, and the keys that are repeated in it."""
    if not path.is_file():
        raise UserError(f"{path}: no such parameter file", "Give an existing YAML file")
    documents = []
    name = source_of(path)
    try:
        loader = _Loader(path.read_bytes())
        while loader.check_data():
            documents.append(loader.get_data())
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}", "Check its permissions") from error
    except RecursionError:
        raise UserError(f"{name}: is no ROS parameter file: it is nested too deeply", _BEGIN) from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{name}: is not YAML: {error}", _BEGIN) from error
    try:
        return [block for tree in documents if tree is not None for block in _blocks(tree, "")], loader.repeated
    except TypeError as error:
        raise UserError(
            f"{name}: is no ROS parameter file: {error}", f"Put the parameters under '/**:' and '{_LEAF}:'"
        ) from error


def ineffective_settings(path: Path, node: str, known: Collection[str] | None = None) -> list[str]:
    """Return messages for settings of a parameter file without effect on a node; empty if there are none.

    Blocks for other nodes are accepted as long as one applies to this one.

    Args:
        path: The parameter file.
        node: Full name of the node, ``/namespace/name``.
        known: Names of the node's parameters; None checks the keys alone.

    Raises:
        UserError: As in ``read_parameter_file``.
    """
    blocks, repeated = _read(path)
    name = source_of(path)
    applied = [block for block in blocks if block.applies_to(node)]
    same_name = [block for block in blocks if block not in applied and _parts(block.key)[-1:] == _parts(node)[-1:]]
    found = [f"{name} sets {key}, and only the last has an effect. Remove one of them" for key in repeated]
    if not blocks:
        found.append(f"{name} sets nothing. Put the parameters under '/**:' and '{_LEAF}:'")
    elif not applied or same_name:
        keys = ", ".join(f"'{block.key}'" for block in (same_name or blocks))
        found.append(f"Nothing under the key {keys} in {name} is for {node}. Use the key '/**' or '{node}'")
    if known is not None:
        found += unknown_names((parameter for block in applied for parameter in block.names), node, known, name)
    return found


def unknown_names(names: Iterable[str], node: str, known: Collection[str], origin: str) -> list[str]:
    """Return a message for every unknown parameter name, with the most similar known name.

    Args:
        names: Names that were set.
        node: Full name of the node.
        known: Names of the node's parameters.
        origin: File or command line that sets them.
    """
    found = []
    for name in dict.fromkeys(names):
        if name in known or name in _BUILT_IN or name.startswith(_BUILT_IN_PREFIX):
            continue
        similar = difflib.get_close_matches(name, known, n=1, cutoff=_SIMILARITY)
        # A name without its group (`attitude_deg` for `noise.attitude_deg`), or with a wrong one.
        similar = similar or [other for other in sorted(known) if other.split(".")[-1] == name.split(".")[-1]][:1]
        remedy = f"Did you mean '{similar[0]}'?" if similar else f"'ros2 param list {node}' lists those it has"
        found.append(f"{origin} sets '{name}', but {node} has no such parameter. {remedy}")
    return found


def ineffective_arguments(arguments: Sequence[str], node: str, known: Collection[str]) -> list[str]:
    """Return messages for arguments of a node (``sys.argv``) and its parameter files that have no effect on it.

    Args:
        arguments: The whole command line; only what stands between ``--ros-args`` and ``--`` counts.
        node: Full name of the node.
        known: Names of the node's parameters.
    """
    found: list[str] = []
    for flag, value in _ros_options(arguments):
        if flag == "--params-file":
            try:
                found += ineffective_settings(Path(value), node, known)
            except UserError as error:
                found.append(str(error))
        elif flag in ("-p", "--param"):
            target, colon, name = value.partition(":=")[0].rpartition(":")
            if not colon or _parts(target) == _parts(node):
                found += unknown_names([name], node, known, "The command line")
            elif _parts(target)[-1:] == _parts(node)[-1:]:
                found.append(f"'-p {value}' is for /{target.lstrip('/')}, not for {node}. Remove '{target}:'")
    return list(dict.fromkeys(found))


def check_parameter_files(arguments: Sequence[str]) -> None:
    """Read every parameter file that a command line (as in ``ineffective_arguments``) names.

    Raises:
        UserError: As in ``read_parameter_file``; ROS itself would end the process with a traceback.
    """
    for flag, value in _ros_options(arguments):
        if flag == "--params-file":
            read_parameter_file(Path(value))


def _ros_options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield flags and their values between ``--ros-args`` and ``--``."""
    is_ros = False
    words = iter(arguments)
    for word in words:
        if word == _ROS_ARGUMENTS:
            is_ros = True
        elif word == "--":
            is_ros = False
        elif is_ros and word in ("--params-file", "-p", "--param"):
            value = next(words, None)
            if value is not None:
                yield word, value


def _blocks(tree: Any, key: str) -> Iterator[ParameterBlock]:
    """Yield all blocks of a tree.

    Raises:
        TypeError: A branch ends without parameters.
    """
    if not isinstance(tree, Mapping):
        raise TypeError(f"'{key}' holds no '{_LEAF}'" if key else f"it holds no '{_LEAF}'")
    for name, branch in tree.items():
        if name == _LEAF:
            if branch is not None and not isinstance(branch, Mapping):
                raise TypeError(f"'{_LEAF}' of '{key}' holds no names")
            yield ParameterBlock(key, dict(_values(branch or {}, "")))
        else:
            yield from _blocks(branch, f"{key}/{name}" if key else str(name))


def _values(tree: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part]


def _matches(pattern: list[str], name: list[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(_matches(pattern[1:], name[start:]) for start in range(len(name) + 1))
    return bool(name) and pattern[0] in ("*", name[0]) and _matches(pattern[1:], name[1:])
