# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of atomic file replacement, and of the removal of partial files of killed (not of active) writers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crack_perception.errors import UserError
from crack_perception.mapping.storage.atomic_file import partial_path, remove_leftovers, write_atomically

KILLED_WHILE_WRITING = """
import os, sys
from pathlib import Path
from crack_perception.mapping.storage import atomic_file
atomic_file.os.fsync = lambda number: os.kill(os.getpid(), 9)
atomic_file.write_atomically(Path(sys.argv[1]), b"half of it")
"""


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_atomic_file_replaced_completely(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "plan.svg"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and names_in(path.parent) == ["plan.svg"]


def test_atomic_file_failed_write_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "plan.svg").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_atomically(tmp_path / "plan.svg", b"new")
    assert names_in(tmp_path) == ["plan.svg"]


@pytest.mark.parametrize("name", ["plan.svg", "bridge 7? [2].sqlite"])
def test_remove_leftovers_killed_writer_removed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_atomically(path, b"before")
    end = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], capture_output=True)
    assert end.returncode == -9 and len(names_in(tmp_path)) == 2
    (leftover,) = {*names_in(tmp_path)} - {name}
    (tmp_path / f"{leftover}-journal").touch()
    remove_leftovers(path)
    assert names_in(tmp_path) == [name] and path.read_bytes() == b"before"


def test_remove_leftovers_other_writer_kept(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    others = [
        partial_path(path).name,
        f".plan.svg.partial-{os.getppid()}",
        ".plan.svg.partial-",
        ".plan.svg.partial-x1",
    ]
    others += ["plan.svg.partial-999999999", ".plan.png.partial-999999999"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / f".plan.svg.partial-{10**30}").touch()  # no process has such a number
    remove_leftovers(path)
    assert names_in(tmp_path) == sorted(others)


def test_remove_leftovers_none_no_error(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "missing folder" / "plan.svg")
    assert names_in(tmp_path) == []
