# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A comparison as a plan, the old survey against the new one: on one A3 sheet, or on a part of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.export.plan.facet_drawing import grid_layer, seen_layer, taken_boxes
from crack_perception.mapping.export.plan.facets import Facet, facet_name, find_facets
from crack_perception.mapping.export.plan.labels import LabelSheet, Wish
from crack_perception.mapping.export.plan.layout import BOTTOM_MM, TITLE_MM, Box, PlacedFacet, place
from crack_perception.mapping.export.plan.shapes import (
    HAIRLINE,
    INK,
    SOFT_INK,
    Colour,
    Drawing,
    Group,
    Path,
    Text,
    segment,
    simplified,
    text_width_mm,
)
from crack_perception.mapping.export.plan.sheet import (
    DRAWING_AREA,
    FRAME,
    KEY_PLAN_AREA,
    PAGE_HEIGHT_MM,
    PAGE_WIDTH_MM,
    TABLE_AREA,
    TAG_HEIGHT_MM,
    sheet_layer,
    tag,
    tag_width_mm,
)
from crack_perception.mapping.export.plan.surfaces import Surfaces
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.report.comparison.changes import Comparison, CrackChange, Status
from crack_perception.report.comparison.wording import TERMS, change_words

Array = npt.NDArray[np.float64]

COLOURS: dict[Status, Colour] = {
    Status.NEW: (200, 16, 46),
    Status.GROWN: (217, 95, 2),
    Status.REDUCED: (0, 128, 128),
    Status.UNCHANGED: (90, 98, 106),
    Status.GONE: (31, 97, 168),
    Status.NOT_INSPECTED: (150, 157, 164),
    Status.FIRST_INSPECTED: (117, 80, 160),
}
ADDED: Colour = (200, 16, 46)
_DASHED = {Status.GONE: (1.6, 1.0), Status.NOT_INSPECTED: (0.7, 0.9)}
_WIDTH_MM = {Status.NEW: 0.7, Status.GROWN: 0.7}
_USUAL_WIDTH_MM = 0.4
_ADDED_WIDTH_MM = 1.3
_LABELLED = (Status.GROWN, Status.NEW, Status.GONE, Status.REDUCED)
_MOST_LABELS = 200
_MOST_FACETS = 12
_ROW_MM = 3.5
_NEAR_M = 0.5


@dataclass(frozen=True, eq=False)
class DrawnComparison:
    """Contents of the plan of a comparison: every flat part of the structure as the camera faces it.

    Attributes:
        result: The comparison.
        surfaces: Facets of the new survey.
        cracks: Of the new survey.
        gone: Those that only the old survey has, in the new map's frame; what lies on no facet of the new survey gets
            facets of its own, named after the others.
    """

    result: Comparison
    surfaces: Surfaces
    cracks: Sequence[MappedCrack]
    gone: Sequence[MappedCrack]


def comparison_plan(shown: DrawnComparison, title: str, subtitle: str) -> Drawing:
    """Draw a comparison on a sheet with its table and legend."""
    denominator, placed = _placed(shown, DRAWING_AREA)
    result = shown.result
    return Drawing(
        PAGE_WIDTH_MM,
        PAGE_HEIGHT_MM,
        title,
        (
            sheet_layer(),
            *_layers(result, placed, DRAWING_AREA),
            _table(result.changes),
            _legend(result),
            _title(title, subtitle, f"1:{denominator}" if placed else "-"),
        ),
    )


def part_of_page(shown: DrawnComparison, room_mm: tuple[float, float], title: str) -> tuple[Drawing, int]:
    """Draw a comparison in a part of a page, no higher than it needs; return the drawing and 1 to which its scale is.

    Args:
        room_mm: Width and greatest height.
    """
    width_mm, height_mm = room_mm
    _, placed = _placed(shown, Box(0.0, 0.0, width_mm, height_mm))
    if placed:
        tops, bottoms = [facet.box.top for facet in placed], [facet.box.bottom for facet in placed]
        height_mm = min(height_mm, max(bottoms) - min(tops) + TITLE_MM + BOTTOM_MM + 1.0)
    area = Box(0.0, 0.0, width_mm, height_mm)
    denominator, placed = _placed(shown, area)
    return Drawing(width_mm, height_mm, title, _layers(shown.result, placed, area)), denominator


