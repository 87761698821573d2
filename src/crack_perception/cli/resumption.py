# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Results that ``--resume`` of ``score`` and ``detect`` keeps: those of the same settings and of unchanged inputs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crack_perception.documents import parse_json
from crack_perception.errors import UsageError

if TYPE_CHECKING:
    from crack_perception.recognition.frame_detector import FrameDetector

# The backend is not compared: its description contains the number of threads, which does not affect results.
_COMPARED = ("model", "threshold", "gsd_mm_per_px", "severity_preset")


def settings_of(arguments: argparse.Namespace, detector: FrameDetector) -> dict[str, Any]:
    """Return the settings that decide about the results, ready for JSON."""
    return {
        "model": {"name": detector.model.name, "sha256": detector.model.sha256},
        "backend": detector.backend.description,
        "threshold": detector.threshold,
        "gsd_mm_per_px": arguments.gsd,
        "severity_preset": arguments.preset,
    }


def check_settings(out: Path, earlier: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Check that an earlier run had the same settings.

    Raises:
        UsageError: It had others; their names are given.
    """
    different = [key for key in _COMPARED if earlier.get(key) != settings[key]]
    if different:
        raise UsageError(
            f"{out} was made with another {', '.join(different)}", "Use the same settings, or another --out"
        )


def settings_file(out: Path) -> Path:
    """Return the file beside a CSV file that holds the settings of its rows."""
    return out.with_name(f"{out.name}.settings.json")


def check_settings_file(out: Path, settings: Mapping[str, Any]) -> None:
    """Check the settings of an existing CSV file; those of one without a file of settings are reported as unknown.

    Raises:
        UsageError: They are others, or cannot be read.
    """
    path = settings_file(out)
    try:
        earlier = parse_json(path.read_bytes())
        if not isinstance(earlier, dict):
            raise ValueError("it is no JSON object")
    except FileNotFoundError:
        print(f"{out}: its settings are unknown, there is no {path.name}; its rows are kept", file=sys.stderr)
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error})", "Choose another --out") from error
    check_settings(out, earlier, settings)


def write_settings_file(out: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings beside a CSV file, unless it is a device.

    Raises:
        OSError: They cannot be written.
    """
    if out.is_file():
        settings_file(out).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def changed_since(paths: set[str], moment_ns: int) -> set[str]:
    """Return the inputs whose files were changed or replaced after a moment, and report their number on stderr.

    Args:
        paths: Inputs of an earlier run.
        moment_ns: Time of its last result [ns].
    """
    changed = {path for path in paths if _changed_ns(Path(path)) > moment_ns}
    if changed:
        print(f"{len(changed)} inputs have changed since the earlier run and are processed again", file=sys.stderr)
    return changed


def _changed_ns(path: Path) -> int:
    """Time of the last change of a file [ns]; unlike the time of modification, copying does not set it back."""
    try:
        return path.stat().st_ctime_ns
    except OSError:
        return 0
