"""Parameter files of a node as it flies, for the same node in the namespace of a replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from crack_perception.parameter_files import read_parameter_file

_LEAF = "ros__parameters"


def addressed_to(path: Path, node: str, copy: Path) -> tuple[Path, list[str]]:
    """A parameter file whose settings reach a node.

    A block whose key names the same node in another namespace (``crack_node:`` for ``/replay/crack_node``) is meant
    for it too: in a replay there is no other one.

    Args:
        path: The user's file.
        node: Full name of the node.
        copy: Where to write a file with the key replaced, if that is necessary.

    Returns:
        The file to use, and what the user should know.

    Raises:
        UserError: The file is no parameter file.
    """
    name = node.rpartition("/")[2]
    keys = [
        block.key
        for block in read_parameter_file(path)
        if not block.applies_to(node) and block.key.rpartition("/")[2] == name
    ]
    if not keys:
        return path, []
    tree = yaml.safe_load(path.read_bytes())
    document: dict[str, Any] = {}
    _collect(tree, "", keys, node, document)
    copy.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    quoted = ", ".join(f"'{key}'" for key in keys)
    return copy, [f"the settings under {quoted} in {path} are used for {node}"]


def _collect(tree: Any, key: str, keys: list[str], node: str, document: dict[str, Any]) -> None:
    for name, branch in tree.items():
        if name == _LEAF:
            target = node if key in keys else key
            settings = document.setdefault(target, {}).setdefault(_LEAF, {})
            settings.update(branch or {})
        else:
            _collect(branch, f"{key}/{name}" if key else str(name), keys, node, document)
