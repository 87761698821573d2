"""The one exception that means: the user can mend this, and here is how."""

from __future__ import annotations


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
