# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Drawing of one facet: inspected area, grid and cracks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crack_perception.mapping.export.crack_report import CrackReport
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.mapping.export.plan.layout import BOTTOM_MM, LEFT_MM, TITLE_MM, Box, PlacedFacet
from crack_perception.mapping.export.plan.shapes import (
    HAIRLINE,
    INK,
    SOFT_INK,
    Array,
    Group,
    Path,
    Text,
    rectangle,
    segment,
    simplified,
)
from crack_perception.mapping.export.plan.symbols import SEEN, SEEN_BORDER, TRUTH, Symbols
from crack_perception.mapping.mapped_crack import MappedCrack

_NUMBER_MM = 2.0
_GRID_STEPS_M = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
_LEAST_GRID_MM = 11.0
_ALONG_AXIS = math.cos(math.radians(1))
_LABEL_LETTERS = 24
_AXES = ("x", "y", "z")
_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


@dataclass(frozen=True, eq=False)
class DrawnCrack:
    """A crack with its report and its place on the sheet, (N, 2) in millimetres; without a name it goes by its id."""

    crack: MappedCrack
    report: CrackReport
    facet: str
    points_mm: Array
    name: str = ""

    @property
    def label(self) -> str:
        """Its name, shortened, or its id."""
        if not self.name:
            return str(self.report.id)
        return self.name if len(self.name) <= _LABEL_LETTERS else f"{self.name[: _LABEL_LETTERS - 3]}..."

    @property
    def anchor_mm(self) -> tuple[float, float]:
        """Point of the greatest width, or half way along the crack."""
        known = np.isfinite(self.crack.width_mm)
        index = int(np.nanargmax(self.crack.width_mm)) if known.any() else len(self.points_mm) // 2
        x, y = self.points_mm[index].tolist()
        return x, y


def seen_layer(placed: Sequence[PlacedFacet]) -> Group:
    """Inspected areas in grey, with their common outline."""
    groups = []
    for facet in placed:
        areas = [simplified(facet.flat_on_paper(area_m), closed=True) for area_m in facet.facet.seen_m]
        borders = [Path(area, SEEN_BORDER, 0.4, closed=True) for area in areas]
        fills = [Path(area, None, fill=SEEN) for area in areas]
        groups.append(Group(f"seen-{facet.name}", (*borders, *fills)))
    return Group("seen", tuple(groups))


def grid_layer(placed: Sequence[PlacedFacet], x_heading_deg: float | None) -> Group:
    """Frames, grids with coordinates, and titles of the facets."""
    groups = []
    for facet in placed:
        box = facet.box
        items = [
            *_grid(facet),
            Path(rectangle(box.left, box.top, box.width, box.height), INK, 0.3, closed=True),
            *_title(facet, x_heading_deg),
        ]
        groups.append(Group(f"facet-{facet.name}", tuple(items)))
    return Group("facets", tuple(groups))


def crack_layer(cracks: Sequence[DrawnCrack], symbols: Symbols) -> Group:
    """One group for each crack; wide ones below, so that they do not hide thin ones."""
    ordered = sorted(cracks, key=lambda drawn: -(drawn.report.mean_width_mm or 0.0))
    return Group("cracks", tuple(_crack(drawn, symbols) for drawn in ordered))


def truth_layer(placed: Sequence[PlacedFacet], truth_m: Sequence[Array], near_m: float = 0.5) -> Group:
    """Known cracks as thin lines on the facets they lie on, as far as these are drawn."""
    items = []
    for line_m in truth_m:
        distances = [float(facet.facet.distance_m(line_m).max()) for facet in placed]
        if not distances or min(distances) > near_m:
            continue
        facet = placed[int(np.argmin(distances))]
        flat = facet.facet.flat(line_m)
        inside = np.all((flat >= facet.low_m) & (flat <= facet.high_m), axis=1)
        items += [Path(simplified(facet.flat_on_paper(flat[run])), TRUTH, 0.22) for run in _runs(inside)]
    return Group("truth", tuple(items))


def taken_boxes(facet: PlacedFacet) -> list[Box]:
    """Boxes without labels: the facet's title and its numbers."""
    box = facet.box
    return [
        Box(box.left, box.top - TITLE_MM, max(box.width, 40.0), TITLE_MM - 1.0),
        Box(box.left - LEFT_MM, box.top, LEFT_MM, box.height),
        Box(box.left, box.bottom, box.width, BOTTOM_MM - 2.0),
    ]


def _crack(drawn: DrawnCrack, symbols: Symbols) -> Group:
    report = drawn.report
    lines = symbols.crack(simplified(drawn.points_mm), report.severity.verdict, report.mean_width_mm, report.state)
    widths = "width unknown" if report.mean_width_mm is None else f"{report.mean_width_mm:.2f} mm wide on average"
    title = (
        f"crack {report.id}, {report.state.value}: {report.length_m:.2f} m long, {widths}, {report.severity.verdict}"
    )
    return Group(f"crack-{report.id}", lines, title)


