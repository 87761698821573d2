# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a survey could have seen: inspected area by finest resolvable crack width, per facet, as figures and areas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.coverage.resolution import resolvable_width_mm
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.mapping.export.plan.shapes import Colour

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

EDGES_MM = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Upper ends of the classes of finest resolvable width."""

# Viridis, which colour-blind readers and grey printers order correctly; then beyond the last edge, and unknown.
COLOURS: tuple[Colour, ...] = (
    (253, 231, 37),
    (160, 218, 57),
    (74, 193, 109),
    (31, 161, 135),
    (39, 127, 142),
    (54, 92, 141),
    (70, 50, 127),
    (68, 1, 84),
    (40, 40, 40),
    (190, 190, 190),
)
_BEYOND, _UNKNOWN = len(EDGES_MM), len(EDGES_MM) + 1
CLASSES = len(COLOURS)

# A surface of the coverage lies on the facet whose plane is this near and faces the same way.
_SAME_DIRECTION = math.cos(math.radians(25))
_NEAR_M = 1.5


@dataclass(frozen=True, eq=False)
class CoveredArea:
    """A rectangle of cells of one class.

    Attributes:
        facet: Letter of the facet, or "".
        label: Index of the class.
        corners_m: (4, 3) in the map, in order.
        area_m2: Its area.
    """

    facet: str
    label: int
    corners_m: Array
    area_m2: float


def class_words(label: int) -> str:
    """Sentence for readers about a class: the widths that may have been missed there."""
    if label == _UNKNOWN:
        return "seen, resolution not known"
    if label == _BEYOND:
        return f"cracks of {EDGES_MM[-1]:g} mm, and even wider ones, may have been missed here"
    return f"cracks narrower than {EDGES_MM[label]:g} mm may have been missed here"


def missed_words(label: int) -> str:
    """Short form of ``class_words`` for a legend of the cracks that may have been missed."""
    if label == _UNKNOWN:
        return "resolution not known"
    return f"wider than {EDGES_MM[-1]:g} mm too" if label == _BEYOND else f"narrower than {EDGES_MM[label]:g} mm"


def class_range_mm(label: int) -> tuple[float | None, float | None]:
    """Finest resolvable widths of a class; None for an open end."""
    if label == _UNKNOWN:
        return None, None
    return (EDGES_MM[label - 1] if label else 0.0), (EDGES_MM[label] if label < _BEYOND else None)


def covered_areas(surfaces: Sequence[SurfaceCoverage], facets: Mapping[str, Facet]) -> list[CoveredArea]:
    """The inspected areas as rectangles of one class each, which do not overlap on their surface.

    Args:
        surfaces: Coverage of the map.
        facets: By letter.
    """
    areas = []
    for surface in surfaces:
        letter = _facet_of(surface, facets)
        for label, row, column, rows, columns in _rectangles(_labels(surface)):
            u = np.array([column, column + columns, column + columns, column]) * surface.cell_m
            v = np.array([row, row, row + rows, row + rows]) * surface.cell_m
            corners_m = surface.corner_m + u[:, None] * surface.u_axis + v[:, None] * surface.v_axis
            areas.append(CoveredArea(letter, label, corners_m, rows * columns * surface.cell_area_m2))
    return areas


def area_by_class(areas: Sequence[CoveredArea]) -> dict[str, list[float]]:
    """Area of each class [m^2] by facet, in the order of the letters, those without a facet last."""
    sums: dict[str, list[float]] = {}
    for area in sorted(areas, key=lambda area: (not area.facet, len(area.facet), area.facet)):
        sums.setdefault(area.facet, [0.0] * CLASSES)[area.label] += area.area_m2
    return sums


def _labels(surface: SurfaceCoverage) -> Labels:
    """Class of each cell; -1 where it was not seen."""
    width_mm = resolvable_width_mm(surface.gsd_mm_per_px)
    # A width that is that of the edge but for rounding belongs to the finer class.
    labels = np.searchsorted(np.array(EDGES_MM) * 1.001, width_mm)
    labels[np.isinf(width_mm)] = _UNKNOWN
    labels[np.isnan(width_mm)] = -1
    return labels


def _rectangles(labels: Labels) -> Iterator[tuple[int, int, int, int, int]]:
    """Rectangles of equal labels from 0 on: label, first row and column, number of rows and columns.

    Runs of a row that the next row repeats grow into one rectangle.
    """
    growing: dict[tuple[int, int, int], int] = {}
    for row in range(labels.shape[0] + 1):
        runs = set(_runs(labels[row])) if row < labels.shape[0] else set()
        for run in [run for run in growing if run not in runs]:
            label, column, end = run
            first = growing.pop(run)
            yield label, first, column, row - first, end - column
        for run in runs:
            growing.setdefault(run, row)


def _runs(labels: Labels) -> Iterator[tuple[int, int, int]]:
    """Label, first and last (exclusive) index of the runs of equal labels from 0 on."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(labels)]])
    for label, start, end in zip(labels[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
        if label >= 0:
            yield label, start, end


def _facet_of(surface: SurfaceCoverage, facets: Mapping[str, Facet]) -> str:
    """Letter of the facet that a surface lies on, or ""."""
    rows, columns = np.nonzero(~np.isnan(surface.gsd_mm_per_px))
    if not len(rows):
        return ""
    middle_m = surface.centres_m(rows, columns).mean(axis=0)[None]
    gaps_m = {
        letter: float(facet.distance_m(middle_m)[0])
        for letter, facet in facets.items()
        if float(facet.normal @ surface.normal) >= _SAME_DIRECTION
    }
    nearest = min(gaps_m, key=gaps_m.__getitem__, default="")
    return nearest if nearest and gaps_m[nearest] <= _NEAR_M else ""
