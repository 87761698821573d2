"""The true centre lines of all cracks, to find for any line which of them it lies on and how far off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.detections import FloatArray
from crack_perception.evaluation.metrics.line_pieces import CrackSamples, LinePieces

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

    def nearest(self, line: LinePieces) -> tuple[Nearest, Nearest]:
        """The nearest pieces of a line's midpoints: among all, and among those that run in the line's direction."""
        low, high = line.points_m.min(axis=0) - REACH_M, line.points_m.max(axis=0) + REACH_M
        reachable = np.flatnonzero(np.all((self._points_m >= low) & (self._points_m <= high), axis=1))
        if not len(reachable):
            count = len(line.points_m)
            nothing = Nearest(
                np.full(count, -1), np.full((count, 3), np.nan), np.full(count, np.inf), np.full(count, np.nan)
            )
            return nothing, nothing
        # Pieces are so short that the one with the nearest midpoint is the nearest one.
        points_m = self._points_m[reachable]
        squared_m2 = (
            (line.points_m**2).sum(axis=1)[:, None] - 2 * line.points_m @ points_m.T + (points_m**2).sum(axis=1)
        )
        parallel = np.abs(line.directions @ self._directions[reachable].T) >= np.cos(MAX_TURN_RAD)
        along_m2 = np.where(parallel, squared_m2, np.inf)
        in_any, in_line = np.argmin(squared_m2, axis=1), np.argmin(along_m2, axis=1)
        found = np.isfinite(along_m2[np.arange(len(in_line)), in_line])
        return (
            self._offsets(line.points_m, reachable[in_any]),
            self._offsets(line.points_m, np.where(found, reachable[in_line], -1)),
        )

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

    def _offsets(self, points_m: FloatArray, piece: npt.NDArray[np.int64]) -> Nearest:
        """How points (N, 3) lie to pieces (N,), -1 for none; pieces out of reach become none."""
        half_m = self.lengths_m[piece] / 2
        apart_m = points_m - self._points_m[piece]
        forward_m = np.clip((apart_m * self._directions[piece]).sum(axis=1), -half_m, half_m)
        offset_m = apart_m - forward_m[:, None] * self._directions[piece]
        distance_m = np.linalg.norm(offset_m, axis=1)
        none = (piece < 0) | (distance_m > REACH_M)
        return Nearest(
            piece=np.where(none, -1, piece),
            offset_m=np.where(none[:, None], np.nan, offset_m),
            distance_m=np.where(none, np.inf, distance_m),
            along_m=np.where(none, np.nan, self.along_m[piece] + forward_m),
        )


def _joined(parts: Sequence[FloatArray], empty_shape: tuple[int, ...]) -> FloatArray:
    return np.concatenate(parts) if parts else np.empty(empty_shape)
