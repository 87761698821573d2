# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A drawing as SVG 1.1: one group for each layer, in millimetres."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from crack_perception.mapping.export.plan.shapes import Array, Colour, Drawing, Group, Path, Picture, Text

_FONTS = "Helvetica, Arial, Liberation Sans, sans-serif"


def svg(drawing: Drawing, paper: bool = True) -> str:
    """The drawing as a complete SVG 1.1 file.

    Args:
        paper: Whether the sheet is white; a drawing to lay over a picture has none.
    """
    size = f'width="{drawing.width_mm:g}mm" height="{drawing.height_mm:g}mm"'
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {drawing.width_mm:g} {drawing.height_mm:g}" '
            f'font-family="{_FONTS}" stroke-linecap="round" stroke-linejoin="round">',
            f"<title>{_words(drawing.title)}</title>",
            *([f'<rect width="{drawing.width_mm:g}" height="{drawing.height_mm:g}" fill="#ffffff"/>'] if paper else []),
            *(line for layer in drawing.layers for line in _group(layer)),
            "</svg>",
            "",
        ]
    )


def _group(group: Group) -> Iterator[str]:
    yield f"<g id={quoteattr(group.name)}>"
    if group.title:
        yield f"<title>{_words(group.title)}</title>"
    for item in group.items:
        if isinstance(item, Group):
            yield from _group(item)
        elif isinstance(item, Path):
            yield _path(item)
        else:
            yield _text(item) if isinstance(item, Text) else _picture(item)
    yield "</g>"


def _path(path: Path) -> str:
    end = "Z" if path.closed or path.fill is not None else ""
    parts = [f'<path d="{_data(path.points_mm)}{end}" fill="{_colour(path.fill)}"']
    if path.stroke is not None:
        parts.append(f' stroke="{_colour(path.stroke)}" stroke-width="{path.width_mm:.3g}"')
    if path.dash_mm is not None:
        dashes = " ".join(f"{length:g}" for length in path.dash_mm)
        parts.append(f' stroke-dasharray="{dashes}" stroke-linecap="butt"')
    return "".join(parts) + "/>"


def _text(text: Text) -> str:
    weight = ' font-weight="bold"' if text.bold else ""
    anchor = "" if text.anchor == "start" else f' text-anchor="{text.anchor}"'
    x, y = text.at_mm
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" font-size="{text.size_mm:g}"{anchor}{weight} fill="{_colour(text.colour)}">'
        f"{_words(text.text)}</text>"
    )


def _picture(picture: Picture) -> str:
    corner, right, down = picture.corners_mm
    (a, b), (c, d), (e, f) = (right - corner).tolist(), (down - corner).tolist(), corner.tolist()
    data = base64.b64encode(picture.jpeg).decode("ascii")
    return (
        f'<image transform="matrix({a:.6g} {b:.6g} {c:.6g} {d:.6g} {e:.4f} {f:.4f})" width="1" height="1" '
        'preserveAspectRatio="none" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'xlink:href="data:image/jpeg;base64,{data}"/>'
    )


def _words(text: str) -> str:
    """For XML, which knows no control characters."""
    return escape("".join(letter for letter in text if letter.isprintable()))


def _data(points_mm: Array) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in np.round(points_mm, 2).tolist())


def _colour(colour: Colour | None) -> str:
    return "none" if colour is None else "#{:02x}{:02x}{:02x}".format(*colour)
