# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Structural elements: what belongs to each of them, and the file that lists them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
import yaml

from crack_perception.documents import parse_yaml
from crack_perception.errors import UserError
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.report.condition_states import Material, Stretches

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Elements of prestressed concrete in the AASHTO Manual for Bridge Element Inspection.
_PRESTRESSED = frozenset({13, 15, 104, 109, 115, 143, 154, 204, 226, 233, 245, 320})
_SIDES = ("left_m", "bottom_m", "right_m", "top_m")
_KNOWN = ("element", "type", "facet", *_SIDES)
_EXAMPLE = "Give the columns element, type, facet, and left_m, bottom_m, right_m, top_m where it is a part of a facet"


@dataclass(frozen=True, eq=False)
class BoxElement:
    """A structural element: what lies in a box of the map.

    Attributes:
        name: For example "B1 pier 2".
        material: Concrete.
        low_m, high_m: (3,) corners of the box, map frame; infinite coordinates leave a side open.
    """

    name: str
    material: Material
    low_m: Array
    high_m: Array

    def holds(self, stretches: Stretches, facets: Sequence[Facet]) -> Mask:
        """Which steps (K,) of a crack lie on it."""
        inside = (stretches.points_m >= self.low_m) & (stretches.points_m <= self.high_m)
        return np.asarray(inside.all(axis=1))

    def outline(self, facet: Facet) -> shapely.Geometry | None:
        """Its part of a facet, in the facet's frame; None where it has none."""
        return _outline_in_box(facet, self)


@dataclass(frozen=True, eq=False)
class FacetElement:
    """A structural element: a facet, or a rectangle on it.

    Attributes:
        name: For example "B1 pier 2".
        material: Concrete.
        facet: Letter of the facet.
        low_m, high_m: (2,) corners in the coordinates of the facet's plan; infinite ones leave a side open.
    """

    name: str
    material: Material
    facet: str
    low_m: Array = field(default_factory=lambda: np.full(2, -np.inf))
    high_m: Array = field(default_factory=lambda: np.full(2, np.inf))

    def holds(self, stretches: Stretches, facets: Sequence[Facet]) -> Mask:
        """Which steps (K,) of a crack lie on it."""
        if stretches.facet is None or facets[stretches.facet].name != self.facet:
            return np.zeros(len(stretches.points_m), np.bool_)
        flat_m = facets[stretches.facet].flat(stretches.points_m)
        return np.asarray(((flat_m >= self.low_m) & (flat_m <= self.high_m)).all(axis=1))

    def outline(self, facet: Facet) -> shapely.Geometry | None:
        """Its part of a facet, in the facet's frame; None where it has none."""
        if facet.name != self.facet:
            return None
        low, high = facet.bounds_m()
        low_m, high_m = np.maximum(self.low_m, low), np.minimum(self.high_m, high)
        return shapely.box(*low_m, *high_m) if (low_m < high_m).all() else None


@dataclass(frozen=True, eq=False)
class Part:
    """Quantities of one element."""

    name: str
    material: Material
    inspected: tuple[tuple[Facet, shapely.Geometry], ...]
    members: tuple[tuple[Stretches, npt.NDArray[np.bool_]], ...]


def parts_of(
    facets: Sequence[Facet], stretches: Sequence[Stretches], elements: Sequence[BoxElement | FacetElement]
) -> Iterator[Part]:
    """Quantities of each element; without any, every facet is one, of reinforced concrete."""
    shown = [_union(facet.seen_m) for facet in facets]
    if not elements:
        for index, (facet, area) in enumerate(zip(facets, shown, strict=True)):
            members = tuple((each, np.ones(len(each.points_m), np.bool_)) for each in stretches if each.facet == index)
            if members or not area.is_empty:  # else nothing on it counts
                yield Part(facet.name, Material.REINFORCED, ((facet, area),), members)
        loose = tuple((each, np.ones(len(each.points_m), np.bool_)) for each in stretches if each.facet is None)
        if loose:
            yield Part("other", Material.REINFORCED, (), loose)
        return
    left = {id(each): np.ones(len(each.points_m), np.bool_) for each in stretches}
    remaining = list(shown)
    for element in elements:
        on_element: list[tuple[Stretches, npt.NDArray[np.bool_]]] = []
        for each in stretches:
            inside = element.holds(each, facets) & left[id(each)]
            left[id(each)] &= ~inside
            if inside.any():
                on_element.append((each, inside))
        inspected = []
        for index, facet in enumerate(facets):
            outline = element.outline(facet)
            if outline is not None:
                inspected.append((facet, shapely.intersection(remaining[index], outline)))
                remaining[index] = shapely.difference(remaining[index], outline)
        yield Part(element.name, element.material, tuple(inspected), tuple(on_element))
    others = tuple((each, left[id(each)]) for each in stretches if left[id(each)].any())
    rest = tuple(zip(facets, remaining, strict=True))
    if others or any(area.area > 1e-6 for _, area in rest):
        yield Part("other", Material.REINFORCED, rest, others)


