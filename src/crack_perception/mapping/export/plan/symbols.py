# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Symbols of cracks on the plan and in its legend: colour, line and text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from crack_perception.mapping.export.crack_report import CrackReport
from crack_perception.mapping.export.plan.shapes import INK, Array, Colour, Path
from crack_perception.mapping.mapped_crack import CrackState
from crack_perception.recognition.severity import SeverityScale

SeverityColour = Callable[[float | None], tuple[int, int, int]]
"""Blue, green, red of a severity between 0 (slightest) and 1; None means undetermined."""

LOST: Colour = (160, 165, 170)
TRUTH: Colour = (0, 128, 96)
SEEN: Colour = (236, 239, 242)
SEEN_BORDER: Colour = (172, 180, 188)
UNKNOWN_WIDTH_MM = 0.3

_NEW_DASH_MM = (1.8, 1.1)
_CASING_MM = 0.13
THINNEST_MM = 0.25
THICKEST_MM = 2.2
# No line shall look like a blot: the widest cracks' lines are at most this share of a usual crack's length.
_WIDTH_SHARE = 0.2
_FACTORS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)


@dataclass(frozen=True)
class Symbols:
    """Symbols of the plan.

    Attributes:
        scale: Judges the severity.
        severity_colour: As in the live picture, so that both mean the same.
        width_factor: Millimetres on paper for a millimetre of crack width.
    """

    scale: SeverityScale
    severity_colour: SeverityColour
    width_factor: float

    @staticmethod
    def fitting(
        scale: SeverityScale,
        severity_colour: SeverityColour,
        widths_mm: Array,
        lengths_on_paper_mm: Array,
        thickest_mm: float = THICKEST_MM,
    ) -> Symbols:
        """Crack widths drawn true to size or, where that would hide the plan, smaller.

        Args:
            widths_mm: Mean widths of the cracks.
            lengths_on_paper_mm: Their lengths.
            thickest_mm: Line width that few cracks exceed.
        """
        widest_mm = float(np.quantile(widths_mm, 0.95)) if len(widths_mm) else 0.0
        usual_mm = float(np.median(lengths_on_paper_mm)) if len(lengths_on_paper_mm) else 0.0
        most_mm = min(thickest_mm, max(2 * THINNEST_MM, _WIDTH_SHARE * usual_mm))
        factor = next((factor for factor in _FACTORS if factor * widest_mm <= most_mm), _FACTORS[-1])
        return Symbols(scale, severity_colour, factor)

    def colour(self, verdict: str) -> Colour:
        """Of a severity verdict."""
        blue, green, red = self.severity_colour(self.scale.relative_severity(verdict))
        return (red, green, blue)

    def line_width_mm(self, width_mm: float | None) -> float:
        """On paper, of a crack's mean width."""
        drawn = self.width_factor * (UNKNOWN_WIDTH_MM if width_mm is None else width_mm)
        return min(THICKEST_MM, max(THINNEST_MM, drawn))

    def crack(self, points_mm: Array, verdict: str, width_mm: float | None, state: CrackState) -> tuple[Path, ...]:
        """The line of a crack; a dark edge keeps light colours visible on white paper."""
        width = self.line_width_mm(width_mm)
        if state is CrackState.LOST:
            return (Path(points_mm, LOST, width),)
        dash = _NEW_DASH_MM if state is CrackState.NEW else None
        return (
            Path(points_mm, INK, width + 2 * _CASING_MM, dash_mm=dash),
            Path(points_mm, self.colour(verdict), width, dash_mm=dash),
        )

    def tag_colour(self, report: CrackReport) -> Colour:
        """Of a crack's label and its row in the table."""
        return LOST if report.state is CrackState.LOST else self.colour(report.severity.verdict)


def class_texts(scale: SeverityScale) -> list[str]:
    """What the legend calls the classes: their labels, with the widths where the labels do not say them."""
    if all("mm" in label for label in scale.labels):
        return list(scale.labels)
    edges = scale.edges_mm
    ranges = [f"<{edges[0]:g} mm", *(f"{low:g}-{high:g} mm" for low, high in pairwise(edges))]
    return [f"{label} ({text})" for label, text in zip(scale.labels, [*ranges, f">={edges[-1]:g} mm"], strict=True)]


def typeset(words: str) -> str:
    """Names of classes and directions as documents print them: "0.3-1.27mm" as "0.3–1.27 mm", ">=2 mm" as "≥ 2 mm"."""
    words = re.sub(r"(?<=\d)-(?=\d)", "–", words.replace(">=", "≥ ").replace(" deg", "°"))
    return re.sub(r"(?<=\d)mm", " mm", re.sub(r"<(?=\d)", "< ", words))


def metres(length_m: float) -> str:
    """A length for readers."""
    return f"{length_m:.2f} m"


def millimetres(width_mm: float | None) -> str:
    """A crack width for readers."""
    return "?" if width_mm is None else f"{width_mm:.2f} mm"