def _runs(inside: np.ndarray) -> Iterator[slice]:
    """Stretches of at least two vertices that are inside."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    for start, end in edges.reshape(-1, 2).tolist():
        if end - start >= 2:
            yield slice(start, end)


def _grid(facet: PlacedFacet) -> Iterator[Path | Text]:
    box = facet.box
    step_m = next((step for step in _GRID_STEPS_M if step * facet.mm_per_m >= _LEAST_GRID_MM), _GRID_STEPS_M[-1])
    u_name, u_sign = _axis_name(facet.facet.u_axis, "along")
    v_name, v_sign = _axis_name(facet.facet.v_axis, "z" if facet.facet.is_wall else "along")
    for u in _multiples(facet.low_m[0], facet.high_m[0], step_m):
        x = box.left + (u - facet.low_m[0]) * facet.mm_per_m
        yield Path(segment(x, box.top, x, box.bottom), HAIRLINE, 0.1)
        yield Path(segment(x, box.bottom, x, box.bottom + 1.0), INK, 0.15)
        yield Text((x, box.bottom + 3.2), _number(u_sign * u, step_m), _NUMBER_MM, "middle", colour=SOFT_INK)
    for v in _multiples(facet.low_m[1], facet.high_m[1], step_m):
        y = box.bottom - (v - facet.low_m[1]) * facet.mm_per_m
        yield Path(segment(box.left, y, box.right, y), HAIRLINE, 0.1)
        yield Path(segment(box.left - 1.0, y, box.left, y), INK, 0.15)
        yield Text((box.left - 1.6, y + 0.7), _number(v_sign * v, step_m), _NUMBER_MM, "end", colour=SOFT_INK)
    yield Text((box.right, box.bottom + 6.0), f"{u_name} [m]", _NUMBER_MM, "end", colour=SOFT_INK)
    yield Text((box.left - 1.6, box.top - 1.2), f"{v_name} [m]", _NUMBER_MM, "end", colour=SOFT_INK)


def _title(facet: PlacedFacet, x_heading_deg: float | None) -> Iterator[Path | Text]:
    box, cracks = facet.box, facet.facet.cracks
    total_m = sum(crack.length_m for crack in cracks)
    yield Text((box.left, box.top - 1.4), facet.name, 4.2, bold=True)
    yield Text((box.left + 4.6, box.top - 4.0), direction_words(facet.facet, x_heading_deg), 2.2)
    count = f"{len(cracks)} crack{'' if len(cracks) == 1 else 's'}"
    yield Text((box.left + 4.6, box.top - 1.2), f"{count}, {total_m:.2f} m", 2.0, colour=SOFT_INK)


def direction_words(facet: Facet, x_heading_deg: float | None) -> str:
    """Kind and direction of a facet, for example "wall facing -y" or "wall facing S (182 deg)"."""
    normal = facet.normal
    if not facet.is_wall:
        seen_from = "from below" if normal[2] < 0 else "from above"
        level = "" if abs(normal[2]) > _ALONG_AXIS else "inclined "
        return f"{level}{'soffit' if normal[2] < 0 else 'deck'} seen {seen_from}"
    leaning = "" if abs(normal[2]) < math.sin(math.radians(1)) else "leaning "
    azimuth_deg = math.degrees(math.atan2(normal[1], normal[0]))
    if x_heading_deg is not None:
        bearing_deg = round(x_heading_deg - azimuth_deg) % 360
        return f"{leaning}wall facing {_COMPASS[round(bearing_deg / 45) % 8]} ({bearing_deg} deg)"
    axis = int(np.abs(normal).argmax())
    if abs(normal[axis]) > math.cos(math.radians(5)):
        return f"{leaning}wall facing {'+' if normal[axis] > 0 else '-'}{_AXES[axis]}"
    return f"{leaning}wall facing {round(azimuth_deg) % 360} deg from x towards y"


def _axis_name(axis: Array, other: str) -> tuple[str, float]:
    """The map axis that this is, and its sign; else another name."""
    index = int(np.abs(axis).argmax())
    if abs(axis[index]) > _ALONG_AXIS:
        return _AXES[index], math.copysign(1.0, float(axis[index]))
    return other, 1.0


def _multiples(low_m: float, high_m: float, step_m: float) -> Iterator[float]:
    for index in range(math.ceil(low_m / step_m), math.floor(high_m / step_m) + 1):
        yield index * step_m


def _number(value_m: float, step_m: float) -> str:
    """A coordinate with as many decimals as the steps of the grid have."""
    digits = 1 if step_m < 1.0 else 0
    return f"{round(value_m, digits) + 0.0:.{digits}f}"
