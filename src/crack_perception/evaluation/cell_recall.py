"""How many of the labelled cracked squares of a photograph the node found."""

from __future__ import annotations

import numpy as np

from crack_perception.evaluation.detections import FloatArray, FrameDetections
from crack_perception.evaluation.frame_view import FrameView
from crack_perception.evaluation.polygons import overlap_area, polygon_area
from crack_perception.simulation.truth import Truth

# The label says that there is a crack somewhere in the square: its inner half (in both directions) stands for it.
_INNER_HALF = 0.5
# A region is about a cracked square when it covers at least this share of the square.
_LEAST_COVER = 0.1


class CellRecall:
    """Accumulates frames over the cracked squares of a truth.

    A square is seen when its inner half lies inside the image as a whole, and found when a region overlaps that half.
    """

    def __init__(self, truth: Truth) -> None:
        self._surface = truth.surface
        cracked = [cell.corners_m for cell in truth.cells if cell.cracked]
        self._inner_m = [centre + _INNER_HALF * (c - centre) for c in cracked for centre in [c.mean(axis=0)]]
        self._squares = [self._surface.to_surface(corners_m) for corners_m in cracked]
        self._inner_squares = [self._surface.to_surface(corners_m) for corners_m in self._inner_m]
        self.seen = np.zeros(len(cracked), dtype=int)
        self.found = np.zeros(len(cracked), dtype=int)

    def add(self, view: FrameView, detections: FrameDetections) -> list[bool]:
        """Judge one processed frame.

        Returns:
            For every region whether it covers at least a tenth of a cracked square.
        """
        outlines = [self._on_surface(view, region.box.corners()) for region in detections.regions]
        if self._inner_m:
            inside = view.is_inside(view.project(np.concatenate(self._inner_m))).reshape(-1, 4).all(axis=1)
            for index in np.flatnonzero(inside):
                self.seen[index] += 1
                self.found[index] += any(_overlap(outline, self._inner_squares[index]) > 0 for outline in outlines)
        return [
            any(_overlap(outline, square) >= _LEAST_COVER * polygon_area(square) for square in self._squares)
            for outline in outlines
        ]

    @property
    def recall(self) -> float | None:
        """Found squares over seen ones, over all frames; None when none was seen."""
        seen = int(self.seen.sum())
        return float(self.found.sum() / seen) if seen else None

    def _on_surface(self, view: FrameView, corners: FloatArray) -> FloatArray:
        return self._surface.to_surface(view.surface_points(corners))


def _overlap(a: FloatArray, b: FloatArray) -> float:
    if not np.all(np.isfinite(a)) or np.any(a.max(axis=0) < b.min(axis=0)) or np.any(b.max(axis=0) < a.min(axis=0)):
        return 0.0
    return overlap_area(a, b)
