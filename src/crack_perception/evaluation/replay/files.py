# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Files in the output folder of a replay, the rewritten parameter file among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from crack_perception.documents import parse_yaml
from crack_perception.errors import file_error
from crack_perception.evaluation.replay.mapper_session import MAP_NAME, clear_map_folder
from crack_perception.parameter_files import copy_mark, read_parameter_file

REPORT = "report.json"
REPORT_HTML = "report.html"


class ReplayFiles:
    """Paths of the files of a replay.

    Args:
        out: Output folder of the replay.

    Attributes:
        report, page, detections, video: Results.
        node_log, mapper_log: Logs of the nodes.
        parameters: Copy of the user's parameter file if its keys had to be replaced.
        map_folder: Output folder of the mapper.
        map_geojson: Map saved by the mapper.
        pictures: Spool of the annotated pictures, deleted at the end.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.report = out / REPORT
        self.page = out / REPORT_HTML
        self.detections = out / "detections.json"
        self.video = out / "annotated.mp4"
        self.node_log = out / "crack_node.log"
        self.mapper_log = out / "crack_mapper.log"
        self.parameters = out / "node_parameters.yaml"
        self.map_folder = out / "map"
        self.map_geojson = self.map_folder / f"{MAP_NAME}.geojson"
        self.pictures = out / "annotated.part"

    def prepare(self, with_map: bool) -> None:
        """Create the folder (and that of the map) and remove the files of an earlier replay.

        Raises:
            UserError: A file or folder cannot be created or removed.
        """
        try:
            (self.map_folder if with_map else self._out).mkdir(parents=True, exist_ok=True)
            for file in (
                self.report,
                self.page,
                self.detections,
                self.video,
                self.node_log,
                self.mapper_log,
                self.parameters,
            ):
                file.unlink(missing_ok=True)
            clear_map_folder(self.map_folder)
        except OSError as error:
            raise file_error(error.filename or self._out, error, "Choose another folder with --out") from error


_LEAF = "ros__parameters"


def readdressed(path: Path, node: str, copy: Path) -> tuple[Path, list[str]]:
    """Return a parameter file whose settings apply to a node.

    A block for the same node in another namespace (``crack_node:`` for ``/replay/crack_node``) applies to it too,
    because a replay runs only one such node.

    Args:
        path: File of the user.
        node: Full name of the node.
        copy: Path of a copy with the keys replaced, written only if necessary.

    Returns:
        The file to use, and notes for the user.

    Raises:
        UserError: The file is not a parameter file.
    """
    name = node.rpartition("/")[2]
    keys = [
        block.key
        for block in read_parameter_file(path)
        if not block.applies_to(node) and block.key.rpartition("/")[2] == name
    ]
    if not keys:
        return path, []
    tree = parse_yaml(path.read_bytes())
    document: dict[str, Any] = {}
    _collect(tree, "", keys, node, document)
    copy.write_text(yaml.safe_dump(document, sort_keys=False) + copy_mark(str(path)), encoding="utf-8")
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
