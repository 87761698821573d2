# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A drawing as a PNG picture, by OpenCV."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.mapping.export.plan.shapes import Array, Colour, Drawing, Path, Picture, Text, text_width_mm
from crack_perception.mapping.polylines import arc_lengths

# OpenCV takes coordinates in fractions of a pixel by this many binary digits.
_SHIFT = 4
_MM_PER_INCH = 25.4
_FONTS = {False: cv2.FONT_HERSHEY_SIMPLEX, True: cv2.FONT_HERSHEY_DUPLEX}
_BOLD_SHARE = 0.05
_SAMPLE = "0123456789 confirmed by several views"


def png(drawing: Drawing, dots_per_inch: float = 200.0) -> bytes:
    """The drawing as a PNG file; its resolution is not written into it."""
    scale = dots_per_inch / _MM_PER_INCH
    canvas = np.full((round(drawing.height_mm * scale), round(drawing.width_mm * scale), 3), 255, np.uint8)
    for shape in drawing.shapes():
        if isinstance(shape, Path):
            _draw_path(canvas, shape, scale)
        elif isinstance(shape, Text):
            _draw_text(canvas, shape, scale)
        else:
            _draw_picture(canvas, shape, scale)
    encoded, data = cv2.imencode(".png", canvas)
    if not encoded:
        raise ValueError("OpenCV could not encode the plan")
    return data.tobytes()


def dashed(points_mm: Array, dash_mm: tuple[float, float]) -> list[Array]:
    """The strokes of a dashed line, each (N, 2)."""
    along = arc_lengths(points_mm)
    stroke, gap = dash_mm
    strokes = []
    for start in np.arange(0.0, along[-1], stroke + gap):
        end = min(start + stroke, along[-1])
        inner = along[(along > start) & (along < end)]
        places = np.concatenate([[start], inner, [end]])
        strokes.append(np.column_stack([np.interp(places, along, points_mm[:, axis]) for axis in (0, 1)]))
    return strokes


def _draw_path(canvas: npt.NDArray[np.uint8], path: Path, scale: float) -> None:
    if path.fill is not None:
        cv2.fillPoly(canvas, [_pixels(path.points_mm, scale)], _bgr(path.fill), cv2.LINE_AA, _SHIFT)
    if path.stroke is None:
        return
    closed = path.closed or path.fill is not None
    if path.dash_mm is None:
        lines = [path.points_mm]
    else:
        lines = dashed(np.vstack([path.points_mm, path.points_mm[:1]]) if closed else path.points_mm, path.dash_mm)
        closed = False
    pixels = [_pixels(line, scale) for line in lines]
    thickness = max(1, round(path.width_mm * scale))
    cv2.polylines(canvas, pixels, closed, _bgr(path.stroke), thickness, cv2.LINE_AA, _SHIFT)


def _draw_text(canvas: npt.NDArray[np.uint8], text: Text, scale: float) -> None:
    font = _FONTS[text.bold]
    size = text.size_mm * scale * _font_scale(text.bold)
    (width_px, _), _ = cv2.getTextSize(text.text, font, size, 1)
    if width_px > text.width_mm * scale:  # letters that need more room than usual
        size *= text.width_mm * scale / width_px
        (width_px, _), _ = cv2.getTextSize(text.text, font, size, 1)
    x, y = (coordinate * scale for coordinate in text.at_mm)
    thickness = max(1, round(_BOLD_SHARE * text.size_mm * scale)) if text.bold else 1
    left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[text.anchor] * width_px
    cv2.putText(canvas, text.text, (round(left), round(y)), font, size, _bgr(text.colour), thickness, cv2.LINE_AA)


def _draw_picture(canvas: npt.NDArray[np.uint8], picture: Picture, scale: float) -> None:
    pixels = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("OpenCV could not decode a picture of the plan")
    height_px, width_px = pixels.shape[:2]
    corners = np.array([[0, 0], [width_px, 0], [0, height_px]], np.float32) - np.float32(0.5)
    place = cv2.getAffineTransform(corners, (picture.corners_mm * scale - 0.5).astype(np.float32))
    size = canvas.shape[1::-1]
    cv2.warpAffine(pixels, place, size, canvas, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)


@lru_cache
def _font_scale(bold: bool) -> float:
    """OpenCV's scale for a font size of one pixel: its letters, which differ between versions, get their room.

    Measured large, since OpenCV gives whole pixels.
    """
    (width_px, _), _ = cv2.getTextSize(_SAMPLE, _FONTS[bold], 20.0, 1)
    return 20.0 * text_width_mm(_SAMPLE, 1.0, bold) / width_px


def _pixels(points_mm: Array, scale: float) -> npt.NDArray[np.int32]:
    # The centre of the first pixel is (0, 0) for OpenCV, its corner for the paper.
    return np.round((points_mm * scale - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _bgr(colour: Colour) -> Colour:
    return colour[::-1]
