# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Plan of one facet coloured by the finest crack width that its images resolve, as SVG for the documents."""

from __future__ import annotations

from typing import Any

from crack_perception.mapping.export.plan.facet_drawing import crack_layer, grid_layer
from crack_perception.mapping.export.plan.layout import extent, scales
from crack_perception.mapping.export.plan.shapes import Drawing, Group, Path
from crack_perception.mapping.export.plan.svg import svg
from crack_perception.report.contents import Survey
from crack_perception.report.coverage import COLOURS, area_by_class, class_words
from crack_perception.report.document.facet_plan import symbols_of
from crack_perception.report.elevation import draw_elevation, elevation_size_mm

_ROOM_MM = (180.0, 110.0)
_THICKEST_MM = 0.4
_SENTENCE = "Areas are sums of whole cells; together they may differ a little from the inspected area of the summary."


def coverage_values(survey: Survey, letter: str) -> dict[str, Any] | None:
    """The plan and its legend as plain values for a template; None where nothing is known of the facet's coverage."""
    areas = [area for area in survey.covered_areas if area.facet == letter]
    if not areas:
        return None
    bounds_m = extent(survey.facets[letter])
    denominator = next(each for each in scales() if _fits(elevation_size_mm(bounds_m, 1000.0 / each)))
    elevation = draw_elevation(survey, letter, 1000.0 / denominator, 0)
    shapes = [
        Path(elevation.placed.on_paper(area.corners_m), None, fill=COLOURS[area.label], closed=True) for area in areas
    ]
    symbols = symbols_of(survey, elevation, 1000.0 / denominator, _THICKEST_MM)
    layers = (
        Group("coverage", tuple(shapes)),
        grid_layer([elevation.placed], survey.notes.x_heading_deg),
        crack_layer(elevation.drawn, symbols),
    )
    width_mm = max(elevation.width_mm, 60.0)
    drawing = Drawing(width_mm, elevation.height_mm, f"Coverage of facet {letter}", layers)
    by_class = area_by_class(areas)[letter]
    return {
        "svg": svg(drawing),
        "width": width_mm,
        "height": elevation.height_mm,
        "sentence": _SENTENCE,
        "legend": [
            {
                "colour": "#{:02x}{:02x}{:02x}".format(*COLOURS[label]),
                "words": class_words(label),
                "area": f"{area:.1f}",
            }
            for label, area in enumerate(by_class)
            if area > 0.0
        ],
    }


def _fits(size_mm: tuple[float, float]) -> bool:
    return size_mm[0] <= _ROOM_MM[0] and size_mm[1] <= _ROOM_MM[1]
