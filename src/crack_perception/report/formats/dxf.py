# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""DXF drawings (R2010) of a survey.

``write_elevations``: every facet unfolded, in metres and true heights. Each is a block on a layer of its own, so that
it can be moved, frozen or exploded; inside it cracks, labels, grid and inspected areas lie on separate layers, the
cracks on one for each severity class. Texts are 2.5 mm high at 1:50, and each facet has a layout at 1:50 where a sheet
of A0 has room for it. ``write_lines``: the centrelines in space, on the same layers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.export.plan.crack_labels import label_words
from crack_perception.mapping.export.plan.facet_drawing import DrawnCrack, direction_words
from crack_perception.mapping.export.plan.labels import PlacedLabel
from crack_perception.mapping.export.plan.shapes import text_width_mm
from crack_perception.report.contents import Survey, inspected_outlines_m
from crack_perception.report.elevation import Elevation, draw_elevation
from crack_perception.report.georeference import Georeference
from crack_perception.report.summary import survey_period
from crack_perception.report.whole_file import whole_file
from crack_perception.vision.annotate import severity_colour

if TYPE_CHECKING:
    from ezdxf.document import Drawing
    from ezdxf.layouts import BlockLayout, Modelspace, Paperspace

Array = npt.NDArray[np.float64]

PLOT_SCALE = 50
"""Denominator of the scale at which texts have their size on paper."""

_MM_PER_M = 1000.0 / PLOT_SCALE
_TEXT_MM, _SMALL_MM, _TITLE_MM = 2.5, 1.8, 5.0
_CAPITALS = 0.72  # height of a font's capitals as a share of its size
_GAP_M = 3.0
_STYLE = "CRACKS"
_METRES = 6  # value of INSUNITS
# AutoCAD colour index and lineweight [1/100 mm] of the layers that are not for cracks.
_LAYERS = {
    "FRAME": (7, 35),
    "GRID": (9, 9),
    "INSPECTED": (8, 13),
    "LABEL": (7, 13),
    "LEADER": (8, 9),
    "TITLE": (7, 25),
}
_CRACK_LINEWEIGHTS = (18, 25, 35, 50, 70)
_GRID_STEPS_M = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_MOST_GRID_LINES = 40
# ISO 216 sheets, landscape: width and height [mm].
_SHEETS_MM = {"A4": (297, 210), "A3": (420, 297), "A2": (594, 420), "A1": (841, 594), "A0": (1189, 841)}
_MARGIN_MM = 10.0
_FOOT_MM = 18.0