def _placed(shown: DrawnComparison, area: Box) -> tuple[int, list[PlacedFacet]]:
    """Denominator of the scale, and the facets with cracks or images where they lie in an area."""
    surfaces, cracks, gone = shown.surfaces, shown.cracks, shown.gone
    elsewhere = [crack for crack in gone if not _is_on(surfaces.facets, crack)]
    added = [
        replace(facet, name=facet_name(len(surfaces.facets) + index))
        for index, facet in enumerate(find_facets(elsewhere, ()))
    ]
    lengths_m = {
        facet.name: sum(crack.length_m for crack in on_it)
        for facet, on_it in zip(surfaces.facets, surfaces.cracks_on(cracks), strict=True)
    }
    lengths_m |= {facet.name: sum(crack.length_m for crack in facet.cracks) for facet in added}
    seen = [
        facet
        for facet in surfaces.facets
        if lengths_m[facet.name] or facet.seen_m or any(_is_on([facet], crack) for crack in gone)
    ]
    facets = [*seen, *added]
    ranked = sorted(facets, key=lambda facet: -lengths_m[facet.name])[:_MOST_FACETS]
    return place([facet for facet in facets if any(facet is each for each in ranked)], area)


def _layers(result: Comparison, placed: Sequence[PlacedFacet], area: Box) -> tuple[Group, ...]:
    """Inspected areas, grid, cracks and their labels."""
    drawn = [(change, _on_paper(change.lines_m, placed)) for change in reversed(result.changes)]
    lines = Group("cracks", tuple(_crack(change, points, placed) for change, points in drawn if points))
    return seen_layer(placed), grid_layer(placed, None), lines, _labels(drawn[::-1], placed, area)


def _is_on(facets: Sequence[Facet], crack: MappedCrack) -> bool:
    return any(
        facet.normal @ crack.normal > 0 and float(facet.distance_m(crack.line_m).max()) <= _NEAR_M for facet in facets
    )


def _on_paper(lines_m: Sequence[Array], placed: Sequence[PlacedFacet]) -> list[Array]:
    found = []
    for line_m in lines_m:
        distances = [float(facet.facet.distance_m(line_m).max()) for facet in placed]
        if distances and min(distances) <= _NEAR_M:
            facet = placed[int(np.argmin(distances))]
            found.append(simplified(facet.on_paper(line_m)))
    return found


def _crack(change: CrackChange, points: Sequence[Array], placed: Sequence[PlacedFacet]) -> Group:
    colour = COLOURS[change.status]
    width_mm, dash = _WIDTH_MM.get(change.status, _USUAL_WIDTH_MM), _DASHED.get(change.status)
    items: list[Path | Text | Group] = []
    if change.status is Status.GROWN:
        items += [Path(line, ADDED, _ADDED_WIDTH_MM) for line in _on_paper(change.added_m, placed)]
    items += [Path(line, colour, width_mm, dash_mm=dash) for line in points]
    items += [
        Path(line, COLOURS[Status.GONE], _USUAL_WIDTH_MM, dash_mm=(1.6, 1.0))
        for line in _on_paper(change.missing_m, placed)
    ]
    words = f"{change.number}: {TERMS[change.status]}" + "".join(f"; {remark}" for remark in change.remarks)
    return Group(f"change-{change.number}", tuple(items), words)


