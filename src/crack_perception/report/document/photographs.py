# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs for documents: a smaller JPEG, and an SVG with the measured line and a scale bar to lay over it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

import cv2
import numpy as np

from crack_perception.mapping.evidence.photograph import Photograph, PhotographedLine
from crack_perception.mapping.export.plan.shapes import WHITE, Colour, Drawing, Group, Path, Text, rectangle
from crack_perception.mapping.export.plan.svg import svg

_QUALITY = 82
_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
# The overlay is drawn in tenths of a per cent of the photograph's width.
_UNITS = 1000.0
_LINE, _CASING = 2.6, 4.6
_BAR_LENGTHS_MM = (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
_BLACK: Colour = (0, 0, 0)
# 2.1 mm on half of a page of A4, and on a third of one.
_LETTERS, _SMALL_LETTERS = 26.0, 40.0


@dataclass(frozen=True)
class Thumbnail:
    """A photograph for a document.

    Attributes:
        jpeg: The picture as a JPEG file.
        width_px, height_px: Its size.
    """

    jpeg: bytes
    width_px: int
    height_px: int


def thumbnail(path: FilePath, size_px: tuple[int, int], longest_px: int) -> Thumbnail | None:
    """Decode and shrink a photograph.

    JPEG files are decoded at a half, a quarter or an eighth where that is large enough, which costs less.

    Args:
        size_px: Width and height of the file.
        longest_px: Greatest width or height of the result.

    Returns:
        None where the file is missing or damaged.
    """
    flags = next((flag for factor, flag in _REDUCED if max(size_px) >= factor * longest_px), cv2.IMREAD_COLOR)
    picture = cv2.imread(str(path), flags)
    if picture is None:
        return None
    height_px, width_px = picture.shape[:2]
    factor = min(1.0, longest_px / max(height_px, width_px))
    if factor < 1.0:
        width_px, height_px = max(1, round(width_px * factor)), max(1, round(height_px * factor))
        picture = cv2.resize(picture, (width_px, height_px), interpolation=cv2.INTER_AREA)
    encoded, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
    return Thumbnail(data.tobytes(), width_px, height_px) if encoded else None


def overlay(photograph: Photograph, colour: Colour | None, is_small: bool = False) -> str:
    """SVG of the photograph's proportions: a scale bar, and the measured lines in a colour (None: without them).

    Args:
        is_small: It stands on a third of a page, not on half of one: its texts are larger.
    """
    width_px, height_px = photograph.size_px
    unit = _UNITS / width_px
    height = height_px * unit
    letters = _SMALL_LETTERS if is_small else _LETTERS
    items: list[Path | Text] = []
    if colour is not None:
        for line in photograph.lines:
            items += _line(line, unit, colour, letters)
    items += _scale_bar(photograph, unit, height, letters)
    title = f"photograph {photograph.file}"
    return svg(Drawing(_UNITS, height, title, (Group("overlay", tuple(items)),)), paper=False)


def _line(line: PhotographedLine, unit: float, colour: Colour, letters: float) -> Iterator[Path | Text]:
    if len(line.points_px) < 2:
        return
    points = (line.points_px + 0.5) * unit  # whole numbers are centres of pixels
    yield Path(points, WHITE, _CASING)
    yield Path(points, colour, _LINE)
    known = np.isfinite(line.width_mm)
    if known.any():
        widest = int(np.nanargmax(line.width_mm))
        x, y = points[widest].tolist()
        around = np.linspace(0.0, 2.0 * math.pi, 33)[:-1]
        ring = np.column_stack([x + 13.0 * np.cos(around), y + 13.0 * np.sin(around)])
        yield Path(ring, WHITE, _CASING, closed=True)
        yield Path(ring, colour, _LINE, closed=True)
        text = f"{float(line.width_mm[widest]):.2f} mm"
        left = min(max(x + 20.0, 8.0), _UNITS - 0.62 * letters * len(text))
        yield from _tag(text, left, max(y - 22.0, 1.3 * letters), letters)


def _tag(text: str, x: float, y: float, letters: float) -> Iterator[Path | Text]:
    box = Text((x, y), text, letters)
    yield Path(rectangle(x - 6.0, y - 0.86 * letters, box.width_mm + 12.0, 1.16 * letters), None, fill=WHITE)
    yield box


def _scale_bar(photograph: Photograph, unit: float, height: float, letters: float) -> Iterator[Path | Text]:
    """A bar of a round length at the crack, about a fifth of the width."""
    mm_per_unit = photograph.gsd_mm_per_px / unit
    if not (math.isfinite(mm_per_unit) and mm_per_unit > 0):
        return
    length_mm = min(_BAR_LENGTHS_MM, key=lambda length: abs(math.log(length / mm_per_unit / (_UNITS / 5))))
    length = length_mm / mm_per_unit
    if length > 0.8 * _UNITS:
        return
    text = f"{length_mm / 10:g} cm" if length_mm < 1000 else f"{length_mm / 1000:g} m"
    label = Text((30.0 + length + 10.0, height - letters), text, letters)
    top, tall = height - 2.0 * letters, 0.54 * letters
    yield Path(rectangle(20.0, top, length + label.width_mm + 32.0, 1.46 * letters), None, fill=WHITE)
    yield Path(rectangle(30.0, top + 0.46 * letters, length / 2, tall), _BLACK, 1.5, fill=_BLACK)
    yield Path(rectangle(30.0 + length / 2, top + 0.46 * letters, length / 2, tall), _BLACK, 1.5, fill=WHITE)
    yield label
