# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack map section of the page: plan with the true cracks overlaid, and table of the mapped objects."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from crack_perception.evaluation.metrics.detections import FloatArray
from crack_perception.evaluation.metrics.map_accuracy import MapAccuracy, ObjectOutcome
from crack_perception.evaluation.page.figures import number
from crack_perception.mapping.export.crack_report import CrackReport, crack_report, iso_time
from crack_perception.mapping.export.plan.facade_plan import draw_plan
from crack_perception.mapping.export.plan.sheet import PlanNotes
from crack_perception.mapping.export.typesetting import typeset
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.recognition.severity import SeverityScale
from crack_perception.simulation.flight.truth import Truth
from crack_perception.vision.annotate import severity_colour

# A page needs no more rows: the CSV lists all objects.
_MAX_ROWS = 25
# Footprints overlap widely: a subset shows the whole inspected surface.
_MAX_FOOTPRINTS = 120
_DUPLICATE_SHARE = 0.5
_HEADINGS = ("id", "state", "length", "width, mean / max", "severity", "position σ", "frames", "against the truth")


def map_section(
    cracks: Sequence[MappedCrack],
    accuracy: MapAccuracy,
    truth: Truth | None,
    footprints_m: Sequence[FloatArray],
    scale: SeverityScale,
    map_frame: str,
) -> str:
    """Return the section as HTML.

    Args:
        cracks: Mapped cracks.
        accuracy: Evaluation of the map.
        truth: Truth of the flight, whose cracks are overlaid; None without truth.
        footprints_m: Footprints of the frames, polygons (M, 3) in the map frame.
        scale: Severity classes.
        map_frame: Name of the map frame.
    """
    shown_m = footprints_m[:: max(1, -(-len(footprints_m) // _MAX_FOOTPRINTS))]
    true_lines_m = [crack.polyline_m for crack in truth.cracks] if truth is not None else []
    newest_ns = max((crack.last_seen_ns for crack in cracks), default=None)
    notes = PlanNotes(date="" if newest_ns is None else iso_time(newest_ns)[:10], map_frame=map_frame)
    plan = draw_plan(cracks, scale, notes, severity_colour, shown_m, true_lines_m)
    picture = base64.b64encode(plan.svg().encode()).decode("ascii")
    overlay = " The thin lines are the true cracks." if true_lines_m else ""
    return (
        "<section><h2>Crack map</h2>"
        f'<p class="lead">Cracks fused by crack_mapper, on the unfolded surface.{overlay} Plan, GeoJSON, '
        "CSV and database are in the folder map beside this page.</p>"
        f'<div class="card plan"><img src="data:image/svg+xml;base64,{picture}" alt="Plan of the cracks"></div>'
        f"{_table(cracks, accuracy, scale)}</section>"
    )


def _table(cracks: Sequence[MappedCrack], accuracy: MapAccuracy, scale: SeverityScale) -> str:
    outcomes = {outcome.id: outcome for outcome in accuracy.outcomes}
    reports = [crack_report(crack, scale) for crack in cracks]
    reports.sort(key=lambda report: (report.state is not CrackState.CONFIRMED, -report.length_m, report.id))
    evaluated = bool(outcomes)
    headings = _HEADINGS if evaluated else _HEADINGS[:-1]
    rows = ["<tr>" + "".join(f"<th>{escape(heading)}</th>" for heading in headings) + "</tr>"]
    for report in reports[:_MAX_ROWS]:
        cells = _cells(report)
        if evaluated:
            cells.append(_outcome_text(outcomes.get(report.id)))
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    left = len(reports) - _MAX_ROWS
    rest = f'<p class="lead">{left} more objects are listed in crack_map.csv.</p>' if left > 0 else ""
    return (
        f'<table class="cracks">{"".join(rows)}</table>{rest}' if reports else '<p class="lead">The map is empty.</p>'
    )


def _cells(report: CrackReport) -> list[str]:
    widths = f"{number(report.mean_width_mm, '.2f')} / {number(report.max_width_mm, '.2f')} mm"
    return [
        str(report.id),
        report.state.value,
        f"{report.length_m:.2f} m",
        widths,
        typeset(report.severity.verdict),
        number(report.position_sigma_m, ".0f", " mm", 1000),
        str(report.views),
    ]


def _outcome_text(outcome: ObjectOutcome | None) -> str:
    if outcome is None:
        return ""
    if not outcome.is_true:
        return "false: no crack there"
    return "duplicate" if outcome.duplicate_share >= _DUPLICATE_SHARE else "true crack"
