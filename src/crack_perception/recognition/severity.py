# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Severity classes by crack width in millimetres, with probabilities and the verdict "undetermined"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from crack_perception.errors import UsageError, UserError

UNDETERMINED = "undetermined"
NO_STRUCTURE = "no_structure"
"""Class of a region that may show no structure at all, but for example a plant or a vehicle."""

# Class edges in millimetres. GB 50204-2015 with the paper's two labels (section 3.3.1); ACI 224R-01 table 4.1;
# EN 1992-1-1 table 7.1N; AASHTO bridge element inspection (hairline, narrow, medium); `fine` for laboratory work.
PRESETS_MM: dict[str, tuple[float, ...]] = {
    "gb50204": (0.1,),
    "fine": (0.1, 0.2, 0.3, 0.4),
    "aci224r": (0.10, 0.15, 0.18, 0.30, 0.41),
    "ec2": (0.2, 0.3, 0.4),
    "aashto": (0.30, 1.27),
}
_PAPER_LABELS = ("minor", "obvious")


@dataclass(frozen=True)
class WidthEstimate:
    """A log-normal estimate of a crack's mean width.

    Attributes:
        log_width: Natural logarithm of the median width, in the unit of the context (px or mm).
        log_sigma: Standard deviation of the logarithm.
    """

    log_width: float
    log_sigma: float

    @property
    def width(self) -> float:
        """Median width."""
        return math.exp(self.log_width)

    @property
    def sigma(self) -> float:
        """Standard deviation of the width itself, to first order."""
        return self.width * self.log_sigma

    def scaled(self, factor: float, relative_sigma: float) -> WidthEstimate:
        """Convert the estimate to another unit by an uncertain factor (a GSD converts px to mm)."""
        return WidthEstimate(self.log_width + math.log(factor), math.hypot(self.log_sigma, relative_sigma))


@dataclass(frozen=True)
class Severity:
    """Severity class with the probability of each class.

    Attributes:
        verdict: A class label, or ``undetermined``.
        probabilities: One a class, slightest first; empty where no scale is known.
    """

    verdict: str
    probabilities: tuple[float, ...]


class SeverityScale:
    """Classes between ascending width edges.

    Args:
        edges_mm: Ascending positive class edges in millimetres; n edges make n + 1 classes.
        confidence: Probability that a class needs to become the verdict.

    Raises:
        UserError: Edges that do not ascend from above zero, or a confidence outside 0.5..1.
    """

    def __init__(self, edges_mm: tuple[float, ...], confidence: float = 0.9) -> None:
        ascending = all(a < b for a, b in pairwise(edges_mm))
        if not edges_mm or not ascending or not all(math.isfinite(e) and e > 0 for e in edges_mm):
            raise UserError(
                f"severity edges {list(edges_mm)} are not ascending widths in millimetres", "For example [0.1, 0.3]"
            )
        if not 0.5 <= confidence < 1.0:
            raise UserError(f"severity confidence {confidence} is not a probability from 0.5 to below 1", "Try 0.9")
        self.edges_mm = tuple(edges_mm)
        self.confidence = confidence
        self.labels = _labels(self.edges_mm)

    @staticmethod
    def of_preset(name: str, confidence: float = 0.9) -> SeverityScale:
        """The scale of a preset.

        Raises:
            UserError: Unknown name.
        """
        if name not in PRESETS_MM:
            raise UsageError(f"there is no severity preset '{name}'", f"Choose one of {', '.join(PRESETS_MM)}")
        return SeverityScale(PRESETS_MM[name], confidence)

    def index_of(self, width_mm: float) -> int:
        """Class of an exactly known width."""
        return sum(width_mm >= edge for edge in self.edges_mm)

    def classify(self, width_mm: WidthEstimate | None, resolvable_mm: float = 0.0) -> Severity:
        """Classify a width in millimetres; ``undetermined`` without a width or if no class reaches the confidence.

        Args:
            resolvable_mm: Finest width that the camera resolves [mm]. A smaller width gets a class only if no class
                edge lies below this limit, so that all such widths belong to one class.
        """
        if width_mm is None:
            return Severity(UNDETERMINED, ())
        below = [
            _normal_cdf((math.log(edge) - width_mm.log_width) / max(width_mm.log_sigma, 1e-6)) for edge in self.edges_mm
        ]
        steps = [0.0, *below, 1.0]
        probabilities = tuple(upper - lower for lower, upper in pairwise(steps))
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        is_resolved = width_mm.width >= resolvable_mm or self.edges_mm[0] >= resolvable_mm
        is_certain = is_resolved and probabilities[best] >= self.confidence
        verdict = self.labels[best] if is_certain else UNDETERMINED
        return Severity(verdict, probabilities)

    def relative_severity(self, verdict: str) -> float | None:
        """Position of a verdict from 0 (slightest) to 1 (most severe); None for ``undetermined``."""
        if verdict == UNDETERMINED:
            return None
        return self.labels.index(verdict) / (len(self.labels) - 1)


def _normal_cdf(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


def _labels(edges_mm: tuple[float, ...]) -> tuple[str, ...]:
    if edges_mm == PRESETS_MM["gb50204"]:
        return _PAPER_LABELS
    inner = [f"{low:g}-{high:g}mm" for low, high in pairwise(edges_mm)]
    return (f"<{edges_mm[0]:g}mm", *inner, f">={edges_mm[-1]:g}mm")
