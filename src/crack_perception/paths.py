# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Paths of the package's data (models, config, rviz), installed or in a source tree, paths from users, and reports."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from crack_perception.errors import UserError, file_error
from crack_perception.interrupts import uninterrupted

PACKAGE = "crack_perception"

_SHOWN = 80


def share_directory() -> Path:
    """Return the directory with ``models/``, ``config/`` and ``rviz/``.

    Search order: the source tree around this file (plain checkout, editable or ``--symlink-install``),
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
    """Return the directory of the shipped models, one folder each."""
    return share_directory() / "models"


def config_file(name: str) -> Path:
    """Return the path of a shipped configuration file, for example ``drone.yaml``."""
    return share_directory() / "config" / name


def user_path(text: str, setting: str) -> Path:
    """Return the absolute path of a parameter or option; ``~`` is expanded.

    Args:
        text: As written, not empty.
        setting: Name of the parameter or option, for the message.

    Raises:
        UserError: It is no path of this operating system, or the home folder is unknown.
    """
    try:
        path = Path(text).expanduser().absolute()
        os.stat(path)
    except FileNotFoundError:
        return path
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{setting} is {_shortened(text)!r}, which is no path: {error}", "Give another path") from error
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise UserError(f"{setting} is {_shortened(text)!r}: {error.strerror}", "Give another path") from error
    return path


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a report as JSON, as ``write_text`` does.

    Raises:
        UserError: The file cannot be written; an earlier one is then as it was.
    """
    write_text(path, json.dumps(document, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, whole or not at all; its folder is created where missing. Signals wait meanwhile.

    Raises:
        UserError: The file cannot be written; an earlier one is then as it was.
    """
    # Names that end in a device (/dev/stdout) or a link are written in place.
    is_plain = not path.exists() or (path.is_file() and not path.is_symlink())
    written = path.with_name(f".{path.name}.{os.getpid()}.new") if is_plain else path
    try:
        with uninterrupted():
            path.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(text, encoding="utf-8", errors="backslashreplace")
            if written != path:
                os.replace(written, path)
    except OSError as error:
        if written != path:
            with suppress(OSError):
                written.unlink()
        raise file_error(path, error) from error


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
