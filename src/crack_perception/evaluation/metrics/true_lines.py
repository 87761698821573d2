# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Centrelines of all true cracks, searchable for the nearest piece of any line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.detections import FloatArray
from crack_perception.evaluation.metrics.line_pieces import CrackSamples, LinePieces

# Search radius around a point: pieces farther away are no match.
REACH_M = 0.5
# Largest angle between a line and a crack that it runs along.
MAX_TURN_RAD = float(np.deg2rad(35.0))


@dataclass(frozen=True, eq=False)
class Nearest:
    """Nearest true piece within reach of each of N points.

    Attributes:
        piece: Index (N,) of the piece, -1 where there is none.
        offset_m: Vector (N, 3) from the nearest point of the true line to the point; NaN where there is none.
        distance_m: Length (N,) of the offset; infinite where there is none.
        along_m: Arc length (N,) of that nearest point along its crack; NaN where there is none.
    """

    piece: npt.NDArray[np.int64]
    offset_m: FloatArray
    distance_m: FloatArray
    along_m: FloatArray


class TrueLines:
    """The pieces of all true cracks in one array.

    Args:
        cracks: True cracks, cut into pieces.

    Attributes:
        crack: Index (M,) into ``cracks`` of each piece.
        along_m: Arc length (M,) of each midpoint along its crack.
        lengths_m, widths_mm: Lengths and widths (M,) of the pieces.
    """

    def __init__(self, cracks: Sequence[CrackSamples]) -> None:
        self.crack = np.repeat(np.arange(len(cracks)), [len(samples.lengths_m) for samples in cracks])
        self.along_m = _joined([np.cumsum(s.lengths_m) - s.lengths_m / 2 for s in cracks], (0,))
        self.lengths_m = _joined([samples.lengths_m for samples in cracks], (0,))
        self.widths_mm = _joined([samples.widths_mm for samples in cracks], (0,))
        self._points_m = _joined([samples.points_m for samples in cracks], (0, 3))
        self._directions = _joined([samples.directions for samples in cracks], (0, 3))

    def nearest(self, line: LinePieces, crack: int | None = None) -> tuple[Nearest, Nearest]:
        """Return the nearest pieces of a line's midpoints: of any direction, and of the line's direction only.

        Args:
            line: The line.
            crack: Only pieces of this crack.
        """
        low, high = line.points_m.min(axis=0) - REACH_M, line.points_m.max(axis=0) + REACH_M
        inside = np.all((self._points_m >= low) & (self._points_m <= high), axis=1)
        reachable = np.flatnonzero(inside if crack is None else inside & (self.crack == crack))
        if not len(reachable):
            count = len(line.points_m)
            nothing = Nearest(
                np.full(count, -1), np.full((count, 3), np.nan), np.full(count, np.inf), np.full(count, np.nan)
            )
            return nothing, nothing
        # Pieces are short, so the one with the nearest midpoint is taken as the nearest one.
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
        """Return which pieces (M,) the line runs along within a tolerance."""
        covered = np.zeros(len(self.lengths_m), bool)
        low, high = line.points_m.min(axis=0) - tolerance_m, line.points_m.max(axis=0) + tolerance_m
        reachable = np.flatnonzero(np.all((self._points_m >= low) & (self._points_m <= high), axis=1))
        if len(reachable):
            apart_m = np.linalg.norm(line.points_m[None] - self._points_m[reachable, None], axis=2)
            parallel = np.abs(self._directions[reachable] @ line.directions.T) >= np.cos(MAX_TURN_RAD)
            covered[reachable] = np.any((apart_m <= tolerance_m) & parallel, axis=1)
        return covered

    def _offsets(self, points_m: FloatArray, piece: npt.NDArray[np.int64]) -> Nearest:
        """Return the offsets of points (N, 3) from pieces (N,), -1 for none; pieces out of reach become none."""
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
