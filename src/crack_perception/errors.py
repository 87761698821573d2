"""Errors that a user can fix: what is wrong, where, and what to do."""

from __future__ import annotations

import errno


class UserError(Exception):
    """A mistake outside the program: a bad file, parameter, model or bag.

    Args:
        problem: What was wrong and where (names the file, topic or parameter).
        remedy: What to do about it.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}. {self.remedy}" if self.remedy else self.problem


class UsageError(UserError):
    """The command line was used wrongly (exit code 2)."""


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NO_PERMISSION = {errno.EACCES, errno.EPERM}
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR}


def file_error(path: object, error: OSError, remedy: str = "") -> UserError:
    """The user's view of an error of the file system, classified by its number.

    Args:
        path: The file or folder that was used.
        error: What the system reported.
        remedy: What to do where the number leaves it open.
    """
    if error.errno in _NO_ROOM:
        return UserError(f"{path}: the disk is full", "Make room, or choose a folder on another disk")
    if error.errno == errno.EROFS:
        return UserError(f"{path}: the disk is read-only", "Choose a folder on another disk")
    if error.errno in _NO_PERMISSION:
        return UserError(f"{path}: permission denied", "Change its owner or permissions, or choose another one")
    if error.errno in _NO_FOLDER:
        return UserError(f"{path}: no such file or folder", remedy or "Check the path")
    if error.errno == errno.EIO:
        return UserError(f"{path}: the disk reports an input/output error", "Check the disk and its cable")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return UserError(f"{path}: too many files are open", "Raise the limit with `ulimit -n`")
    return UserError(f"{path}: {error.strerror or error}", remedy or "Check the path and its disk")
