# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Polylines and true cracks cut into short pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.detections import FloatArray
from crack_perception.simulation.flight.truth import TruthCrack


@dataclass(frozen=True, eq=False)
class LinePieces:
    """Pieces of one polyline, each represented by its midpoint.

    Attributes:
        points_m: Midpoints (N, 3).
        directions: Unit vectors (N, 3) along the line.
        lengths_m: Lengths (N,) of the pieces, which add up to the line's length.
        segment: Index (N,) of the vertex before each midpoint.
        fraction: Position (N,) between that vertex (0) and the next one (1).
    """

    points_m: FloatArray
    directions: FloatArray
    lengths_m: FloatArray
    segment: npt.NDArray[np.int64]
    fraction: FloatArray

    def at(self, values: FloatArray) -> FloatArray:
        """Interpolate vertex values (M,) at the midpoints (N,)."""
        return np.asarray((1 - self.fraction) * values[self.segment] + self.fraction * values[self.segment + 1])


def cut_line(line_m: FloatArray, spacing_m: float) -> LinePieces:
    """Cut every segment of a polyline (M, 3) into equal pieces up to ``spacing_m`` long, skipping repeated vertices."""
    starts, steps = line_m[:-1], np.diff(line_m, axis=0)
    segment_lengths = np.linalg.norm(steps, axis=1)
    counts = np.where(segment_lengths > 0, np.maximum(1, np.ceil(segment_lengths / spacing_m - 1e-9)), 0).astype(int)
    segment = np.repeat(np.arange(len(counts)), counts)
    first_piece = np.concatenate([[0], np.cumsum(counts)[:-1]])
    fraction = (np.arange(len(segment)) - first_piece[segment] + 0.5) / counts[segment]
    return LinePieces(
        points_m=starts[segment] + fraction[:, None] * steps[segment],
        directions=steps[segment] / segment_lengths[segment, None],
        lengths_m=segment_lengths[segment] / counts[segment],
        segment=segment,
        fraction=fraction,
    )


DEFAULT_SPACING_M = 0.005


@dataclass(frozen=True, eq=False)
class CrackSamples:
    """Pieces of one true crack, each represented by its midpoint.

    Attributes:
        crack_id: Id of the crack.
        points_m: Midpoints (N, 3) in the map frame.
        directions: Unit vectors (N, 3) along the crack.
        lengths_m: Lengths (N,) of the pieces, which add up to the crack's length.
        widths_mm: Widths (N,) at the midpoints.
        surface: Index of the surface of the crack.
    """

    crack_id: int
    points_m: FloatArray
    directions: FloatArray
    lengths_m: FloatArray
    widths_mm: FloatArray
    surface: int


def sample_crack(crack: TruthCrack, spacing_m: float = DEFAULT_SPACING_M) -> CrackSamples:
    """Cut every segment of a crack's polyline into equal pieces no longer than ``spacing_m``."""
    pieces = cut_line(crack.polyline_m, spacing_m)
    return CrackSamples(
        crack_id=crack.id,
        points_m=pieces.points_m,
        directions=pieces.directions,
        lengths_m=pieces.lengths_m,
        widths_mm=pieces.at(crack.width_mm),
        surface=crack.surface,
    )
