# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Drawing regions and what is known of them onto a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.regions import OrientedBox

Image = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

# OpenCV draws between pixels when coordinates come as integers with this many binary places.
_FRACTION_BITS = 4

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BACKGROUND: Colour = (32, 32, 32)
_TEXT: Colour = (255, 255, 255)

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
    """A copy of the frame with boxes, crack lines, texts and a caption in the corner; line widths grow with the frame.

    Crack lines are drawn as thin as can be, so that the crack is still seen beside them.
    """
    canvas = frame.copy()
    scale = max(0.4, frame.shape[1] / 1920 * 0.8)
    thickness = max(1, round(scale * 2.5))
    for label in labels:
        colour = severity_colour(label.severity)
        corners = np.round(label.box.corners()).astype(np.int32)
        cv2.polylines(canvas, [corners], True, colour, thickness, cv2.LINE_AA)
        for line_px in label.lines_px:
            vertices = np.round(line_px * 2**_FRACTION_BITS).astype(np.int32)
            cv2.polylines(canvas, [vertices], False, colour, 1, cv2.LINE_AA, _FRACTION_BITS)
    for label in labels:
        top = label.box.corners()[np.argmin(label.box.corners()[:, 1])]
        _write(canvas, label.text, float(top[0]), float(top[1]), scale, severity_colour(label.severity))
    _write(canvas, caption, 0.0, 0.0, scale, _BACKGROUND)
    return canvas


def _write(canvas: Image, text: str, x: float, y: float, scale: float, background: Colour) -> None:
    """Text on a filled box whose lower left corner is at (x, y), kept inside the frame."""
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, 1)
    margin = max(2, round(4 * scale))
    full_width, full_height = width + 2 * margin, height + baseline + 2 * margin
    left = int(np.clip(x, 0, max(0, canvas.shape[1] - full_width)))
    top = int(np.clip(y - full_height, 0, max(0, canvas.shape[0] - full_height)))
    cv2.rectangle(canvas, (left, top), (left + full_width, top + full_height), background, cv2.FILLED)
    dark_text = sum(background) > 380
    colour: Colour = (0, 0, 0) if dark_text else _TEXT
    cv2.putText(canvas, text, (left + margin, top + margin + height), _FONT, scale, colour, 1, cv2.LINE_AA)
