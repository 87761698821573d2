# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The table of cracks at the side of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from crack_perception.mapping.export.crack_report import CrackReport
from crack_perception.mapping.export.plan.facet_drawing import DrawnCrack
from crack_perception.mapping.export.plan.layout import Box
from crack_perception.mapping.export.plan.shapes import HAIRLINE, INK, SOFT_INK, Group, Path, Text, rectangle, segment
from crack_perception.mapping.export.plan.symbols import Symbols

# Heading, right edge or left edge in millimetres from the left, alignment.
_COLUMNS: tuple[tuple[str, float, Literal["start", "middle", "end"]], ...] = (
    ("id", 9.0, "end"),
    ("facet", 13.5, "middle"),
    ("length [m]", 31.0, "end"),
    ("mean width [mm]", 54.5, "end"),
    ("max [mm]", 68.5, "end"),
    ("severity", 71.5, "start"),
    ("state", 91.5, "start"),
)
_HEADING_MM = 5.5
_ROW_MM = 3.5
_TIGHT_ROW_MM = 2.75


def table_layer(cracks: Sequence[DrawnCrack], symbols: Symbols, box: Box) -> Group:
    """Rows in the given order, as many as there is room for; the last line says how many are left out."""
    room = box.height - _HEADING_MM
    row_mm = _ROW_MM if len(cracks) * _ROW_MM <= room else _TIGHT_ROW_MM
    most = int(room / row_mm)
    shown = list(cracks) if len(cracks) <= most else list(cracks[: most - 1])
    items = [*_heading(box)]
    for index, drawn in enumerate(shown):
        items += _row(drawn, symbols, box, box.top + _HEADING_MM + index * row_mm, row_mm)
    bottom = box.top + _HEADING_MM + len(shown) * row_mm
    if len(shown) < len(cracks):
        left_out = f"and {len(cracks) - len(shown)} more, see the CSV file"
        items.append(Text((box.left + 3.0, bottom + 0.75 * row_mm), left_out, 2.1, colour=SOFT_INK))
    return Group("table", tuple(items))


def _heading(box: Box) -> Iterator[Path | Text]:
    for name, at_mm, anchor in _COLUMNS:
        yield Text((box.left + at_mm, box.top + 3.6), name, 2.1, anchor, bold=True)
    yield Path(segment(box.left, box.top + 4.9, box.right, box.top + 4.9), INK, 0.25)


def _row(drawn: DrawnCrack, symbols: Symbols, box: Box, top: float, height: float) -> Iterator[Path | Text]:
    size = 2.3 if height == _ROW_MM else 2.05
    base = top + height / 2 + 0.36 * size
    for (_, at_mm, anchor), cell in zip(_COLUMNS, _cells(drawn.report, drawn.facet), strict=True):
        yield Text((box.left + at_mm, base), cell, size, anchor)
    swatch = rectangle(box.left, top + 0.25 * height, 1.6, 0.5 * height)
    yield Path(swatch, INK, 0.1, fill=symbols.tag_colour(drawn.report))
    yield Path(segment(box.left, top + height, box.right, top + height), HAIRLINE, 0.08)


def _cells(report: CrackReport, facet: str) -> tuple[str, ...]:
    if report.mean_width_mm is None:
        width = "?"
    elif report.mean_width_sigma_mm is None:
        width = f"{report.mean_width_mm:.2f}"
    else:
        width = f"{report.mean_width_mm:.2f} +- {report.mean_width_sigma_mm:.2f}"
    return (
        str(report.id),
        facet,
        f"{report.length_m:.2f}",
        width,
        "?" if report.max_width_mm is None else f"{report.max_width_mm:.2f}",
        report.severity.verdict,
        report.state.value,
    )
