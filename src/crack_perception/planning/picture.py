# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Picture of a planned flight: the wall with the lanes, the place of every photograph and the first image."""

from __future__ import annotations

from xml.sax.saxutils import escape

from crack_perception.planning.calculator import FlightEstimate, FlightWish

_LONGEST_PX = 900.0
_MARGIN_PX = 40.0
_ROW_PX = 20.0
_MOST_DOTS = 3000
# A lane every few pixels is a grey area: of more lanes a part is drawn.
_MOST_LANES = 200
_BLUE, _ORANGE, _GREY, _INK = "#0072b2", "#d55e00", "#e9ecef", "#212529"


def flight_svg(wish: FlightWish, flight: FlightEstimate, rows: list[tuple[str, str]]) -> str:
    """Return the drawing as SVG.

    Args:
        wish: The wall.
        flight: Its lanes.
        rows: Names and values that stand below the drawing.
    """
    wall_m = wish.area_m
    # Images may reach beyond a small wall.
    scale = _LONGEST_PX / max(*wall_m, *flight.footprint_m)
    width_px, height_px = wall_m[0] * scale, wall_m[1] * scale
    image_px = flight.footprint_m[0] * scale, flight.footprint_m[1] * scale
    across = max(width_px, image_px[0]) + 2 * _MARGIN_PX
    down = max(height_px, image_px[1]) + 2 * _MARGIN_PX
    left, top = (across - width_px) / 2, (down - height_px) / 2
    per_lane = flight.photographs // flight.lanes
    has_dots = flight.photographs <= _MOST_DOTS
    # The way along a lane is straight: without dots its ends are enough.
    xs = _places(wall_m[0], flight.footprint_m[0], per_lane, per_lane if has_dots else 2)
    ys = _places(wall_m[1], flight.footprint_m[1], flight.lanes, _MOST_LANES)
    corners = []
    for lane, y in enumerate(ys):
        corners += [(x, y) for x in (xs[::-1] if lane % 2 else xs)]
    points = [(left + x * scale, top + y * scale) for x, y in corners]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width_px:.1f}" height="{height_px:.1f}" fill="{_GREY}" '
        f'stroke="{_INK}"/>',
        f'<polyline points="{path}" fill="none" stroke="{_BLUE}" stroke-width="1.5"/>',
    ]
    if has_dots:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{_BLUE}"/>' for x, y in points]
    x, y = points[0]
    parts.append(
        f'<rect x="{x - image_px[0] / 2:.1f}" y="{y - image_px[1] / 2:.1f}" width="{image_px[0]:.1f}" '
        f'height="{image_px[1]:.1f}" fill="none" stroke="{_ORANGE}" stroke-width="2"/>'
    )
    if len(ys) < flight.lanes:
        rows = [*rows, ("Picture", f"{len(ys)} of {flight.lanes} lanes are drawn")]
    for index, (name, value) in enumerate(rows):
        at = down + _ROW_PX * (index + 0.5)
        parts.append(f'<text x="{_MARGIN_PX:.0f}" y="{at:.0f}" fill="{_INK}">{escape(name)}</text>')
        parts.append(f'<text x="{_MARGIN_PX + 210:.0f}" y="{at:.0f}" fill="{_INK}">{escape(value)}</text>')
    total = down + _ROW_PX * (len(rows) + 0.5)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across:.0f}" height="{total:.0f}" '
        f'viewBox="0 0 {across:.0f} {total:.0f}" font-family="sans-serif" font-size="14">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _places(length_m: float, image_m: float, count: int, most: int) -> list[float]:
    """Middles of equally spaced images that cover a length, at most ``most``; its own middle where one is enough."""
    if count == 1:
        return [length_m / 2]
    shown = min(count, most)
    step = (length_m - image_m) / (shown - 1)
    return [image_m / 2 + index * step for index in range(shown)]
