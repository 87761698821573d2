# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Plan of one facet for a page of a document, as SVG at a round scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from crack_perception.mapping.export.plan.crack_labels import MOST_LABELS, label_layer, tag_size_mm
from crack_perception.mapping.export.plan.facet_drawing import crack_layer, grid_layer
from crack_perception.mapping.export.plan.layout import PlacedFacet, extent, scales
from crack_perception.mapping.export.plan.shapes import (
    INK,
    SOFT_INK,
    WHITE,
    Drawing,
    Group,
    Path,
    Text,
    rectangle,
    simplified,
)
from crack_perception.mapping.export.plan.svg import svg
from crack_perception.mapping.export.plan.symbols import SEEN, SEEN_BORDER, THINNEST_MM, Symbols
from crack_perception.report.contents import Survey, inspected_outlines_m
from crack_perception.report.document.underlay import orthophoto_layer, orthophotos_of, underlay_note
from crack_perception.report.elevation import Elevation, draw_elevation, elevation_size_mm
from crack_perception.vision.annotate import severity_colour

PORTRAIT_MM = (180.0, 215.0)
LANDSCAPE_MM = (267.0, 132.0)
"""Room for a plan on a page of A4."""

_BAR_MM = 9.0
_THICKEST_MM = 0.9
# Letters of the fonts that may replace Helvetica are up to this much wider.
_WIDER = 1.15
_BAR_LENGTHS_M = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


@dataclass(frozen=True)
class FacetPlan:
    """A facet drawn for a page.

    Attributes:
        svg: The drawing.
        width_mm, height_mm: Its size on the page.
        denominator: Its scale is 1 to this.
        is_landscape: Whether it needs a page in landscape.
        unlabelled: Number of cracks without a label, for lack of room.
        width_factor: Line width on paper for a crack's width.
    """

    svg: str
    width_mm: float
    height_mm: float
    denominator: int
    is_landscape: bool
    unlabelled: int
    width_factor: float


def facet_plan(survey: Survey, letter: str) -> FacetPlan:
    """Draw a facet at the greatest round scale that a page of A4, upright or across, has room for."""
    bounds_m = extent(survey.facets[letter])
    fitting = []
    for is_landscape, room_mm in ((False, PORTRAIT_MM), (True, LANDSCAPE_MM)):
        for denominator in scales():
            size_mm = elevation_size_mm(bounds_m, 1000.0 / denominator)
            if size_mm[0] <= room_mm[0] and size_mm[1] + _BAR_MM <= room_mm[1]:
                fitting.append((denominator, is_landscape))
                break
    denominator, is_landscape = min(fitting)
    mm_per_m = 1000.0 / denominator
    elevation = draw_elevation(survey, letter, mm_per_m, MOST_LABELS, _label_size_mm)
    symbols = symbols_of(survey, elevation, mm_per_m, _THICKEST_MM)
    underlay = orthophotos_of(survey, elevation.placed.facet)
    layers = (
        orthophoto_layer(elevation.placed, underlay),
        _inspected(elevation.placed, bool(underlay)),
        grid_layer([elevation.placed], survey.notes.x_heading_deg),
        crack_layer(elevation.drawn, symbols),
        label_layer(elevation.labels, elevation.drawn, symbols),
        _scale_bar(elevation, denominator),
    )
    width_mm, height_mm = max(elevation.width_mm, 60.0), elevation.height_mm + _BAR_MM
    drawing = Drawing(width_mm, height_mm, f"Facet {letter}", layers)
    unlabelled = len(elevation.drawn) - len(elevation.labels)
    return FacetPlan(svg(drawing), width_mm, height_mm, denominator, is_landscape, unlabelled, symbols.width_factor)


def symbols_of(survey: Survey, elevation: Elevation, mm_per_m: float, thickest_mm: float) -> Symbols:
    """Symbols of the cracks of an elevation; the widest ones are drawn at most so thick."""
    return Symbols.fitting(
        survey.scale,
        severity_colour,
        np.array([item.report.mean_width_mm for item in elevation.drawn if item.report.mean_width_mm is not None]),
        np.array([item.report.length_m * mm_per_m for item in elevation.drawn]),
        thickest_mm,
    )


def plan_values(survey: Survey, letter: str) -> dict[str, Any]:
    """Plan of a facet as plain values for a template."""
    plan = facet_plan(survey, letter)
    times = "as wide as the cracks" if plan.width_factor == 1 else f"{plan.width_factor:g} times as wide as the cracks"
    notes = [
        f"Scale 1:{plan.denominator}. Lines are {times} on paper, at least {THINNEST_MM:g} mm.",
        "Labels: crack, length, greatest width.",
    ]
    notes += [underlay_note(each) for each in orthophotos_of(survey, survey.facets[letter])]
    if plan.unlabelled:
        plural = "cracks have" if plan.unlabelled > 1 else "crack has"
        notes.append(f"{plan.unlabelled} {plural} no label for lack of room; the table names them all.")
    return {
        "svg": plan.svg,
        "width": plan.width_mm,
        "height": plan.height_mm,
        "scale": f"1:{plan.denominator}",
        "landscape": plan.is_landscape,
        "note": " ".join(notes),
    }


def _label_size_mm(name: str, words: str) -> tuple[float, float]:
    width_mm, height_mm = tag_size_mm(name, words)
    return _WIDER * width_mm, height_mm


def _inspected(placed: PlacedFacet, has_picture: bool) -> Group:
    """Union of the inspected areas in grey, its holes white; outlines only over a picture."""
    items = []
    for ring_m, is_hole in inspected_outlines_m(placed.facet):
        fill = WHITE if is_hole else SEEN
        ring = simplified(placed.flat_on_paper(ring_m), closed=True)
        items.append(Path(ring, SEEN_BORDER, 0.2, fill=None if has_picture else fill, closed=True))
    return Group("inspected", tuple(items))


def _scale_bar(elevation: Elevation, denominator: int) -> Group:
    mm_per_m = 1000.0 / denominator
    unit_m = max((each for each in _BAR_LENGTHS_M if 4 * each * mm_per_m <= 60.0), default=_BAR_LENGTHS_M[0])
    unit_mm, left, top = unit_m * mm_per_m, elevation.placed.box.left, elevation.height_mm + 0.5
    items: list[Path | Text] = [
        Path(rectangle(left + index * unit_mm, top, unit_mm, 1.4), INK, 0.15, fill=INK if index % 2 == 0 else WHITE)
        for index in range(4)
    ]
    for index in (0, 2, 4):
        text = f"{index * unit_m:g}" + (" m" if index == 4 else "")
        items.append(Text((left + index * unit_mm, top + 4.2), text, 2.1, "middle"))
    items.append(Text((left + 4 * unit_mm + 8.0, top + 1.8), f"scale 1:{denominator}", 2.4, colour=SOFT_INK))
    return Group("scale", tuple(items))
