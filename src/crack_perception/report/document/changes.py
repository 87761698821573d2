# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Changes against an earlier survey as plain values for the templates."""

from __future__ import annotations

from typing import Any

from crack_perception.mapping.export.plan.svg import svg
from crack_perception.report.comparison.changes import CrackChange, Status
from crack_perception.report.comparison.drawing import COLOURS, part_of_page
from crack_perception.report.comparison.files import ComparedMaps
from crack_perception.report.comparison.growth import Difference
from crack_perception.report.comparison.wording import PROBABILITY_SENTENCE, TERMS, chance_sentence, summary

# Room on a page of A4 across, below the heading and above the legend.
_ROOM_MM = (267.0, 130.0)
_GROUPS = (("", 2), ("Crack", 2), ("Length", 4), ("Width", 4))
"""Upper row of the table's heading: words and number of columns."""
_HEADINGS = ("No.", "Status", "old", "new", *("old [m]", "new [m]", "change [cm]", "longer"))
_HEADINGS += ("old [mm]", "new [mm]", "change [mm]", "wider")


def changes_values(maps: ComparedMaps) -> dict[str, Any]:
    """Plan, sentences and table of the changes."""
    plan, denominator = part_of_page(maps.drawn, _ROOM_MM, "Changes since the earlier survey")
    result = maps.result
    return {
        "plan": {"svg": svg(plan), "width": plan.width_mm, "height": plan.height_mm, "scale": f"1:{denominator}"},
        "legend": [
            {"colour": _hexadecimal(status), "words": f"{TERMS[status]} ({len(result.of(status))})"}
            for status in Status
            if result.of(status)
        ],
        "surveys": f"Old survey: {maps.old_facts.first_seen[:10]}, {maps.old_facts.cracks} cracks. "
        f"New survey: {maps.new_facts.first_seen[:10]}, {maps.new_facts.cracks} cracks.",
        "sentences": summary(maps.result),
        "groups": [{"words": words, "columns": columns} for words, columns in _GROUPS],
        "headings": list(_HEADINGS),
        "rows": [_row(change) for change in maps.result.changes],
        "note": f"Changes with one standard deviation; longer and wider are probabilities. {PROBABILITY_SENTENCE} "
        f"{chance_sentence(maps.result)}",
    }


def _row(change: CrackChange) -> dict[str, Any]:
    return {
        "number": str(change.number),
        "status": TERMS[change.status],
        "colour": _hexadecimal(change.status),
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


def _hexadecimal(status: Status) -> str:
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[status])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _change(change: Difference | None, factor: float, digits: int) -> str:
    if change is None:
        return "–"
    # A change that rounds to nothing has no sign.
    rounded = round(factor * change.change, digits) + 0.0
    return f"{rounded:{'+' if rounded else ''}.{digits}f} ± {factor * change.sigma:.{digits}f}"


def _probability(change: Difference | None) -> str:
    return "–" if change is None else f"{100 * change.growth_probability:.1f} %"