def _union(polygons_m: Sequence[Array]) -> shapely.Geometry:
    """Union of polygons (M, 2), which may cross themselves."""
    return shapely.union_all([shapely.make_valid(shapely.Polygon(polygon)) for polygon in polygons_m])


def _outline_in_box(facet: Facet, element: BoxElement) -> shapely.Geometry | None:
    """The part of a facet's plane inside an element's box, in the facet's frame; None where there is none."""
    low, high = facet.bounds_m()
    middle_m = np.mean([patch.centre_m for patch in facet.patches], axis=0)
    axes = np.stack([facet.u_axis, facet.v_axis])
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    polygon_m = middle_m + (corners - facet.flat(middle_m[None])) @ axes
    for axis in range(3):
        for sign, limit in ((1.0, element.high_m[axis]), (-1.0, -element.low_m[axis])):
            if math.isfinite(limit):
                polygon_m = _clipped(polygon_m, sign * polygon_m[:, axis] - limit)
            if len(polygon_m) < 3:
                return None
    return shapely.make_valid(shapely.Polygon(facet.flat(polygon_m)))


def _clipped(polygon_m: Array, outside: Array) -> Array:
    """The part of a convex polygon (M, 3) whose corners are not outside (M,), a signed distance."""
    kept = []
    for index in range(len(polygon_m)):
        after = (index + 1) % len(polygon_m)
        here, there = float(outside[index]), float(outside[after])
        if here <= 0:
            kept.append(polygon_m[index])
        if (here <= 0) != (there <= 0):
            kept.append(polygon_m[index] + here / (here - there) * (polygon_m[after] - polygon_m[index]))
    return np.array(kept).reshape(-1, 3)


def read_elements(path: Path, letters: Sequence[str]) -> list[FacetElement]:
    """Read the elements of a CSV file with a header, or of a YAML list of mappings with the same names.

    Columns: ``element`` (its id), ``type`` (``reinforced``, ``prestressed`` or the number of the AASHTO manual, such as
    109), ``facet`` (letter), and for a part of a facet ``left_m``, ``bottom_m``, ``right_m``, ``top_m`` in the
    coordinates of its plan; an empty side is open.

    Args:
        letters: Of the facets of the map.

    Raises:
        UserError: The file cannot be read, or a row is wrong.
    """
    elements = [_element(path, number, row, letters) for number, row in enumerate(_rows(path), 1)]
    if not elements:
        raise UserError(f"{path}: lists no element", _EXAMPLE)
    return elements


def _rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})", "Give a CSV or YAML file in UTF-8") from error
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            rows = parse_yaml(text)
        except yaml.YAMLError as error:
            raise UserError(f"{path}: is not YAML ({' '.join(str(error).split())})", _EXAMPLE) from error
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise UserError(f"{path}: is no list of elements", _EXAMPLE)
        return rows
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    return list(csv.DictReader(text.splitlines(), delimiter=delimiter))


def _element(path: Path, number: int, row: Mapping[str, Any], letters: Sequence[str]) -> FacetElement:
    """An element of a row.

    Raises:
        UserError: The row is wrong.
    """
    where = f"{path}: element {number}"
    unknown = [str(name) for name in row if name not in _KNOWN]
    if unknown:
        raise UserError(f"{where} has the unknown column '{unknown[0]}'", _EXAMPLE)
    values = {name: str("" if row.get(name) is None else row[name]).strip() for name in _KNOWN}
    if not values["element"]:
        raise UserError(f"{where} has no name", _EXAMPLE)
    facet = values["facet"].upper()
    if facet not in letters:
        raise UserError(f"{where} is on the facet '{values['facet']}'", f"The map has the facets {', '.join(letters)}")
    low_m, high_m = np.full(2, -np.inf), np.full(2, np.inf)
    for index, name in enumerate(_SIDES):
        if not values[name]:
            continue
        try:
            side_m = float(values[name])
        except ValueError as error:
            raise UserError(f"{where} has {name} '{values[name]}'", "Give a number of metres") from error
        (low_m, high_m)[index // 2][index % 2] = side_m
    if not (low_m < high_m).all():
        raise UserError(f"{where} has an empty rectangle", "left_m is less than right_m, bottom_m less than top_m")
    return FacetElement(values["element"], _material(where, values["type"].lower()), facet, low_m, high_m)


def _material(where: str, kind: str) -> Material:
    if kind.isdecimal():
        return Material.PRESTRESSED if int(kind) in _PRESTRESSED else Material.REINFORCED
    try:
        return Material(kind or Material.REINFORCED.value)
    except ValueError as error:
        raise UserError(
            f"{where} has the type '{kind}'", "Give reinforced, prestressed or a number of the AASHTO manual"
        ) from error
