# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""SVG charts of a replay: frame age over time and recall by crack width, with axis ticks and path data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Return about ``about`` round axis values (1, 2 or 5 times a power of ten) between ``low`` and ``high``."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def path_data(points: list[tuple[float, float]]) -> str:
    """Return the SVG path data of a polyline."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


_AGE_WIDTH = 660.0
_BINS_WIDTH = 430.0
_HEIGHT = 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 14.0, 34.0
# More points than drawing units add nothing: each interval keeps its largest age.
_MAX_POINTS = 600


def age_chart(ages: Sequence[tuple[int, float]], figures: Mapping[str, float]) -> str:
    """Plot the frame age [ms] over the time since the first image [s], with median and 95th percentile.

    Args:
        ages: (stamp in nanoseconds, age) in order of stamps, at least one.
        figures: ``median``, ``p95`` and ``max`` of the ages.
    """
    first_ns, span_s = ages[0][0], max((ages[-1][0] - ages[0][0]) / 1e9, 1e-3)
    top_ms = 1.15 * figures["max"]
    interval = -(-len(ages) // _MAX_POINTS)
    worst = [max(ages[start : start + interval], key=lambda item: item[1]) for start in range(0, len(ages), interval)]

    def x_of(stamp_ns: int) -> float:
        return _LEFT + (stamp_ns - first_ns) / 1e9 / span_s * (_AGE_WIDTH - _LEFT - _RIGHT)

    def y_of(age_ms: float) -> float:
        return _HEIGHT - _BOTTOM - age_ms / top_ms * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_base_line(_AGE_WIDTH)]
    for value in ticks(0.0, top_ms, 5):
        parts.append(f'<path class="axis" d="M{_LEFT} {y_of(value):.1f}H{_AGE_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y_of(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for second in ticks(0.0, span_s, 8):
        x = x_of(first_ns + round(second * 1e9))
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{second:g} s</text>')
    parts.append(f'<path class="line" d="{path_data([(x_of(stamp), y_of(age)) for stamp, age in worst])}"/>')
    for name, label, below in (("p95", "95 %", -5.0), ("median", "median", 14.0)):
        y = y_of(figures[name])
        parts.append(f'<path class="level" d="M{_LEFT} {y:.1f}H{_AGE_WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text class="strong" x="{_AGE_WIDTH - _RIGHT - 4}" y="{y + below:.1f}" text-anchor="end">'
            f"{label} {figures[name]:.0f} ms</text>"
        )
    return _svg(parts, _AGE_WIDTH, "Frame age over time")


def width_chart(bins: Sequence[Mapping[str, Any]], min_width_px: float) -> str:
    """Plot recall by crack width in the image; bins below the visible width are drawn pale."""
    slot = (_BINS_WIDTH - _LEFT - _RIGHT) / len(bins)
    base = _HEIGHT - _BOTTOM
    full = base - _TOP - 10
    parts = [_base_line(_BINS_WIDTH)]
    for share in (0.0, 0.5, 1.0):
        y = base - share * full
        parts.append(f'<path class="axis" d="M{_LEFT} {y:.1f}H{_BINS_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{100 * share:.0f} %</text>')
    for index, item in enumerate(bins):
        middle = _LEFT + (index + 0.5) * slot
        label = f"{item['from_px']:g}–{item['to_px']:g}" if item["to_px"] else f"> {item['from_px']:g} px"
        parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 14}" text-anchor="middle">{label}</text>')
        if item["recall"] is None:
            parts.append(f'<text x="{middle:.1f}" y="{base - 6:.1f}" text-anchor="middle">none</text>')
            continue
        height = item["recall"] * full
        kind = "bar below" if item["to_px"] and item["to_px"] <= min_width_px else "bar"
        parts.append(
            f'<rect class="{kind}" x="{middle - 0.32 * slot:.1f}" y="{base - height:.1f}" width="{0.64 * slot:.1f}" '
            f'height="{height:.1f}" rx="2"><title>{item["length_m"]:g} m of crack, summed over frames</title></rect>'
        )
        parts.append(
            f'<text class="strong" x="{middle:.1f}" y="{base - height - 6:.1f}" text-anchor="middle">'
            f"{100 * item['recall']:.0f}</text>"
        )
    return _svg(parts, _BINS_WIDTH, "Recall by crack width in the image")


def _base_line(width: float) -> str:
    return f'<path class="axis" d="M{_LEFT} {_HEIGHT - _BOTTOM}H{width - _RIGHT}"/>'


def _svg(parts: Sequence[str], width: float, label: str) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {width:.0f} {_HEIGHT:.0f}" role="img" aria-label="{label}">{body}</svg>'
