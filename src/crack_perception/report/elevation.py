# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One facet of a survey unfolded to a given scale, with its cracks and their labels; PDF, HTML and CAD draw it."""

from __future__ import annotations

from dataclasses import dataclass

from crack_perception.mapping.export.plan.crack_labels import LabelSize, place_labels, tag_size_mm
from crack_perception.mapping.export.plan.facet_drawing import DrawnCrack
from crack_perception.mapping.export.plan.labels import PlacedLabel
from crack_perception.mapping.export.plan.layout import BOTTOM_MM, LEFT_MM, RIGHT_MM, TITLE_MM, Box, PlacedFacet, extent
from crack_perception.mapping.export.plan.shapes import Array
from crack_perception.report.contents import Survey
from crack_perception.report.summary import cracks_of


@dataclass(frozen=True, eq=False)
class Elevation:
    """A facet on paper.

    Attributes:
        placed: The facet with its frame on the sheet.
        drawn: Its cracks, the most urgent first.
        labels: Of the cracks.
        width_mm, height_mm: Size of the sheet.
    """

    placed: PlacedFacet
    drawn: tuple[DrawnCrack, ...]
    labels: tuple[PlacedLabel, ...]
    width_mm: float
    height_mm: float


def elevation_size_mm(bounds_m: tuple[Array, Array], mm_per_m: float) -> tuple[float, float]:
    """Width and height of the elevation of a facet of an ``extent``, with its title and the numbers of its grid."""
    low, high = bounds_m
    width_mm, height_mm = ((high - low) * mm_per_m).tolist()
    return width_mm + LEFT_MM + RIGHT_MM, height_mm + TITLE_MM + BOTTOM_MM


def draw_elevation(
    survey: Survey, letter: str, mm_per_m: float, most_labels: int, label_size_mm: LabelSize = tag_size_mm
) -> Elevation:
    """Unfold a facet.

    Args:
        letter: Of the facet.
        mm_per_m: Scale: millimetres on paper for a metre.
        most_labels: Number of cracks that are labelled.
        label_size_mm: Of a label.
    """
    facet = survey.facets[letter]
    low, high = extent(facet)
    width_mm, height_mm = elevation_size_mm((low, high), mm_per_m)
    frame = Box(LEFT_MM, TITLE_MM, width_mm - LEFT_MM - RIGHT_MM, height_mm - TITLE_MM - BOTTOM_MM)
    placed = PlacedFacet(letter, facet, frame, low, high, mm_per_m)
    drawn = tuple(
        DrawnCrack(crack.crack, crack.summary, letter, placed.on_paper(crack.crack.line_m), crack.name)
        for crack in cracks_of(survey, letter)
    )
    labels = place_labels([placed], drawn, Box(0.0, 0.0, width_mm, height_mm), most_labels, label_size_mm)
    return Elevation(placed, drawn, tuple(labels), width_mm, height_mm)