def write_elevations(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Write the developed elevations; their coordinates are those of the facets, whatever the georeference.

    Raises:
        UserError: The file cannot be written.
    """
    document = _document(survey)
    space = document.modelspace()
    left_m = 0.0
    for letter in survey.shown_facets:
        elevation = draw_elevation(survey, letter, _MM_PER_M, len(survey.cracks), _label_size_mm)
        facet = elevation.placed
        low_m, high_m = facet.low_m, facet.high_m
        layer = f"ELEVATION_{letter}"
        document.layers.add(layer, color=7)
        block = document.blocks.new(layer)
        _fill(block, elevation, survey)
        # Walls stand beside each other at their true heights; what is level lies below the ground line.
        insert = np.array([left_m - low_m[0], 0.0 if facet.facet.is_wall else -_GAP_M - high_m[1]])
        space.add_blockref(layer, insert.tolist(), dxfattribs={"layer": layer})
        _add_layout(document, elevation, insert, survey)
        left_m += float(high_m[0] - low_m[0]) + _GAP_M
    _add_legend(space, survey)
    _save(document, path)


def write_lines(path: Path, survey: Survey, georeference: Georeference) -> None:
    """Write the centrelines as polylines in space, each with its name at its middle.

    Raises:
        UserError: The file cannot be written.
    """
    document = _document(survey)
    space = document.modelspace()
    for crack in survey.cracks:
        points = georeference.planar(crack.crack.line_m)
        space.add_polyline3d(points.tolist(), dxfattribs={"layer": crack_layer(crack.severity)})
        middle = points[len(points) // 2]
        _text(space, crack.name or str(crack.id), middle, _TEXT_MM, "LABEL")
    for area_m in survey.inspected_areas_m:
        if len(area_m) >= 3:
            points = georeference.planar(area_m)
            space.add_polyline3d(points.tolist(), close=True, dxfattribs={"layer": "INSPECTED"})
    document.header.custom_vars.append("Coordinates", georeference.statement)
    _save(document, path)


def crack_layer(verdict: str) -> str:
    """Layer of a severity class: letters, digits, point, hyphen and underscore only."""
    name = verdict.replace("<", "BELOW_").replace(">=", "FROM_").upper()
    return "CRACK_" + re.sub(r"[^A-Z0-9._-]", "_", name)


def _document(survey: Survey) -> Drawing:
    import ezdxf
    from ezdxf.colors import rgb2int

    document = ezdxf.new("R2010", setup=["linetypes"])
    document.header["$INSUNITS"] = _METRES
    document.header["$MEASUREMENT"] = 1
    document.header["$LTSCALE"] = 1.0 / _MM_PER_M
    document.header.custom_vars.append("Title", survey.notes.title)
    document.header.custom_vars.append("Owner", survey.notes.owner)
    document.styles.add(_STYLE, font="arial.ttf")
    for name, (colour, lineweight) in _LAYERS.items():
        document.layers.add(name, color=colour, lineweight=lineweight)
    for verdict in survey.classes:
        relative = survey.scale.relative_severity(verdict)
        blue, green, red = severity_colour(relative)
        heaviest = len(_CRACK_LINEWEIGHTS) - 1
        lineweight = _CRACK_LINEWEIGHTS[0 if relative is None else round(relative * heaviest)]
        layer = document.layers.add(crack_layer(verdict), color=_index_colour(relative), lineweight=lineweight)
        layer.dxf.true_color = rgb2int((red, green, blue))
        layer.description = f"cracks, severity {verdict}"
    return document


def _index_colour(relative: float | None) -> int:
    """Nearest of the 255 plotter colours, for programs and pen tables without true colours."""
    if relative is None:
        return 6
    return (4, 2, 30, 1)[round(relative * 3)]


def _fill(block: BlockLayout, elevation: Elevation, survey: Survey) -> None:
    """The block of a facet, in its own coordinates [m]."""
    facet = elevation.placed
    for ring_m, _ in inspected_outlines_m(facet.facet):
        block.add_lwpolyline(ring_m.tolist(), close=True, dxfattribs={"layer": "INSPECTED"})
    _add_grid(block, facet.low_m, facet.high_m)
    (left, low), (right, high) = facet.low_m.tolist(), facet.high_m.tolist()
    corners = [(left, low), (right, low), (right, high), (left, high)]
    block.add_lwpolyline(corners, close=True, dxfattribs={"layer": "FRAME"})
    words = direction_words(facet.facet, survey.notes.x_heading_deg)
    title_at = np.array([facet.low_m[0], facet.high_m[1] + 3.0 * _TITLE_MM / 2 / _MM_PER_M])
    _text(block, f"{facet.name}  {words}", title_at, _TITLE_MM, "TITLE")
    for item in elevation.drawn:
        flat_m = facet.facet.flat(item.crack.line_m)
        block.add_lwpolyline(flat_m.tolist(), dxfattribs={"layer": crack_layer(item.report.severity.verdict)})
    by_id = {item.report.id: item for item in elevation.drawn}
    for label in elevation.labels:
        _add_label(block, elevation, label, by_id[label.key])


def _add_label(block: BlockLayout, elevation: Elevation, label: PlacedLabel, item: DrawnCrack) -> None:
    start, end = (_flat_m(elevation, point) for point in label.leader_mm)
    block.add_line(start.tolist(), end.tolist(), dxfattribs={"layer": "LEADER"})
    words = f"{item.label}  {label_words(item)}" if label.form == 0 else item.label
    base = _flat_m(elevation, np.array([label.box.left + 0.4 * _TEXT_MM, label.box.bottom - 0.35 * _TEXT_MM]))
    _text(block, words, base, _TEXT_MM, "LABEL")


def _label_size_mm(name: str, words: str) -> tuple[float, float]:
    return _text_width_mm(f"{name}  {words}" if words else name, _TEXT_MM) + 0.8 * _TEXT_MM, 1.7 * _TEXT_MM


def _text_width_mm(words: str, height_mm: float) -> float:
    """Of a text by the height of its capitals; fonts that replace Arial are wider."""
    return 1.12 * text_width_mm(words, height_mm / _CAPITALS)


def _flat_m(elevation: Elevation, point_mm: Array) -> Array:
    """(2,) coordinates on the facet of a place on the sheet."""
    facet = elevation.placed
    along_m = np.array([point_mm[0] - facet.box.left, facet.box.bottom - point_mm[1]]) / facet.mm_per_m
    return np.asarray(facet.low_m + along_m)


def _add_grid(block: BlockLayout, low_m: Array, high_m: Array) -> None:
    """Lines at round coordinates with their numbers, as chainage and height."""
    longest_m = float(np.max(high_m - low_m))
    coarse_enough = (step for step in _GRID_STEPS_M if longest_m / step <= 4 or step >= 1.0)
    step_m = next((step for step in coarse_enough if longest_m / step <= _MOST_GRID_LINES), 50.0)
    gap_m = _SMALL_MM / _MM_PER_M
    for axis, other in ((0, 1), (1, 0)):
        for index in range(int(np.ceil(low_m[axis] / step_m)), int(np.floor(high_m[axis] / step_m)) + 1):
            start, end = np.array(low_m), np.array(low_m)
            start[axis] = end[axis] = index * step_m
            end[other] = high_m[other]
            block.add_line(start.tolist(), end.tolist(), dxfattribs={"layer": "GRID"})
            number = f"{index * step_m:.2f}"
            if axis == 0:
                _text(block, number, start - [0.0, 2.0 * gap_m], _SMALL_MM, "GRID", "TOP_CENTER")
            else:
                _text(block, number, start - [gap_m, 0.0], _SMALL_MM, "GRID", "MIDDLE_RIGHT")


def _text(
    space: BlockLayout | Modelspace | Paperspace,
    words: str,
    at: Array,
    height_mm: float,
    layer: str,
    align: str = "LEFT",
) -> None:
    from ezdxf.enums import TextEntityAlignment

    # Two per cent signs begin a control code of the format.
    text = words.replace("%%", "% %")
    entity = space.add_text(text, height=height_mm / _MM_PER_M, dxfattribs={"layer": layer, "style": _STYLE})
    entity.set_placement(tuple(at.tolist()), align=TextEntityAlignment[align])


def _add_legend(space: Modelspace, survey: Survey) -> None:
    """Title, severity classes and their colours, left of the elevations."""
    line_m = 2.4 * _TEXT_MM / _MM_PER_M
    lines = [
        f"Cracks by severity, {len(survey.cracks)} in all; metres; texts for plots at 1:{PLOT_SCALE}",
        "Label: crack, length, greatest width",
    ]
    widest_mm = max(_text_width_mm(survey.notes.title, _TITLE_MM), *(_text_width_mm(line, _TEXT_MM) for line in lines))
    left_m, top_m = -widest_mm / _MM_PER_M - _GAP_M / 2, 3.0
    _text(space, survey.notes.title, np.array([left_m, top_m]), _TITLE_MM, "TITLE")
    for index, words in enumerate(lines):
        _text(space, words, np.array([left_m, top_m - (index + 1.2) * line_m]), _TEXT_MM, "LABEL")
    for index, verdict in enumerate(survey.classes):
        y = top_m - (index + 4) * line_m
        layer = crack_layer(verdict)
        space.add_line((left_m, y + 0.06), (left_m + 0.6, y + 0.06), dxfattribs={"layer": layer})
        _text(space, verdict, np.array([left_m + 0.8, y]), _TEXT_MM, "LABEL")


def _add_layout(document: Drawing, elevation: Elevation, insert_m: Array, survey: Survey) -> None:
    """A sheet at 1:50 of one facet, of the smallest size that has room for it, with title, facet and scale."""
    facet = elevation.placed
    size_mm = (facet.high_m - facet.low_m) * _MM_PER_M + [40.0, 40.0]
    fitting = [
        (name, np.array(sheet_mm) - 2 * _MARGIN_MM)
        for name, sheet_mm in _SHEETS_MM.items()
        if (size_mm <= np.array(sheet_mm) - 2 * _MARGIN_MM - [0.0, _FOOT_MM]).all()
    ]
    if not fitting:
        return
    name, room_mm = fitting[0]
    layout = document.layouts.new(f"{facet.name} 1-{PLOT_SCALE} {name}")
    layout.page_setup(size=_SHEETS_MM[name], margins=(_MARGIN_MM,) * 4, units="mm", scale=(1, 1))
    view_mm = room_mm - [0.0, _FOOT_MM]
    middle_m = (facet.low_m + facet.high_m) / 2 + insert_m
    layout.add_viewport(
        center=(view_mm[0] / 2, _FOOT_MM + view_mm[1] / 2),
        size=size_mm.tolist(),  # shows nothing of the next elevation
        view_center_point=middle_m.tolist(),
        view_height=float(size_mm[1] / _MM_PER_M),
    )
    corners = [(0.0, 0.0), (room_mm[0], 0.0), tuple(room_mm.tolist()), (0.0, room_mm[1])]
    layout.add_lwpolyline(corners, close=True, dxfattribs={"layer": "FRAME"})
    layout.add_line((0.0, _FOOT_MM), (room_mm[0], _FOOT_MM), dxfattribs={"layer": "FRAME"})
    words = direction_words(facet.facet, survey.notes.x_heading_deg)
    second = "   ".join(filter(None, [f"{facet.name}: {words}", f"1:{PLOT_SCALE} ({name})", survey_period(survey)]))
    for text, y, height_mm in ((survey.notes.title, 10.0, 4.0), (second, 3.5, _TEXT_MM)):
        _text(layout, text, np.array([4.0, y]), height_mm * _MM_PER_M, "TITLE")


def _save(document: Drawing, path: Path) -> None:
    with whole_file(path) as partial:
        document.saveas(partial, encoding="utf-8")  # what the format means from R2007 on
