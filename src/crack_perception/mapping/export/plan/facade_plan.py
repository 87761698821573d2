# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The crack map as a plan on one A3 sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

import numpy as np

from crack_perception.mapping.export.crack_report import CrackReport, crack_report
from crack_perception.mapping.export.plan.crack_labels import label_layer, place_labels, worst_first
from crack_perception.mapping.export.plan.facet_drawing import (
    DrawnCrack,
    crack_layer,
    grid_layer,
    seen_layer,
    truth_layer,
)
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.mapping.export.plan.key_plan import key_plan_layer
from crack_perception.mapping.export.plan.labels import PlacedLabel
from crack_perception.mapping.export.plan.layout import place
from crack_perception.mapping.export.plan.png import png
from crack_perception.mapping.export.plan.shapes import SOFT_INK, Array, Drawing, Group, Text
from crack_perception.mapping.export.plan.sheet import (
    DRAWING_AREA,
    KEY_PLAN_AREA,
    PAGE_HEIGHT_MM,
    PAGE_WIDTH_MM,
    TABLE_AREA,
    PlanNotes,
    legend_layer,
    sheet_layer,
    title_block_layer,
)
from crack_perception.mapping.export.plan.surfaces import Surfaces
from crack_perception.mapping.export.plan.svg import svg
from crack_perception.mapping.export.plan.symbols import SeverityColour, Symbols
from crack_perception.mapping.export.plan.table import table_layer
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.atomic_file import write_atomically
from crack_perception.recognition.severity import SeverityScale

# More would leave no room for any of them.
_MOST_FACETS = 12


@dataclass(frozen=True, eq=False)
class Plan:
    """A drawn plan.

    Attributes:
        drawing: The sheet.
        labels: Where the labels of the cracks are, by their ids.
    """

    drawing: Drawing
    labels: tuple[PlacedLabel, ...]

    def svg(self) -> str:
        """The sheet as SVG, one group a layer and a crack (``crack-ID``)."""
        return svg(self.drawing)

    def png(self, dots_per_inch: float = 200.0) -> bytes:
        """The sheet as PNG."""
        return png(self.drawing, dots_per_inch)

    def write(self, svg_path: FilePath, png_path: FilePath) -> None:
        """Write both files, each atomically.

        Raises:
            UserError: A file cannot be written.
        """
        write_atomically(svg_path, self.svg().encode())
        write_atomically(png_path, self.png())


def draw_plan(
    cracks: Sequence[MappedCrack],
    scale: SeverityScale,
    notes: PlanNotes,
    severity_colour: SeverityColour,
    seen_areas_m: Sequence[Array] = (),
    truth_m: Sequence[Array] = (),
    severities: Mapping[int, str] | None = None,
    surfaces: Surfaces | None = None,
) -> Plan:
    """Draw a map, unfolded: every flat part of the structure as seen by the camera, all to one scale.

    Args:
        severity_colour: Blue, green, red of a severity from 0 to 1, None for undetermined: the live picture's.
        seen_areas_m: Inspected areas, polygons (M, 3) in the map, clockwise as seen by the camera.
        truth_m: Known centrelines (N, 3) of cracks, to draw over the map.
        severities: Class of a crack by its id where it is not the measured one, as reviewers have set it.
        surfaces: Facets of the whole map, with the ids of ``cracks``; without them those of ``cracks`` and areas.
    """
    reports = {
        crack.id: _with_severity(crack_report(crack, scale), (severities or {}).get(crack.id)) for crack in cracks
    }
    surfaces = surfaces or Surfaces.of(cracks, seen_areas_m)
    members = {facet.name: on_it for facet, on_it in zip(surfaces.facets, surfaces.cracks_on(cracks), strict=True)}
    denominator, placed = place(_most_telling(surfaces.facets, members), DRAWING_AREA)
    mm_per_m = 1000.0 / denominator
    drawn = worst_first(
        DrawnCrack(crack, reports[crack.id], facet.name, facet.on_paper(crack.line_m))
        for facet in placed
        for crack in members[facet.name]
    )
    symbols = Symbols.fitting(
        scale,
        severity_colour,
        np.array([item.report.mean_width_mm for item in drawn if item.report.mean_width_mm is not None]),
        np.array([item.report.length_m * mm_per_m for item in drawn]),
    )
    labels = place_labels(placed, drawn, DRAWING_AREA)
    layers = (
        sheet_layer(),
        seen_layer(placed),
        grid_layer(placed, notes.x_heading_deg),
        crack_layer(drawn, symbols),
        truth_layer(placed, truth_m),
        label_layer(labels, drawn, symbols),
        table_layer(drawn, symbols, TABLE_AREA),
        legend_layer(symbols, mm_per_m, bool(seen_areas_m), bool(truth_m)),
        key_plan_layer(placed, notes.x_heading_deg, KEY_PLAN_AREA),
        title_block_layer(notes, list(reports.values()), scale, f"1:{denominator}" if placed else "-"),
        _remarks(len(cracks), len(drawn), len(labels)),
    )
    return Plan(Drawing(PAGE_WIDTH_MM, PAGE_HEIGHT_MM, notes.title, layers), tuple(labels))


def _with_severity(report: CrackReport, chosen: str | None) -> CrackReport:
    return report if chosen is None else replace(report, severity=replace(report.severity, verdict=chosen))


def _most_telling(facets: Sequence[Facet], members: Mapping[str, Sequence[MappedCrack]]) -> list[Facet]:
    """At most as many facets as the sheet has room for, those with most cracks, in their order; no empty ones."""
    shown = [facet for facet in facets if members[facet.name] or facet.seen_m]
    ranked = sorted(shown, key=lambda facet: -sum(crack.length_m for crack in members[facet.name]))[:_MOST_FACETS]
    return [facet for facet in shown if any(facet is kept for kept in ranked)]


def _remarks(cracks: int, drawn: int, labelled: int) -> Group:
    """Note on the plan about the cracks that are not drawn."""
    if not cracks:
        x, y = DRAWING_AREA.left + DRAWING_AREA.width / 2, DRAWING_AREA.bottom - 4.0
        return Group("remarks", (Text((x, y), "There are no cracks in the map.", 4.0, "middle", colour=SOFT_INK),))
    remarks = []
    if drawn < cracks:
        remarks.append(f"{cracks - drawn} cracks are not drawn: no room for their surfaces, or none known.")
    if labelled < drawn:
        remarks.append(f"{drawn - labelled} cracks have no label for lack of room.")
    at = (DRAWING_AREA.left + 2.0, DRAWING_AREA.bottom - 1.0)
    words = " ".join([*remarks, "The files name them all."])
    return Group("remarks", (Text(at, words, 2.3, colour=SOFT_INK),) if remarks else ())
