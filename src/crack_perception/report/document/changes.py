# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Changes against an earlier survey as plain values for the templates."""

from __future__ import annotations

from typing import Any

from crack_perception.mapping.export.plan.svg import svg
from crack_perception.report.comparison.changes import CrackChange
from crack_perception.report.comparison.drawing import COLOURS
from crack_perception.report.comparison.files import ComparedMaps
from crack_perception.report.comparison.growth import Difference
from crack_perception.report.comparison.wording import PROBABILITY_SENTENCE, TERMS, chance_sentence, summary

# The plan is A3; on a page of A4 across it has this height.
_PLAN_HEIGHT_MM = 155.0
_HEADINGS = (
    ("No.", "What has happened", "Crack, old", "Crack, new")
    + ("Length, old [m]", "new [m]", "change [cm]", "longer")
    + ("Width, old [mm]", "new [mm]", "change [mm]", "wider")
)


def changes_values(maps: ComparedMaps) -> dict[str, Any]:
    """Plan, sentences and table of the changes."""
    plan = maps.plan("Changes since the earlier survey")
    return {
        "plan": {
            "svg": svg(plan),
            "width": plan.width_mm * _PLAN_HEIGHT_MM / plan.height_mm,
            "height": _PLAN_HEIGHT_MM,
        },
        "sentences": summary(maps.result),
        "headings": list(_HEADINGS),
        "rows": [_row(change) for change in maps.result.changes],
        "note": f"Changes with one standard deviation; longer and wider are probabilities. {PROBABILITY_SENTENCE} "
        f"{chance_sentence(maps.result)}",
    }


def _row(change: CrackChange) -> dict[str, Any]:
    return {
        "number": str(change.number),
        "status": TERMS[change.status],
        "colour": "#{:02x}{:02x}{:02x}".format(*COLOURS[change.status]),
        "old": ", ".join(map(str, change.old_ids)),
        "new": ", ".join(map(str, change.new_ids)),
        "figures": [
            _number(change.length_old_m),
            _number(change.length_new_m),
            _change(change.length, 100.0, 1),
            _probability(change.length),
            _number(change.width_old_mm),
            _number(change.width_new_mm),
            _change(change.width, 1.0, 2),
            _probability(change.width),
        ],
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _change(change: Difference | None, factor: float, digits: int) -> str:
    if change is None:
        return "–"
    return f"{factor * change.change:+.{digits}f} ± {factor * change.sigma:.{digits}f}"


def _probability(change: Difference | None) -> str:
    return "–" if change is None else f"{change.growth_probability:.1%}"
