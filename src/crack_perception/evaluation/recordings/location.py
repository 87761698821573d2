# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Files of a recording, found from a path and unpacked if compressed, and their expected message counts."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crack_perception.documents import parse_yaml
from crack_perception.errors import UserError
from crack_perception.evaluation.recordings import mcap, ros1, sqlite
from crack_perception.evaluation.recordings.compression import ZSTD_ERRORS, ZSTD_MAGIC, open_zstd
from crack_perception.evaluation.recordings.storage import DamageError, StorageFile

METADATA = "metadata.yaml"

RECORDING_SUFFIXES = (
    ".mcap",
    ".db3",
    ".bag",
    ".mcap.zstd",
    ".db3.zstd",
    ".mcap.zst",
    ".db3.zst",
    ".bag.active",
    ".mcap.active",
)
_FORMATS: dict[bytes, Callable[[Path], StorageFile]] = {
    mcap.MAGIC: mcap.McapFile,
    sqlite.MAGIC: sqlite.SqliteFile,
    ros1.MAGIC: ros1.Ros1File,
}
_COPY_BYTES = 1 << 20
_COPY_AGAIN = "Copy it again from its source, or give another recording"


class _NoRecordingError(DamageError):
    """Nothing in a file can be repaired: it is empty, lost in compression, or of another format."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


@dataclass
class Location:
    """Open files of a recording.

    Attributes:
        files: Files in the order of recording.
        expected: (Topic, type) -> number of messages according to metadata.yaml; empty without it.
        damage: Damage found while opening.
        notes: Remarks for the reader of a report; no data is lost.
    """

    files: list[StorageFile] = field(default_factory=list)
    expected: dict[tuple[str, str], int] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def open_location(path: Path, stack: ExitStack) -> Location:
    """Open a recording, given by its folder, its metadata.yaml or one of its files; ``stack`` closes it.

    Raises:
        UserError: There is no recording at the path, or nothing in it can be read.
    """
    try:
        return _open(path, stack)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            remedy = f"Free space in {tempfile.gettempdir()}, or set TMPDIR to a folder on a larger disk"
            raise UserError(f"{path}: no space left to unpack it", remedy) from None
        raise UserError(f"{error.filename or path}: cannot be read ({error.strerror})", "Check the path") from None


def _open(path: Path, stack: ExitStack) -> Location:
    location = Location()
    if not path.exists():
        raise UserError(f"{path} does not exist", "Give the folder of a rosbag2, or a .mcap, .db3 or .bag file")
    if path.name == METADATA:
        path = path.parent
    paths = _files_of(path, location) if path.is_dir() else [path]
    refused, remedies = [], []
    for file in paths:
        try:
            opened = _open_file(file, stack, location)
        except DamageError as error:
            refused.append(f"{file.name}: {error}")
            remedies.append(error.remedy if isinstance(error, _NoRecordingError) else _remedy(file))
            continue
        stack.callback(opened.close)
        location.files.append(opened)
        location.damage += opened.damage
        location.notes += opened.notes
    if not location.files:
        raise UserError(f"{path} cannot be read: {'; '.join(refused)}", remedies[0])
    location.damage += refused
    return location


def _remedy(path: Path) -> str:
    suffixes = set(path.suffixes)
    if ".mcap" in suffixes:
        return "Try `mcap recover IN.mcap -o OUT.mcap`, or give another recording"
    if ".bag" in suffixes:
        return "Try `rosbag reindex`, or convert it with `rosbags-convert --src X.bag --dst DIR`"
    if ".db3" in suffixes:
        return "Try `sqlite3 IN.db3 .recover | sqlite3 OUT.db3`, or give another recording"
    return "Give another recording"


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that are named like recordings, in order of their names."""
    return sorted(
        (file for file in folder.iterdir() if file.name.lower().endswith(RECORDING_SUFFIXES)), key=_natural_order
    )


def _files_of(folder: Path, location: Location) -> list[Path]:
    """List the recording's files in a folder, in the order of its metadata.yaml if that is usable."""
    present = files_in(folder)
    metadata = folder / METADATA
    if not metadata.is_file():
        if not present:
            raise UserError(
                f"{folder} contains no recording: neither {METADATA} nor a .mcap, .db3 or .bag file",
                "Give the folder that `ros2 bag record` wrote, or a file of it",
            )
        location.notes.append(f"{folder} has no {METADATA}: its files are read in order of their names")
        return present
    try:
        information = parse_yaml(metadata.read_bytes())
        information = information["rosbag2_bagfile_information"]
        named = [folder / Path(str(name)).name for name in information["relative_file_paths"]]
        location.expected = _expected(information)
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        location.notes.append(f"{metadata} is damaged: the files beside it are read in order of their names")
        named = []
    # A metadata.yaml that lists none of the files beside it was not finished.
    if not any(file.exists() for file in named):
        if not present:
            listed = f"files listed in {METADATA} are missing ({', '.join(file.name for file in named)})"
            raise UserError(
                f"{folder}: {listed if named else f'{METADATA} lists no files, and there are none beside it'}",
                "Copy the files of the recording into the folder",
            )
        return present
    missing = [file.name for file in named if not file.exists()]
    if missing:
        location.damage.append(f"files listed in {METADATA} are missing: {', '.join(missing)}")
    return [file for file in named if file.exists()]


def _expected(information: Any) -> dict[tuple[str, str], int]:
    expected: dict[tuple[str, str], int] = {}
    for item in information.get("topics_with_message_count", []):
        topic = item["topic_metadata"]
        key = (str(topic["name"]), str(topic["type"]))
        expected[key] = expected.get(key, 0) + int(item["message_count"])
    return expected


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    # flight_2 is before flight_10.
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", path.name)]


def _open_file(path: Path, stack: ExitStack, location: Location) -> StorageFile:
    """Open a file according to its content, not its name.

    Raises:
        DamageError: The format is unknown, or nothing in the file can be read.
    """
    if not path.is_file():  # a pipe without a writer would block for ever
        raise _NoRecordingError("it is not a regular file", "Give the folder of a rosbag2, or a file of it")
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(ZSTD_MAGIC):
        path = _unpacked(path, stack, location)
        with path.open("rb") as file:
            head = file.read(16)
        if not head:
            raise _NoRecordingError("its zstd data is damaged or truncated", _COPY_AGAIN)
    if not head:
        raise _NoRecordingError("it is empty", _COPY_AGAIN)
    if not any(head):
        raise _NoRecordingError("it begins with zeros", _COPY_AGAIN)
    for magic, kind in _FORMATS.items():
        if head.startswith(magic):
            return kind(path)
    if head.startswith(b"#ROSBAG"):
        raise _NoRecordingError("it is a ROS 1 bag of a format older than 2.0", "Convert it with `rosbag migrate`")
    raise _NoRecordingError(
        "it is neither an MCAP file, a sqlite3 file of rosbag2 nor a ROS 1 bag",
        "Give the folder of a rosbag2, or a .mcap, .db3 or .bag file",
    )


def _unpacked(path: Path, stack: ExitStack, location: Location) -> Path:
    """Decompress a file into a temporary folder, up to the first damage."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="crack_perception_bag_"))
    target = Path(folder) / path.name.removesuffix(".zstd").removesuffix(".zst")
    with target.open("wb") as unpacked, open_zstd(str(path)) as packed:
        try:
            shutil.copyfileobj(packed, unpacked, _COPY_BYTES)
        except ZSTD_ERRORS as error:
            location.damage.append(f"{path.name}: its zstd data is damaged or truncated ({error})")
    return target
