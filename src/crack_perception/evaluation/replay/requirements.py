# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Requirements on the figures of a report, such as ``recall>=0.9,dropped==0``, for the exit code of a user's CI."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from crack_perception.errors import UsageError

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "recall": "accuracy.crack_recall",
        "false_regions": "accuracy.false_regions_per_frame",
        "position_error_m": "accuracy.position_error_m.median",
        "width_error_mm": "accuracy.width_mae_mm",
        "severity_accuracy": "accuracy.severity_accuracy",
        "undetermined": "accuracy.undetermined_rate",
        "map_recall": "map.recall",
        "map_duplicates": "map.duplicates",
        "map_false": "map.false_objects",
        "map_position_error_m": "map.position_error_m.median",
        "map_width_error_mm": "map.width_mae_mm",
        "map_length_error": "map.length_error",
        "cracks": "map.objects.confirmed",
        "sent": "frames.sent",
        "received": "frames.received",
        "processed": "frames.processed",
        "dropped": "frames.dropped",
        "failed": "frames.failed",
        "rate_hz": "rate_hz",
        "age_ms": "age_ms.p95",
        "jitter_ms": "jitter_ms.max",
        "cpu_percent": "cpu_percent",
        "rss_mb": "rss_mb",
        "problems": "problems",
    }
)
"""Short name -> path in the report; a list counts with its length. Other figures are named by their path."""

_GROUPS = ("accuracy.", "map.", "frames.", "age_ms.", "jitter_ms.", "playback.", "pace.")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {
        ">=": operator.ge,
        "<=": operator.le,
        "==": operator.eq,
        "!=": operator.ne,
        ">": operator.gt,
        "<": operator.lt,
    }
)
_FORM = re.compile(r"\s*([a-z][\w.]*)\s*(>=|<=|==|!=|>|<)\s*([-+.\deE]+)\s*(%?)\s*")


@dataclass(frozen=True)
class Requirement:
    """One requirement.

    Attributes:
        text: As it was given.
        path: Path of the figure in the report.
        comparison: ``>=``, ``<=``, ``==``, ``!=``, ``>`` or ``<``.
        limit: Number that the figure is compared with.
    """

    text: str
    path: str
    comparison: str
    limit: float

    def check(self, report: Mapping[str, Any]) -> tuple[bool, float | None]:
        """Return whether a report meets it, and the figure; an unknown figure does not meet it."""
        value: Any = report
        for part in self.path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = len(value)
        if not isinstance(value, int | float) or math.isnan(value):
            return False, None
        return _COMPARISONS[self.comparison](float(value), self.limit), float(value)


def parse_requirements(texts: Sequence[str]) -> tuple[Requirement, ...]:
    """Parse requirements, each text one or several separated by commas.

    Raises:
        UsageError: A requirement has another form, or names an unknown figure.
    """
    return tuple(_parsed(part) for text in texts for part in text.split(",") if part.strip())


def requirement_results(requirements: Sequence[Requirement], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each requirement with the figure and whether it is met, as in ``report.json``."""
    results = []
    for requirement in requirements:
        is_met, value = requirement.check(report)
        results.append({"requirement": requirement.text, "figure": requirement.path, "value": value, "met": is_met})
    return results


def result_line(result: Mapping[str, Any]) -> str:
    """Return one line for the terminal."""
    value = "not known" if result["value"] is None else f"{result['value']:g}"
    return f"{'met' if result['met'] else 'NOT MET':<10} {result['requirement']} ({result['figure']} is {value})"


def _parsed(text: str) -> Requirement:
    match = _FORM.fullmatch(text)
    try:
        limit = float(match[3]) if match else math.nan
    except ValueError:
        limit = math.nan
    if match is None or not math.isfinite(limit):
        raise UsageError(
            f"--require {text.strip()} is not of the form NAME>=NUMBER", "For example recall>=0.9,dropped==0"
        )
    name = match[1]
    path = NAMES.get(name, name)
    if name not in NAMES and not name.startswith(_GROUPS):
        near = difflib.get_close_matches(name, NAMES, 3) or sorted(NAMES)
        raise UsageError(f"--require names the unknown figure '{name}'", f"Known: {', '.join(near)}")
    return Requirement(text.strip(), path, match[2], limit / 100.0 if match[4] else limit)
