# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the classification of disk and SQLite errors, which depends on the error number only."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from crack_perception.errors import file_error, printable, without_control
from crack_perception.mapping.storage.database_file import explained, is_damage

MISLEADING = Path("/data/full/locked/readonly/No space/map.sqlite")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "input/output"),
        (errno.EISDIR, "directory"),
    ],
)
def test_file_error_number_decides_the_reason(number: int, expected: str) -> None:
    error = file_error(MISLEADING, OSError(number, "is a directory named full"))
    assert expected in error.problem.removeprefix(str(MISLEADING))
    assert error.remedy


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EIO, "full and locked", str(MISLEADING)), "cannot be saved"),
        (OSError(errno.ENOSPC, "x"), "the disk is full"),
        (PermissionError(errno.EACCES, "x"), "cannot be written"),
        (sqlite3.OperationalError("no such table: full"), "cannot be saved"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (sqlite3.OperationalError("database is locked"), "in use by another"),
    ],
)
def test_explained_text_and_path_do_not_decide(error: Exception, expected: str) -> None:
    assert expected in explained(MISLEADING, error).problem.removeprefix(str(MISLEADING))


def test_explained_real_lock_is_named(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a") as first:
        first.execute("CREATE TABLE t (x)")
        first.execute("BEGIN EXCLUSIVE")
        second = sqlite3.connect(tmp_path / "a", timeout=0)
        with pytest.raises(sqlite3.Error) as caught:
            second.execute("INSERT INTO t VALUES (1)")
        second.close()
    first.close()
    assert "in use by another" in explained(MISLEADING, caught.value).problem
    assert not is_damage(caught.value)


def test_is_damage_real_junk_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"junk" * 1000)
    database = sqlite3.connect(tmp_path / "a")
    with pytest.raises(sqlite3.Error) as caught:
        database.execute("SELECT * FROM sqlite_master")
    database.close()
    assert is_damage(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("frame 'Kamera \u00fc'", "frame 'Kamera \u00fc'"),
        ("a\n[INFO] all is well", "a\\n[INFO] all is well"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x00", "\\x00"),
        ("\ud800", "\\ud800"),
    ],
)
def test_printable_control_characters_are_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize("text", ["x" * 1000, "\n" * 1000, "begin" + "\x00" * 90 + "end"])
def test_printable_long_text_is_shortened_in_its_middle(text: str) -> None:
    shown = printable(text, 100)
    assert len(shown) <= 100 and shown.isprintable() and "[...]" in shown
    assert (shown[:3], shown[-3:]) == (printable(text[:3])[:3], printable(text[-3:])[-3:])


def test_without_control_keeps_lines_and_names_and_escapes_the_rest() -> None:
    assert without_control("Br\u00fccke \u88c2\n\tnode.log") == "Br\u00fccke \u88c2\n\tnode.log"
    assert without_control("\x1b[31mred\x07\r\x9b31m") == "\\x1b[31mred\\x07\\x0d\\x9b31m"
