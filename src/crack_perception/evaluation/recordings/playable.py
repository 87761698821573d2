# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings for ``ros2 bag play``, which reads fewer than this package: no ROS 1, no folder without metadata."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings import ros1
from crack_perception.evaluation.recordings.compression import ZSTD_MAGIC
from crack_perception.evaluation.recordings.location import METADATA, files_in, open_location

_MAGIC_BYTES = 16


@dataclass(frozen=True)
class PlayableBag:
    """Recording that ``ros2 bag play`` is given.

    Attributes:
        path: Folder with a metadata.yaml, or file.
        explanation: Why the player may fail, and what to do then; empty for a whole recording.
    """

    path: Path
    explanation: str = ""


def playable_bag(path: Path) -> PlayableBag:
    """Check that ``ros2 bag play`` can read a recording, given as for ``crack_perception replay``.

    Raises:
        UserError: There is no recording, nothing in it can be read, or only this package can read it.
    """
    if path.name == METADATA:
        path = path.parent
    has_metadata = (path / METADATA).is_file()
    try:
        files = files_in(path) if path.is_dir() else [path] if path.is_file() else []
    except OSError:
        files = []  # open_location says why
    heads = [_head(file) for file in files]
    if any(head.startswith(ros1.MAGIC) for head in heads):
        raise _only_here(path, "is a ROS 1 bag", f"convert it with `rosbags-convert --src {path} --dst DIR`")
    is_packed = any(head.startswith(ZSTD_MAGIC) for head in heads)
    if is_packed and not has_metadata:
        raise _only_here(path, f"is compressed and has no {METADATA}", "unpack it with `zstd -d`")
    if is_packed:
        return PlayableBag(path)  # unpacking it for a check would take as long as playing it
    with ExitStack() as stack:
        location = open_location(path, stack)
    if path.is_dir() and not has_metadata:
        if len(files) > 1:
            raise _only_here(path, f"has no {METADATA}", f"write it with `ros2 bag reindex {path}`")
        path = files[0]
    doubts = location.damage or [note for note in location.notes if has_metadata or METADATA not in note]
    if not doubts:
        return PlayableBag(path)
    return PlayableBag(
        path,
        f"`ros2 bag play` may not read {path} to its end ({'; '.join(doubts)}). "
        f"`crack_perception replay {path} --out DIR` reads what is there",
    )


def _only_here(path: Path, problem: str, otherwise: str) -> UserError:
    return UserError(
        f"{path} {problem}, which `ros2 bag play` cannot read",
        f"Use `crack_perception replay {path} --out DIR`, which can, or {otherwise}",
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_BYTES)
    except OSError:
        return b""  # open_location says why
