# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Small plan of a structure for the index page: its facets beside each other with cracks in severity colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.export.crack_report import width_of
from crack_perception.mapping.export.plan.facet_drawing import seen_layer
from crack_perception.mapping.export.plan.layout import Box, place
from crack_perception.mapping.export.plan.shapes import INK, SOFT_INK, Drawing, Group, Path, Text, rectangle, simplified
from crack_perception.mapping.export.plan.surfaces import Surfaces
from crack_perception.mapping.export.plan.svg import svg
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.recognition.severity import SeverityScale
from crack_perception.vision.annotate import severity_colour

Array = npt.NDArray[np.float64]

_WIDTH_MM, _HEIGHT_MM = 200.0, 70.0
# The page of a hundred structures stays small.
_MOST_FACETS, _MOST_CRACKS = 8, 400
_LINE_MM, _FRAME_MM, _LETTERS_MM = 0.7, 0.2, 3.0


def small_plan(
    cracks: Sequence[MappedCrack], inspected_areas_m: Sequence[Array], scale: SeverityScale, title: str
) -> str | None:
    """The plan as SVG; None where the map has no facet.

    Args:
        cracks: Of the map; lost ones are left out.
        inspected_areas_m: Polygons (M, 3) that images have shown.
        scale: Severity classes.
        title: What it shows.
    """
    present = [crack for crack in cracks if crack.state is not CrackState.LOST]
    surfaces = Surfaces.of(cracks, inspected_areas_m)
    members = {facet.name: on_it for facet, on_it in zip(surfaces.facets, surfaces.cracks_on(present), strict=True)}
    facets = [facet for facet in surfaces.facets if members[facet.name] or facet.seen_m]
    largest = sorted(facets, key=lambda facet: -sum(crack.length_m for crack in members[facet.name]))[:_MOST_FACETS]
    shown = [facet for facet in facets if any(facet is each for each in largest)]
    if not shown:
        return None
    _, placed = place(shown, Box(0.0, 0.0, _WIDTH_MM, _HEIGHT_MM))
    longest = sorted(present, key=lambda crack: -crack.length_m)[:_MOST_CRACKS]
    lines = [
        Path(simplified(facet.on_paper(crack.line_m)), _colour(crack, scale), _LINE_MM)
        for facet in placed
        for crack in longest
        if any(crack is each for each in members[facet.name])
    ]
    frames: list[Path | Text] = []
    for facet in placed:
        box = facet.box
        frames.append(Path(rectangle(box.left, box.top, box.width, box.height), SOFT_INK, _FRAME_MM, closed=True))
        width_m = float(facet.high_m[0] - facet.low_m[0])
        words = f"{facet.name}: {width_m:.1f} m wide"
        frames.append(Text((box.left, box.top - 1.5), words, _LETTERS_MM, colour=INK))
    layers = (seen_layer(placed), Group("frames", tuple(frames)), Group("cracks", tuple(lines)))
    return svg(Drawing(_WIDTH_MM, _HEIGHT_MM, title, layers))


def html_colour(scale: SeverityScale, verdict: str) -> str:
    """Return the colour of a severity class in the plan, as in HTML."""
    red, green, blue = _colour_of(scale, verdict)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _colour(crack: MappedCrack, scale: SeverityScale) -> tuple[int, int, int]:
    return _colour_of(scale, scale.classify(width_of(crack)).verdict)


def _colour_of(scale: SeverityScale, verdict: str) -> tuple[int, int, int]:
    blue, green, red = severity_colour(scale.relative_severity(verdict))
    return red, green, blue
