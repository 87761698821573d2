# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Chart of the measured width along a crack, with its uncertainty and the edges of the severity classes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from crack_perception.mapping.export.plan.shapes import (
    HAIRLINE,
    INK,
    SOFT_INK,
    Array,
    Colour,
    Drawing,
    Group,
    Path,
    Text,
    segment,
)
from crack_perception.mapping.export.plan.svg import svg
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.polylines import arc_lengths, runs
from crack_perception.recognition.severity import SeverityScale

WIDTH_MM, HEIGHT_MM = 96.0, 38.0
SIGMAS = 2.0
"""Half width of the band in standard deviations: about 95 %."""

_LEFT, _TOP, _RIGHT, _BOTTOM = 9.0, 4.0, 94.0, 30.0
_BAND: Colour = (205, 222, 236)
_LINE: Colour = (20, 84, 140)
_EDGE: Colour = (200, 90, 40)
_NUMBER_MM = 2.3
_MOST_POINTS = 300


def width_chart(crack: MappedCrack, scale: SeverityScale) -> str | None:
    """The chart as SVG, in the direction of the line; None where no width is known."""
    along_m = arc_lengths(crack.line_m)
    known = np.isfinite(crack.width_mm)
    if not known.any():
        return None
    sigma_mm = np.nan_to_num(crack.width_sigma_mm, nan=0.0, posinf=0.0)
    high_mm = np.where(known, crack.width_mm + SIGMAS * sigma_mm, 0.0)
    highest_mm = max(float(np.quantile(high_mm[known], 0.98)), 1.1 * float(np.nanmax(crack.width_mm)))
    step_mm = _round_up(highest_mm / 4)
    top_mm = step_mm * math.ceil(highest_mm / step_mm - 1e-9)
    length_m = max(float(along_m[-1]), 1e-6)

    def at(along: Array, width: Array) -> Array:
        shown = np.clip(width, 0.0, top_mm)
        x = _LEFT + along / length_m * (_RIGHT - _LEFT)
        return np.column_stack([x, _BOTTOM - shown / top_mm * (_BOTTOM - _TOP)])

    items: list[Path | Text] = [*_grid(top_mm, step_mm, length_m)]
    for first, last in runs(known):
        part = _thinned(first, last)
        low = at(along_m[part], crack.width_mm[part] - SIGMAS * sigma_mm[part])
        high = at(along_m[part], crack.width_mm[part] + SIGMAS * sigma_mm[part])
        line = at(along_m[part], crack.width_mm[part])
        if len(part) == 1:
            line = line + np.array([[-0.4, 0.0], [0.4, 0.0]])
        else:
            items.append(Path(np.concatenate([high, low[::-1]]), None, fill=_BAND))
        items.append(Path(line, _LINE, 0.4))
    for edge_mm in scale.edges_mm:
        if edge_mm < top_mm:
            ((x1, y), (x2, _)) = at(np.array([0.0, length_m]), np.array([edge_mm, edge_mm])).tolist()
            items.append(Path(segment(x1, y, x2, y), _EDGE, 0.18, dash_mm=(1.2, 0.9)))
    return svg(Drawing(WIDTH_MM, HEIGHT_MM, "Crack width along the line", (Group("chart", tuple(items)),)))


def _grid(top_mm: float, step_mm: float, length_m: float) -> Iterator[Path | Text]:
    for step in range(round(top_mm / step_mm) + 1):
        width_mm = step * step_mm
        y = _BOTTOM - (_BOTTOM - _TOP) * width_mm / top_mm
        yield Path(segment(_LEFT, y, _RIGHT, y), INK if step == 0 else HAIRLINE, 0.15)
        yield Text((_LEFT - 1.0, y + 0.8), _decimals(width_mm, step_mm), _NUMBER_MM, "end", colour=SOFT_INK)
    unit_m = _round_up(length_m / 6)
    for index in range(int(length_m / unit_m + 1e-9) + 1):
        x = _LEFT + index * unit_m / length_m * (_RIGHT - _LEFT)
        yield Path(segment(x, _BOTTOM, x, _BOTTOM + 0.9), INK, 0.15)
        yield Text((x, _BOTTOM + 3.6), _decimals(index * unit_m, unit_m), _NUMBER_MM, "middle", colour=SOFT_INK)
    yield Text(((_LEFT + _RIGHT) / 2, HEIGHT_MM - 1.0), "along the crack [m]", _NUMBER_MM, "middle", colour=SOFT_INK)
    yield Text((0.5, 2.2), "width [mm]", _NUMBER_MM, colour=SOFT_INK)


def _thinned(first: int, last: int) -> list[int]:
    """Indices from the first to before the last, both ends kept."""
    count = min(last - first, _MOST_POINTS)
    return np.unique(np.linspace(first, last - 1, count).round().astype(int)).tolist()


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10 times a power of ten."""
    value = max(value, 1e-6)
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value * (1 - 1e-9))


def _decimals(value: float, step: float) -> str:
    """A number with as many decimals as the steps of its axis have."""
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
