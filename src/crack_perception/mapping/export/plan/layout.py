# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Layout of the facets on the sheet: to one scale, walls next to each other at the same height."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from crack_perception.mapping.export.plan.facets import Array, Facet

# Room around a facet for its title, its axes and their numbers.
TITLE_MM = 8.0
LEFT_MM = 10.0
RIGHT_MM = 6.0
BOTTOM_MM = 8.0
_MIN_BLOCK_MM = 48.0

# Shown around what lies on a facet, and the least extent, in metres.
_BORDER_M = 0.1
_LEAST_EXTENT_M = 0.5
_MM_PER_M = 1000.0

# Walls stand at their true heights beside each other unless that takes so much more room than the tallest.
_SAME_STOREY = 1.6


@dataclass(frozen=True)
class Box:
    """A rectangle on the paper, in millimetres."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right side."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower side."""
        return self.top + self.height


@dataclass(frozen=True, eq=False)
class PlacedFacet:
    """A facet on the sheet.

    Attributes:
        name: A letter.
        box: Its frame.
        low_m, high_m: (2,) coordinates on the facet of the frame's lower left and upper right corner.
        mm_per_m: Scale.
    """

    name: str
    facet: Facet
    box: Box
    low_m: Array
    high_m: Array
    mm_per_m: float

    def on_paper(self, points_m: Array) -> Array:
        """(N, 2) places on the sheet of map points (N, 3)."""
        return self.flat_on_paper(self.facet.flat(points_m))

    def flat_on_paper(self, flat_m: Array) -> Array:
        """(N, 2) places on the sheet of coordinates (N, 2) on the facet."""
        along = (flat_m - self.low_m) * self.mm_per_m
        return np.column_stack([self.box.left + along[:, 0], self.box.bottom - along[:, 1]])


def place(facets: Sequence[Facet], area: Box) -> tuple[int, list[PlacedFacet]]:
    """The greatest scale 1:N at which all facets fit, and where they then lie, centred in the area.

    There are few enough facets for their titles to fit.
    """
    bounds = [extent(facet) for facet in facets]
    for denominator in scales():
        rows = _rows(facets, bounds, _MM_PER_M / denominator, area.width)
        if sum(row.height for row in rows) <= area.height and all(row.width <= area.width for row in rows):
            return denominator, _placed(facets, bounds, rows, _MM_PER_M / denominator, area)
    raise AssertionError("at some scale everything is small")


def scales() -> Iterator[int]:
    """5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 125, 150 and so on: ISO 5455 and what lies usefully between."""
    yield 5
    for power in count():
        yield from (int(factor * 10**power) for factor in (10, 12.5, 15, 20, 25, 30, 40, 50, 75))


@dataclass(frozen=True)
class _Row:
    """Facets beside each other; ``top_v_m`` is the height at its upper side where they share their heights."""

    members: tuple[int, ...]
    lefts: tuple[float, ...]
    width: float
    height: float
    top_v_m: float | None


def extent(facet: Facet) -> tuple[Array, Array]:
    """(2,) lower left and upper right corner of the frame around a facet, in its coordinates [m]."""
    low, high = facet.bounds_m()
    missing = np.maximum(0.0, _LEAST_EXTENT_M - (high - low)) / 2
    return low - _BORDER_M - missing, high + _BORDER_M + missing


def _rows(
    facets: Sequence[Facet], bounds: Sequence[tuple[Array, Array]], mm_per_m: float, width_mm: float
) -> list[_Row]:
    """Facets in order, broken into rows like words."""
    rows: list[list[int]] = []
    used = 0.0
    for index in range(len(facets)):
        width = _block_width(bounds[index], mm_per_m)
        if not rows or used + width > width_mm:
            rows.append([])
            used = 0.0
        rows[-1].append(index)
        used += width
    return [_row(members, facets, bounds, mm_per_m) for members in rows]


def _block_width(bounds: tuple[Array, Array], mm_per_m: float) -> float:
    return max(_MIN_BLOCK_MM, float(bounds[1][0] - bounds[0][0]) * mm_per_m + LEFT_MM + RIGHT_MM)


def _row(members: list[int], facets: Sequence[Facet], bounds: Sequence[tuple[Array, Array]], mm_per_m: float) -> _Row:
    widths = [_block_width(bounds[index], mm_per_m) for index in members]
    lefts = np.concatenate([[0.0], np.cumsum(widths)])
    low = min(float(bounds[index][0][1]) for index in members)
    high = max(float(bounds[index][1][1]) for index in members)
    tallest = max(float(bounds[index][1][1] - bounds[index][0][1]) for index in members)
    aligned = all(facets[index].is_wall for index in members) and high - low < _SAME_STOREY * tallest
    height = (high - low if aligned else tallest) * mm_per_m + TITLE_MM + BOTTOM_MM
    return _Row(tuple(members), tuple(lefts[:-1].tolist()), float(lefts[-1]), height, high if aligned else None)


def _placed(
    facets: Sequence[Facet], bounds: Sequence[tuple[Array, Array]], rows: list[_Row], mm_per_m: float, area: Box
) -> list[PlacedFacet]:
    spare = (area.height - sum(row.height for row in rows)) / (len(rows) + 1)
    top = area.top + spare
    left = area.left + (area.width - max((row.width for row in rows), default=0.0)) / 2
    placed = []
    for row in rows:
        for index, offset in zip(row.members, row.lefts, strict=True):
            low, high = bounds[index]
            size = (high - low) * mm_per_m
            below_top = 0.0 if row.top_v_m is None else (row.top_v_m - float(high[1])) * mm_per_m
            box = Box(left + offset + LEFT_MM, top + TITLE_MM + below_top, float(size[0]), float(size[1]))
            placed.append(PlacedFacet(facets[index].name, facets[index], box, low, high, mm_per_m))
        top += row.height + spare
    return placed
