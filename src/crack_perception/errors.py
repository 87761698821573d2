# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Errors that a user can fix (problem, location, remedy), and printable text for logs."""

from __future__ import annotations

import errno

_MOST_CHARACTERS = 480


class UserError(Exception):
    """Error caused by a bad file, parameter, model or bag.

    Args:
        problem: What is wrong and where (names the file, topic or parameter).
        remedy: What to do about it.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}. {self.remedy}" if self.remedy else self.problem


class UsageError(UserError):
    """Wrong use of the command line (exit code 2)."""


def check_text(path: object, what: str) -> None:
    """Refuse a path with bytes that are not UTF-8, where ROS 2 or a library takes text alone.

    Raises:
        UserError: It has such bytes.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: {what} is not UTF-8", "Rename it, or choose another path") from error


def printable(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Return a text as one line without control characters, which names from messages and files may contain.

    Args:
        most: A longer text is shortened in its middle to this number of characters.
    """
    if len(text) > most:
        ellipsis = " [...] "
        head = (most - len(ellipsis)) // 2
        text = text[:head] + ellipsis + text[head + len(ellipsis) - most :]
    if text.isprintable():
        return text
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= most else printable(shown, most)


_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def without_control(text: str) -> str:
    """Return a text of several lines with its other control characters escaped, for a terminal."""
    return text.translate(_CONTROL)


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NO_PERMISSION = {errno.EACCES, errno.EPERM}


def file_error(
    path: object, error: OSError, remedy: str = "Check the path and its disk", verb: str = "written"
) -> UserError:
    """Return the UserError for a file that cannot be written, or used in another way, by error number.

    Args:
        path: The file or folder.
        error: Error of the operating system.
        remedy: Remedy for other error numbers.
        verb: What cannot be done with it, as a participle.
    """
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        reason, remedy = "the disk is full", "Make room, or choose a folder on another disk"
    elif error.errno == errno.EROFS:
        reason, remedy = "the disk is read-only", "Choose a folder on another disk"
    elif error.errno in _NO_PERMISSION:
        reason, remedy = "permission denied", "Change its owner or permissions, or choose another folder"
    elif error.errno == errno.EFBIG:
        reason, remedy = "the limit of file sizes is reached", "Raise it with `ulimit -f`"
    elif error.errno == errno.EIO:
        reason, remedy = "the disk reports an input/output error", "Check the disk and its cable"
    elif error.errno == errno.EBADF:
        reason, remedy = "it is closed", "Open it, or redirect it to a file"
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        reason, remedy = "too many files are open", "Raise the limit with `ulimit -n`"
    return UserError(f"{path}: cannot be {verb} ({reason})", remedy)
