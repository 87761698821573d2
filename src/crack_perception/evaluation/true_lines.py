"""The true centre lines of all cracks, to find for any line which of them it lies on and how far off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.crack_samples import CrackSamples
from crack_perception.evaluation.detections import FloatArray
from crack_perception.evaluation.line_pieces import LinePieces

# Farther from all true cracks than this nothing is about one of them.
REACH_M = 0.5
# A line that leaves a crack by more than this is not along it.
MAX_TURN_RAD = float(np.deg2rad(35.0))


@dataclass(frozen=True, eq=False)
class Nearest:
    """For N points the nearest true piece within reach.

    Attributes:
        piece: Its index (N,), -1 where there is none.
        offset_m: Vector (N, 3) from the nearest point of the true line to the point; NaN where there is none.
        distance_m: Its length (N,); infinite where there is none.
        along_m: How far along its crack (N,) that nearest point is.
    """

    piece: npt.NDArray[np.int64]
    offset_m: FloatArray
    distance_m: FloatArray
    along_m: FloatArray


class TrueLines:
    """The pieces of all cracks in one row.

    Args:
        cracks: The truth, in pieces.

    Attributes:
        crack: Which crack (M,) each piece is of, as an index into ``cracks``.
        along_m: How far along its crack (M,) each midpoint is.
        lengths_m, widths_mm: Of the pieces (M,).
    """

    def __init__(self, cracks: Sequence[CrackSamples]) -> None:
        self.crack = np.repeat(np.arange(len(cracks)), [len(samples.lengths_m) for samples in cracks])
        self.along_m = _joined([np.cumsum(s.lengths_m) - s.lengths_m / 2 for s in cracks], (0,))
        self.lengths_m = _joined([samples.lengths_m for samples in cracks], (0,))
        self.widths_mm = _joined([samples.widths_mm for samples in cracks], (0,))
        self._points_m = _joined([samples.points_m for samples in cracks], (0, 3))
        self._directions = _joined([samples.directions for samples in cracks], (0, 3))

    def nearest(self, line: LinePieces, along: bool) -> Nearest:
        """The nearest pieces of a line's midpoints; with ``along`` only of those cracks that run in its direction."""
        count = len(line.points_m)
        low, high = line.points_m.min(axis=0) - REACH_M, line.points_m.max(axis=0) + REACH_M
        reachable = np.flatnonzero(np.all((self._points_m >= low) & (self._points_m <= high), axis=1))
        if not len(reachable):
            nothing = np.full(count, np.nan)
            return Nearest(np.full(count, -1), np.full((count, 3), np.nan), np.full(count, np.inf), nothing)
        nearest = self._nearest_of(reachable, line, along)
        beyond = nearest.distance_m > REACH_M
        nearest.piece[beyond] = -1
        nearest.offset_m[beyond] = np.nan
        nearest.distance_m[beyond] = np.inf
        nearest.along_m[beyond] = np.nan
        return nearest

    def covered_by(self, line: LinePieces, tolerance_m: float) -> npt.NDArray[np.bool_]:
        """Which pieces (M,) have the line along them within a tolerance."""
        covered = np.zeros(len(self.lengths_m), bool)
        low, high = line.points_m.min(axis=0) - tolerance_m, line.points_m.max(axis=0) + tolerance_m
        reachable = np.flatnonzero(np.all((self._points_m >= low) & (self._points_m <= high), axis=1))
        if len(reachable):
            apart_m = np.linalg.norm(line.points_m[None] - self._points_m[reachable, None], axis=2)
            parallel = np.abs(self._directions[reachable] @ line.directions.T) >= np.cos(MAX_TURN_RAD)
            covered[reachable] = np.any((apart_m <= tolerance_m) & parallel, axis=1)
        return covered

    def _nearest_of(self, pieces: npt.NDArray[np.int64], line: LinePieces, along: bool) -> Nearest:
        """The nearest among these pieces (K,), K >= 1, however far."""
        directions = self._directions[pieces]
        apart_m = line.points_m[:, None] - self._points_m[pieces][None]
        forward_m = np.einsum("nmk,mk->nm", apart_m, directions)
        half_m = self.lengths_m[pieces] / 2
        forward_m = np.clip(forward_m, -half_m, half_m)
        apart_m -= forward_m[:, :, None] * directions
        distance_m = np.linalg.norm(apart_m, axis=2)
        if along:
            parallel = np.abs(line.directions @ directions.T) >= np.cos(MAX_TURN_RAD)
            distance_m = np.where(parallel, distance_m, np.inf)
        best = np.argmin(distance_m, axis=1)
        rows = np.arange(len(best))
        along_m = self.along_m[pieces[best]] + forward_m[rows, best]
        return Nearest(pieces[best], apart_m[rows, best], distance_m[rows, best], along_m)


def _joined(parts: Sequence[FloatArray], empty_shape: tuple[int, ...]) -> FloatArray:
    return np.concatenate(parts) if parts else np.empty(empty_shape)
