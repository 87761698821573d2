"""Where the package's own data (models, config, rviz) lies, installed or in a source tree."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from crack_perception.errors import UserError

PACKAGE = "crack_perception"


def share_directory() -> Path:
    """Directory that holds ``models/``, ``config/`` and ``rviz/``.

    Looked for in this order: the source tree around this file (plain checkout, editable or ``--symlink-install``),
    every prefix of ``AMENT_PREFIX_PATH`` (colcon install), ``sys.prefix`` (plain pip install).

    Raises:
        UserError: Nothing was found.
    """
    candidates = [Path(__file__).resolve().parents[2]]
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) + [sys.prefix]
    candidates += [Path(prefix) / "share" / PACKAGE for prefix in prefixes if prefix]
    for candidate in candidates:
        if (candidate / "models").is_dir() and (candidate / "config").is_dir():
            return candidate
    raise UserError(
        f"the data of {PACKAGE} (models/, config/) was not found in {', '.join(map(str, candidates))}",
        "Install the package (colcon build, or pip install) and source the workspace",
    )


def models_directory() -> Path:
    """Directory of the shipped models, one folder each."""
    return share_directory() / "models"


def config_file(name: str) -> Path:
    """Path of a shipped configuration file, for example ``drone.yaml``."""
    return share_directory() / "config" / name
