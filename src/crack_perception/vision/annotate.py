# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Drawing regions and what is known of them onto a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.label_places import place_labels
from crack_perception.vision.regions import OrientedBox

Image = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

# OpenCV draws between pixels when coordinates come as integers with this many binary places.
_FRACTION_BITS = 4

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BACKGROUND: Colour = (32, 32, 32)
_TEXT: Colour = (255, 255, 255)
_DARK_TEXT: Colour = (0, 0, 0)
# Luma of a background above which a dark text stands out better.
_LIGHT = 128.0

# BGR, from slight to severe, blended in between; colour-blind safe (Okabe & Ito).
_SEVERITY_COLOURS: tuple[Colour, ...] = ((233, 180, 86), (66, 228, 240), (0, 159, 230), (0, 94, 213))
_UNDETERMINED_COLOUR: Colour = (167, 121, 204)


@dataclass(frozen=True)
class Label:
    """One region to draw.

    Attributes:
        box: Its box.
        text: What to write beside it.
        severity: From 0 (slightest) to 1 (most severe); None if undetermined.
        lines_px: Its crack lines, each (N, 2).
    """

    box: OrientedBox
    text: str
    severity: float | None
    lines_px: tuple[npt.NDArray[np.float64], ...] = ()


def severity_colour(severity: float | None) -> Colour:
    """BGR colour of a severity between 0 and 1; every class of a scale has one of its own."""
    if severity is None:
        return _UNDETERMINED_COLOUR
    place = severity * (len(_SEVERITY_COLOURS) - 1)
    places = range(len(_SEVERITY_COLOURS))
    blue, green, red = (round(float(np.interp(place, places, part))) for part in zip(*_SEVERITY_COLOURS, strict=True))
    return blue, green, red


def annotate(frame: Image, labels: Sequence[Label], caption: str) -> Image:
    """Draw boxes, crack lines, texts and a caption in the corner on a copy of the frame (H, W, 3).

    All sizes grow with the frame, so that the picture is equally legible at 4K and on a tablet. No text covers another;
    a text that is not beside its box is joined to it by a line, and one that finds no room is left out. Crack lines are
    drawn thin, so that the crack is still seen beside them.
    """
    canvas = frame.copy()
    style = _Style.of(frame.shape[1], frame.shape[0])
    colours = [severity_colour(label.severity) for label in labels]
    outlines = [label.box.corners() for label in labels]
    for label, colour, outline in zip(labels, colours, outlines, strict=True):
        corners = np.round(outline).astype(np.int32)
        if style.casing_px:
            width_px = style.edge_px + 2 * style.casing_px
            cv2.polylines(canvas, [corners], True, _BACKGROUND, width_px, cv2.LINE_AA)
        cv2.polylines(canvas, [corners], True, colour, style.edge_px, cv2.LINE_AA)
        for line_px in label.lines_px:
            vertices = np.round(line_px * 2**_FRACTION_BITS).astype(np.int32)
            cv2.polylines(canvas, [vertices], False, colour, style.line_px, cv2.LINE_AA, _FRACTION_BITS)
    caption_size = style.size_of(caption)
    shown = [entry for entry in zip(labels, colours, outlines, strict=True) if entry[0].text]
    boxes = [_bounds(outline) for _, _, outline in shown]
    sizes = [style.size_of(label.text) for label, _, _ in shown]
    reserved = [(0, 0, *caption_size)] if caption else []
    places = place_labels(boxes, sizes, (frame.shape[1], frame.shape[0]), reserved)
    placed = [
        (label, colour, box, size, place)
        for (label, colour, _), box, size, place in zip(shown, boxes, sizes, places, strict=True)
        if place is not None
    ]
    # All lines before the texts, which they may cross.
    for _, colour, box, size, place in placed:
        _join(canvas, box, place, size, colour, style)
    for label, colour, _, size, place in placed:
        _write(canvas, label.text, place, size, colour, style)
    if caption:
        _write(canvas, caption, (0, 0), caption_size, _BACKGROUND, style)
    return canvas


@dataclass(frozen=True)
class _Style:
    """Sizes for one size of frame.

    Attributes:
        scale: Of the font; its capital letters are about 22 px times this.
        stroke_px, edge_px, line_px: Widths of the strokes of texts, of edges of boxes, and of crack lines.
        casing_px: Width of the dark rim on both sides of an edge, which sets it off from bright concrete.
        margin_px: Between a text and the edge of its background.
    """

    scale: float
    stroke_px: int
    edge_px: int
    line_px: int
    casing_px: int
    margin_px: int

    @staticmethod
    def of(width_px: int, height_px: int) -> _Style:
        """Return the sizes for a frame; 1 is a frame of 1920 x 1080."""
        size = float(np.sqrt(width_px * height_px / (1920 * 1080)))
        scale = max(0.4, 0.9 * size)
        return _Style(
            scale=scale,
            stroke_px=max(1, round(1.7 * scale)),
            edge_px=max(1, round(2.2 * scale)),
            line_px=max(1, round(size)),
            casing_px=round(0.8 * scale),
            margin_px=max(2, round(4 * scale)),
        )

    def size_of(self, text: str) -> tuple[int, int]:
        """Return width and height [px] of a text with its background."""
        (width, height), baseline = cv2.getTextSize(text, _FONT, self.scale, self.stroke_px)
        return width + 2 * self.margin_px, height + baseline + 2 * self.margin_px


def _bounds(corners: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of corners (4, 2)."""
    left, top = corners.min(axis=0)
    right, bottom = corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _join(
    canvas: Image,
    box: tuple[float, float, float, float],
    place: tuple[int, int],
    size: tuple[int, int],
    colour: Colour,
    style: _Style,
) -> None:
    """Draw a line from a text to its box unless they touch."""
    nearest = np.clip([place[0] + size[0] / 2, place[1] + size[1] / 2], box[:2], box[2:])
    start = np.clip(nearest, place, np.add(place, size))
    if np.linalg.norm(nearest - start) > style.margin_px:
        ends = np.round([start, nearest]).astype(np.int32)
        cv2.line(canvas, tuple(ends[0].tolist()), tuple(ends[1].tolist()), colour, style.edge_px, cv2.LINE_AA)


def _write(
    canvas: Image, text: str, place: tuple[int, int], size: tuple[int, int], background: Colour, style: _Style
) -> None:
    """Write a text on a filled rectangle with this upper left corner."""
    left, top = place
    right, bottom = left + size[0] - 1, top + size[1] - 1
    cv2.rectangle(canvas, (left, top), (right, bottom), background, cv2.FILLED)
    # Luma of ITU-R BT.601.
    is_light = background[2] * 0.299 + background[1] * 0.587 + background[0] * 0.114 > _LIGHT
    (_, height), _ = cv2.getTextSize(text, _FONT, style.scale, style.stroke_px)
    origin = (left + style.margin_px, top + style.margin_px + height)
    cv2.putText(
        canvas, text, origin, _FONT, style.scale, _DARK_TEXT if is_light else _TEXT, style.stroke_px, cv2.LINE_AA
    )
