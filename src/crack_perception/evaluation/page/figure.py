"""A figure as a person reads it."""

from __future__ import annotations

from typing import NamedTuple

UNKNOWN = "–"


class Figure(NamedTuple):
    """A row: name, value with unit, meaning."""

    name: str
    value: str
    meaning: str


def number(value: float | None, form: str = "g", unit: str = "", factor: float = 1.0) -> str:
    """A figure as text; a dash when it is not known."""
    return UNKNOWN if value is None else f"{value * factor:{form}}{unit}"
