# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Elements of a drawing, in millimetres on paper: x to the right, y down, the origin at the upper left corner.

Both renderers, SVG and PNG, draw the same shapes. Texts of the plan itself are ASCII: not every OpenCV draws more.
Titles and names of cracks that people give may have any letters, which only the SVG shows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

INK: Colour = (33, 37, 41)
SOFT_INK: Colour = (96, 103, 110)
HAIRLINE: Colour = (205, 209, 213)
WHITE: Colour = (255, 255, 255)

_EYE_MM = 0.04


@dataclass(frozen=True)
class Path:
    """A line or, where it has a fill, an area.

    Attributes:
        points_mm: (N, 2), N >= 2.
        stroke: None for an area without a border.
        width_mm: Of the stroke.
        fill: None for a line.
        closed: Whether the last point is joined to the first; areas always are.
        dash_mm: Lengths of strokes and gaps in turn; empty for a whole line.
    """

    points_mm: Array
    stroke: Colour | None = INK
    width_mm: float = 0.18
    fill: Colour | None = None
    closed: bool = False
    dash_mm: tuple[float, float] | None = None


@dataclass(frozen=True)
class Text:
    """One line of text.

    Attributes:
        at_mm: Where its base line begins, or has its middle or its end, by ``anchor``.
        size_mm: Of the font; capitals are about 0.72 of it.
    """

    at_mm: tuple[float, float]
    text: str
    size_mm: float = 2.4
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False
    colour: Colour = INK

    @property
    def width_mm(self) -> float:
        """Approximate size in a sans-serif font."""
        return text_width_mm(self.text, self.size_mm, self.bold)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, placed by three of its corners.

    Attributes:
        jpeg: The picture as a JPEG file.
        corners_mm: (3, 2) upper left, upper right and lower left corner.
    """

    jpeg: bytes
    corners_mm: Array


@dataclass(frozen=True)
class Group:
    """Shapes that belong together, drawn in order.

    Attributes:
        name: Becomes the id in the SVG; unique within a drawing.
        title: What a viewer shows when the pointer rests on it.
    """

    name: str
    items: tuple[Path | Text | Picture | Group, ...]
    title: str = ""


@dataclass(frozen=True)
class Drawing:
    """A sheet of paper.

    Attributes:
        width_mm, height_mm: Its size.
        title: What it shows.
        layers: From the bottom to the top.
    """

    width_mm: float
    height_mm: float
    title: str
    layers: tuple[Group, ...] = field(default=())

    def shapes(self) -> Iterator[Path | Text | Picture]:
        """All shapes in the order in which they are drawn."""
        stack: list[Path | Text | Picture | Group] = list(reversed(self.layers))
        while stack:
            item = stack.pop()
            if isinstance(item, Group):
                stack.extend(reversed(item.items))
            else:
                yield item


def simplified(points_mm: Array, closed: bool = False) -> Array:
    """(M, 2) of a simplified line (Douglas and Peucker)."""
    kept = cv2.approxPolyDP(points_mm.astype(np.float32), _EYE_MM, closed)[:, 0].astype(np.float64)
    return kept if len(kept) >= 2 else points_mm[[0, -1]]


def rectangle(left_mm: float, top_mm: float, width_mm: float, height_mm: float) -> Array:
    """(4, 2) corners."""
    right_mm, bottom_mm = left_mm + width_mm, top_mm + height_mm
    return np.array([[left_mm, top_mm], [right_mm, top_mm], [right_mm, bottom_mm], [left_mm, bottom_mm]])


def segment(x1_mm: float, y1_mm: float, x2_mm: float, y2_mm: float) -> Array:
    """(2, 2) ends."""
    return np.array([[x1_mm, y1_mm], [x2_mm, y2_mm]])


# Advance widths of Helvetica in thousandths of the font size (Adobe font metrics), for characters that differ from a
# digit's 556; bold is wider by a twelfth on average.
_NARROW = {" .,:;/|!-": 278, "ijl'": 222, "ft()": 333, "r": 333, "I": 278, "ckszxvyJ": 500}
_WIDE = {"m": 833, "MW@": 890, "w": 722, "ABEKPSVXY": 667, "CDHNRU": 722, "GOQ": 778, "<>=+%": 640}
_ADVANCE = {letter: advance for table in (_NARROW, _WIDE) for letters, advance in table.items() for letter in letters}
# Letters of DejaVu Sans, which replaces Helvetica on Linux, are this much wider.
_WIDEST = 1.15
_BOLD = 1.08


def text_width_mm(text: str, size_mm: float, bold: bool = False) -> float:
    """Room for a text in Helvetica, or in any of the usual fonts that replace it."""
    thousandths = sum(_ADVANCE.get(letter) or _advance(letter) for letter in text)
    return _WIDEST * thousandths / 1000 * size_mm * (_BOLD if bold else 1.0)


def _advance(letter: str) -> int:
    """Of other letters: East Asian ones fill a square, combining marks need no room."""
    if unicodedata.combining(letter):
        return 0
    return 1000 if unicodedata.east_asian_width(letter) in "WF" else 556
