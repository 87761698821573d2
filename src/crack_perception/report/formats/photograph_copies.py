# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Copies of the evidence in a report's folder, and an index of the files there that a report has written.

Copies, so that whoever edits a photograph of the report leaves the evidence as it was. The index tells the report's
files from those of others: a later report removes the former where they are out of date, and never the latter.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from crack_perception.documents import parse_json
from crack_perception.errors import UserError, file_error
from crack_perception.report.whole_file import whole_file

INDEX = ".crack_perception_report"
"""Index in the folder: JSON, names of files with their size and time of change."""

_Stamp = tuple[int, int]
_COPY_BYTES = 1 << 26


def fill_folder(folder: Path, evidence: Path, names: Collection[str]) -> None:
    """Copy photographs into a folder, and remove what earlier reports have written about others.

    Files that were changed after a report had written them are left alone.

    Args:
        folder: Of the report; made where it does not exist.
        evidence: Folder of the map's photographs.
        names: Of the photographs that belong to the report.

    Raises:
        UserError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_outdated(folder, evidence, {Path(name).stem for name in names})
    except OSError as error:
        raise file_error(folder, error) from error
    # Before the copies are there, so that a report that was interrupted leaves nothing unknown.
    _write_index(folder, _read_index(folder) | {name: stamp for name in names if (stamp := _stamp(evidence / name))})
    for name in sorted(names):
        source, target = evidence / name, folder / name
        if _stamp(target) == _stamp(source) and not target.samefile(source):
            continue
        try:
            reading = source.open("rb")
        except FileNotFoundError:
            continue  # removed by a mapper that is running
        except OSError as error:
            raise UserError(f"{source}: cannot be read ({error.strerror})", "Check the photograph's disk") from error
        with reading, whole_file(target) as partial:
            _copy(reading, partial)
    remember(folder, names)  # some disks keep coarser times


def remember(folder: Path, names: Iterable[str]) -> None:
    """Add files that a report has written to the index of their folder.

    Raises:
        UserError: The folder cannot be written.
    """
    _write_index(folder, _read_index(folder) | {name: stamp for name in names if (stamp := _stamp(folder / name))})


def _remove_outdated(folder: Path, evidence: Path, stems: Collection[str]) -> None:
    written = _read_index(folder)
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if Path(entry.name).stem not in stems]
    for name in found:
        stamp = _stamp(folder / name)
        if stamp is None:
            continue
        # Earlier versions made hard links to the evidence and kept no index.
        is_link = stamp == _stamp(evidence / name) and (folder / name).samefile(evidence / name)
        if is_link or stamp == written.get(name):
            (folder / name).unlink()
    _write_index(folder, {name: stamp for name, stamp in written.items() if Path(name).stem in stems})


def _copy(reading: BinaryIO, target: Path) -> None:
    """Copy content and time of change; where the file system can, without using more of the disk."""
    with target.open("wb") as writing:
        try:
            while os.copy_file_range(reading.fileno(), writing.fileno(), _COPY_BYTES):
                pass
        except (AttributeError, OSError):
            reading.seek(0)
            writing.seek(0)
            writing.truncate()
            shutil.copyfileobj(reading, writing)
    status = os.fstat(reading.fileno())
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _stamp(path: Path) -> _Stamp | None:
    with suppress(OSError):
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    return None


def _read_index(folder: Path) -> dict[str, _Stamp]:
    """Files of earlier reports; none where there is no index that can be read."""
    try:
        files = parse_json((folder / INDEX).read_text(encoding="utf-8"))["files"]
        return {str(name): (int(size), int(time_ns)) for name, (size, time_ns) in files.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write_index(folder: Path, files: Mapping[str, _Stamp]) -> None:
    with whole_file(folder / INDEX) as partial:
        partial.write_text(json.dumps({"files": dict(sorted(files.items()))}), encoding="utf-8")
