# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The small view from above that shows where every facet stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from crack_perception.mapping.export.plan.layout import Box, PlacedFacet
from crack_perception.mapping.export.plan.shapes import INK, SOFT_INK, Array, Group, Path, Text, segment

_HEADING_MM = 8.0
_MARGIN_MM = 9.0
_LETTER_MM = 3.2
_ARROW_MM = 6.0


def key_plan_layer(placed: Sequence[PlacedFacet], x_heading_deg: float | None, box: Box) -> Group:
    """Walls as lines, floors and ceilings as dashed outlines, seen from above; north up where it is known."""
    items: list[Path | Text] = [Text((box.left + 4.0, box.top + 5.0), "Key plan, from above", 2.5, bold=True)]
    if placed:
        turn = _turn(x_heading_deg)
        outlines = [_corners_m(facet)[:, :2] @ turn.T for facet in placed]
        items += _facets(placed, outlines, turn, box)
        items += _arrows(turn, x_heading_deg, box)
    return Group("key-plan", tuple(items))


def _turn(x_heading_deg: float | None) -> Array:
    """(2, 2) from map x, y to right and up on the sheet."""
    angle = 0.0 if x_heading_deg is None else math.radians(90.0 - x_heading_deg)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _corners_m(facet: PlacedFacet) -> Array:
    """(4, 3) corners of the facet's extent in the map."""
    plane = facet.facet
    (u0, v0), (u1, v1) = facet.low_m, facet.high_m
    flat = np.array([[u0, v0], [u1, v0], [u1, v1], [u0, v1]]) - plane.shift_m
    middle_m = np.mean([patch.centre_m for patch in plane.patches], axis=0)
    along = flat @ np.array([plane.u_axis, plane.v_axis])
    return np.asarray(along + (middle_m @ plane.normal) * plane.normal)


def _facets(placed: Sequence[PlacedFacet], outlines: list[Array], turn: Array, box: Box) -> Iterator[Path | Text]:
    points = np.concatenate(outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.array([box.width - 2 * _MARGIN_MM - _ARROW_MM, box.height - _HEADING_MM - 1.4 * _MARGIN_MM])
    mm_per_m = float(np.min(room / np.maximum(high - low, 0.1)))
    centre = np.array([box.left + (box.width - _ARROW_MM) / 2, box.top + _HEADING_MM + (box.height - _HEADING_MM) / 2])
    for facet, outline in zip(placed, outlines, strict=True):
        on_paper = centre + (outline - (low + high) / 2) * mm_per_m * [1, -1]
        middle = on_paper.mean(axis=0)
        if facet.facet.is_wall:
            yield Path(on_paper[:2], INK, 0.6)
            outward = facet.facet.normal[:2] @ turn.T
            middle = middle + 1.1 * _LETTER_MM * outward / max(float(np.linalg.norm(outward)), 1e-9) * [1, -1]
        else:
            yield Path(on_paper, SOFT_INK, 0.2, closed=True, dash_mm=(1.2, 0.8))
        yield Text((float(middle[0]), float(middle[1]) + 0.36 * _LETTER_MM), facet.name, _LETTER_MM, "middle", True)


def _arrows(turn: Array, x_heading_deg: float | None, box: Box) -> Iterator[Path | Text]:
    foot = np.array([box.right - _ARROW_MM - 6.0, box.bottom - 6.0])
    named = {"x": turn[:, 0], "y": turn[:, 1]} if x_heading_deg is None else {"N": np.array([0.0, 1.0])}
    for name, direction in named.items():
        along = direction * [1, -1]
        tip = foot + _ARROW_MM * along
        across = np.array([-along[1], along[0]])
        yield Path(segment(*foot, *tip), INK, 0.25)
        yield Path(np.array([tip, tip - 1.6 * along + 0.6 * across, tip - 1.6 * along - 0.6 * across]), INK, 0.1, INK)
        x, y = (tip + 2.0 * along).tolist()
        yield Text((x, y + 0.8), name, 2.3, "middle")
