# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A comparison as one HTML file without anything from outside: summary, plan, table."""

from __future__ import annotations

from html import escape

from crack_perception.report.comparison.changes import Comparison, CrackChange
from crack_perception.report.comparison.document import SurveyFacts
from crack_perception.report.comparison.drawing import COLOURS
from crack_perception.report.comparison.growth import Difference
from crack_perception.report.comparison.wording import PROBABILITY_SENTENCE, TERMS, chance_sentence, summary

_STYLE = """
body { font: 15px/1.5 "Liberation Sans", Arial, Helvetica, sans-serif; color: #212529; margin: 2rem auto;
       max-width: 78rem; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p { margin: 0.4rem 0; max-width: 60rem; } .soft { color: #5a626a; }
.plan svg { width: 100%; height: auto; border: 1px solid #cdd1d5; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { text-align: right; border-bottom: 2px solid #212529; padding: 0.3rem 0.5rem; vertical-align: bottom; }
td { text-align: right; border-bottom: 1px solid #e3e6e9; padding: 0.25rem 0.5rem; white-space: nowrap; }
th.text, td.text { text-align: left; white-space: normal; }
.status { display: inline-block; border-left: 0.5rem solid; padding-left: 0.45rem; }
@media print { body { margin: 0; max-width: none; } tr { break-inside: avoid; } }
"""

_HEADINGS = (
    ("no.", ""),
    ("status", "text"),
    ("significance", ""),
    ("crack, old", "text"),
    ("crack, new", "text"),
    ("length, old<br>[m]", ""),
    ("new<br>[m]", ""),
    ("change<br>[cm]", ""),
    ("longer,<br>probability", ""),
    ("width, old<br>[mm]", ""),
    ("new<br>[mm]", ""),
    ("change<br>[mm]", ""),
    ("wider,<br>probability", ""),
    ("remarks", "text"),
)


def comparison_page(result: Comparison, old: SurveyFacts, new: SurveyFacts, title: str, plan_svg: str) -> str:
    """The page as text.

    Args:
        plan_svg: The plan as an SVG document.
    """
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in summary(result))
    surveys = "".join(
        f"<p class='soft'>{name}: {escape(facts.file)}, {facts.cracks} cracks, {escape(facts.first_seen[:10])} to "
        f"{escape(facts.last_seen[:10])}</p>"
        for name, facts in (("Old survey", old), ("New survey", new))
    )
    heading = "".join(f"<th class='{kind}' scope='col'>{name}</th>" for name, kind in _HEADINGS)
    rows = "".join(_row(change) for change in result.changes)
    drawing = plan_svg[plan_svg.index("<svg") :]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{surveys}<h2>Summary</h2>{sentences}"
        f"<h2>Plan</h2><div class='plan'>{drawing}</div>"
        f"<h2>Cracks</h2><table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table>"
        "<p class='soft'>Changes with one standard deviation. Lengths are compared along the common line of both "
        "surveys, so that a crack that was mapped in fragments counts once; widths along the stretch that both have. "
        f"{escape(PROBABILITY_SENTENCE)} {escape(chance_sentence(result))}</p></body></html>\n"
    )


def _row(change: CrackChange) -> str:
    colour = "#{:02x}{:02x}{:02x}".format(*COLOURS[change.status])
    cells = (
        str(change.number),
        f"<span class='status' style='border-color:{colour}'>{TERMS[change.status]}</span>",
        f"{change.significance:.1%}",
        escape(", ".join(map(str, change.old_ids))),
        escape(", ".join(map(str, change.new_ids))),
        _number(change.length_old_m),
        _number(change.length_new_m),
        _change(change.length, 100.0, 1),
        _probability(change.length),
        _number(change.width_old_mm),
        _number(change.width_new_mm),
        _change(change.width, 1.0, 2),
        _probability(change.width),
        escape("; ".join(([change.name] if change.name else []) + list(change.remarks))),
    )
    return (
        "<tr>"
        + "".join(f"<td class='{kind}'>{cell}</td>" for cell, (_, kind) in zip(cells, _HEADINGS, strict=True))
        + "</tr>"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _change(change: Difference | None, factor: float, digits: int) -> str:
    if change is None:
        return ""
    return f"{factor * change.change:+.{digits}f} &plusmn; {factor * change.sigma:.{digits}f}"


def _probability(change: Difference | None) -> str:
    return "" if change is None else f"{change.growth_probability:.1%}"
