# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recall over the labelled cracked squares of a photograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crack_perception.evaluation.metrics.detections import FloatArray, FrameDetections
from crack_perception.evaluation.metrics.frame_view import FrameView, overlap_area
from crack_perception.simulation.flight.truth import Truth

# A label only means that there is a crack somewhere in the square, so its inner half (in both directions) is tested.
_INNER_HALF = 0.5
# A region belongs to a cracked square when it covers at least this share of the square.
_MIN_COVER = 0.1


@dataclass(eq=False)
class CellOutcome:
    """Result for one cracked square over a flight.

    Attributes:
        surface: Index of its surface.
        outline_m: Corners (4, 2) on the surface.
        inner_m: Corners (4, 2) of the inner half on the surface.
        seen_in: Number of frames that show it.
        found_in: Number of those frames in which it was detected.
    """

    surface: int
    outline_m: FloatArray
    inner_m: FloatArray
    seen_in: int = 0
    found_in: int = 0

    @property
    def found(self) -> bool:
        """True when the square was detected in most of the frames that show it."""
        return self.seen_in > 0 and 2 * self.found_in > self.seen_in


class CellRecall:
    """Accumulate recall over the cracked squares of a truth.

    A square is visible when its inner half lies completely inside the image, and detected when a region overlaps it.

    Attributes:
        outcomes: Results of all cracked squares so far.
    """

    def __init__(self, truth: Truth) -> None:
        self._surfaces = truth.surfaces
        outlines = [
            (cell.surface, truth.surfaces[cell.surface].to_surface(cell.corners_m))
            for cell in truth.cells
            if cell.cracked
        ]
        self.outcomes = [CellOutcome(surface, outline, _inner(outline)) for surface, outline in outlines]

    def add(self, view: FrameView, detections: FrameDetections) -> list[bool]:
        """Evaluate one processed frame.

        Returns:
            For every region, whether it covers at least a tenth of a cracked square.
        """
        regions = [view.on_surface(region.box.corners()) for region in detections.regions]
        squares = [outcome for outcome in self.outcomes if outcome.surface == view.surface]
        for outcome in self._visible(view, squares):
            outcome.seen_in += 1
            outcome.found_in += any(_overlap(region, outcome.inner_m) > 0 for region in regions)
        return [
            any(_overlap(region, outcome.outline_m) >= _MIN_COVER * _area(outcome.outline_m) for outcome in squares)
            for region in regions
        ]

    @property
    def visible(self) -> int:
        """Observations of cracked squares, over all frames."""
        return sum(outcome.seen_in for outcome in self.outcomes)

    @property
    def found(self) -> int:
        """Observations in which the square was detected."""
        return sum(outcome.found_in for outcome in self.outcomes)

    @property
    def recall(self) -> float | None:
        """Detected over visible observations; None when no cracked square was visible."""
        return self.found / self.visible if self.visible else None

    def _visible(self, view: FrameView, squares: list[CellOutcome]) -> list[CellOutcome]:
        if not squares:
            return []
        surface = self._surfaces[view.surface]
        corners_m = surface.to_map(np.concatenate([square.inner_m for square in squares]))
        inside = np.all(view.is_inside(view.project(corners_m)).reshape(-1, 4), axis=1)
        return [square for square, is_visible in zip(squares, inside.tolist(), strict=True) if is_visible]


def _inner(outline_m: FloatArray) -> FloatArray:
    centre = outline_m.mean(axis=0)
    return np.asarray(centre + _INNER_HALF * (outline_m - centre))


def _area(corners: FloatArray) -> float:
    """Return the area of a simple polygon (N, 2), by the shoelace formula."""
    x, y = corners.T
    return float(0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def _overlap(a: FloatArray, b: FloatArray) -> float:
    if not np.all(np.isfinite(a)) or np.any(a.max(axis=0) < b.min(axis=0)) or np.any(b.max(axis=0) < a.min(axis=0)):
        return 0.0
    return overlap_area(a, b)
