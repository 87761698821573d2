"""Errors that the user can fix, and texts that are fit to be logged."""

from __future__ import annotations

_MOST_CHARACTERS = 480


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


def printable(text: str, most: int = _MOST_CHARACTERS) -> str:
    """A text as one line without control characters, which names from messages and files may hold.

    Args:
        most: A longer text is shortened in its middle to this number of characters.
    """
    if len(text) > most:
        left_out = " [...] "
        head = (most - len(left_out)) // 2
        text = text[:head] + left_out + text[head + len(left_out) - most :]
    if text.isprintable():
        return text
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= most else printable(shown, most)