def _labels(drawn: Sequence[tuple[CrackChange, list[Array]]], placed: Sequence[PlacedFacet], area: Box) -> Group:
    sheet = LabelSheet(area)
    for facet in placed:
        for box in taken_boxes(facet):
            sheet.block(box)
    for _, points in drawn:
        for line in points:
            sheet.add_line(line)
    wishes: list[Wish] = []
    by_number = {change.number: change for change, _ in drawn}
    for change, points in drawn:
        if points and change.status in _LABELLED and len(wishes) < _MOST_LABELS:
            x, y = points[0][len(points[0]) // 2].tolist()
            widths_mm = [tag_width_mm(str(change.number), words) for words in (change_words(change), "")]
            sizes = tuple((width_mm, TAG_HEIGHT_MM) for width_mm in widths_mm)
            wishes.append(Wish(change.number, (x, y), sizes))
    items: list[Path | Text | Group] = []
    for label in sheet.place(wishes):
        change = by_number[label.key]
        items.append(Path(label.leader_mm, SOFT_INK, 0.14))
        words = change_words(change) if label.form == 0 else ""
        items.append(Group(f"label-{label.key}", tuple(tag(label.box, str(label.key), words, COLOURS[change.status]))))
    return Group("labels", tuple(items))


_HEADINGS = (
    ("no.", 8.0, "end"),
    ("status", 10.0, "start"),
    ("sign.", 46.0, "end"),
    ("length [m]", 57.0, "end"),
    ("change [cm]", 73.0, "end"),
    ("width [mm]", 86.5, "end"),
    ("change [mm]", 104.0, "end"),
)


def _table(changes: Sequence[CrackChange]) -> Group:
    return Group("table", tuple(_table_items(changes)))


def _table_items(changes: Sequence[CrackChange]) -> Iterator[Path | Text]:
    box = TABLE_AREA
    for name, at_mm, anchor in _HEADINGS:
        yield Text((box.left + at_mm, box.top + 3.6), name, 2.1, anchor, bold=True)  # type: ignore[arg-type]
    yield Path(segment(box.left, box.top + 4.9, box.right, box.top + 4.9), INK, 0.25)
    most = int((box.height - 5.5) / _ROW_MM)
    shown = changes if len(changes) <= most else changes[: most - 1]
    for row, change in enumerate(shown):
        base = box.top + 5.5 + row * _ROW_MM + 2.6
        cells = (
            str(change.number),
            TERMS[change.status],
            f"{change.significance:.1%}",
            _number(change.length_new_m if change.length_new_m is not None else change.length_old_m),
            "" if change.length is None else f"{100 * change.length.change:+.1f} +- {100 * change.length.sigma:.1f}",
            _number(change.width_new_mm if change.width_new_mm is not None else change.width_old_mm),
            "" if change.width is None else f"{change.width.change:+.2f} +- {change.width.sigma:.2f}",
        )
        for (_, at_mm, anchor), cell in zip(_HEADINGS, cells, strict=True):
            colour = COLOURS[change.status] if anchor == "start" else INK
            yield Text((box.left + at_mm, base), cell, 2.1, anchor, colour=colour)  # type: ignore[arg-type]
        yield Path(segment(box.left, base + 0.9, box.right, base + 0.9), HAIRLINE, 0.08)
    if len(shown) < len(changes):
        base = box.top + 5.5 + len(shown) * _ROW_MM + 2.6
        yield Text((box.left + 3.0, base), f"and {len(changes) - len(shown)} more, see the CSV file", 2.1)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _legend(result: Comparison) -> Group:
    left, top = FRAME.left + 4.0, KEY_PLAN_AREA.top + 5.0
    items: list[Path | Text] = [Text((left, top), "What has happened between the surveys", 2.5, bold=True)]
    for row, status in enumerate(Status):
        y = top + 5.0 + 4.8 * row
        line = segment(left, y, left + 12.0, y)
        items.append(Path(line, COLOURS[status], _WIDTH_MM.get(status, _USUAL_WIDTH_MM), dash_mm=_DASHED.get(status)))
        items.append(Text((left + 15.0, y + 0.9), f"{TERMS[status]} ({len(result.of(status))})", 2.3))
    x, y = left + 80.0, top + 5.0
    items.append(Path(segment(x, y, x + 12.0, y), ADDED, _ADDED_WIDTH_MM))
    items.append(Path(segment(x, y, x + 12.0, y), COLOURS[Status.GROWN], _WIDTH_MM[Status.GROWN]))
    items.append(Text((x + 15.0, y + 0.9), "part that only the new survey has", 2.3))
    items.append(Text((x, y + 7.0), "Changes with one standard deviation; what both surveys", 2.1, colour=SOFT_INK))
    items.append(Text((x, y + 10.4), "measure differently everywhere is subtracted.", 2.1, colour=SOFT_INK))
    items.append(Text((x, y + 13.8), "Grey areas: inspected by the new survey.", 2.1, colour=SOFT_INK))
    return Group("legend", tuple(items))


def _title(title: str, subtitle: str, ratio: str) -> Group:
    left, top, right = TABLE_AREA.left - 4.0, KEY_PLAN_AREA.top, FRAME.right
    lines = [Text((left + 3.0, top + 8.2), _cut(title, 5.4, right - left - 6), 5.4, bold=True)]
    for row, words in enumerate((*subtitle.splitlines(), f"Scale (A3): {ratio}")):
        lines.append(Text((left + 3.0, top + 17.0 + 6.0 * row), _cut(words, 2.6, right - left - 6), 2.6))
    return Group("title-block", tuple(lines))


def _cut(text: str, size_mm: float, room_mm: float) -> str:
    while text and text_width_mm(text, size_mm, True) > room_mm:
        text = text[:-1]
    return text
