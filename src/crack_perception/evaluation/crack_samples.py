"""Truth cracks cut into short pieces that can be counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crack_perception.evaluation.detections import FloatArray
from crack_perception.simulation.truth import TruthCrack

DEFAULT_SPACING_M = 0.005


@dataclass(frozen=True, eq=False)
class CrackSamples:
    """Pieces of one crack, each stood for by its midpoint.

    Attributes:
        crack_id: Which crack.
        points_m: Midpoints (N, 3) in the map.
        directions: Unit vectors (N, 3) along the crack.
        lengths_m: Lengths (N,) of the pieces; they add up to the crack's length.
        widths_mm: Widths (N,) at the midpoints.
        surface: Index of the surface that they lie on.
    """

    crack_id: int
    points_m: FloatArray
    directions: FloatArray
    lengths_m: FloatArray
    widths_mm: FloatArray
    surface: int


def sample_crack(crack: TruthCrack, spacing_m: float = DEFAULT_SPACING_M) -> CrackSamples:
    """Cut every segment of a crack's polyline into equal pieces no longer than ``spacing_m``."""
    starts, steps = crack.polyline_m[:-1], np.diff(crack.polyline_m, axis=0)
    segment_lengths = np.linalg.norm(steps, axis=1)
    counts = np.where(segment_lengths > 0, np.maximum(1, np.ceil(segment_lengths / spacing_m - 1e-9)), 0).astype(int)
    segment = np.repeat(np.arange(len(counts)), counts)
    first_piece = np.concatenate([[0], np.cumsum(counts)[:-1]])
    fraction = (np.arange(len(segment)) - first_piece[segment] + 0.5) / counts[segment]
    return CrackSamples(
        crack_id=crack.id,
        points_m=starts[segment] + fraction[:, None] * steps[segment],
        directions=steps[segment] / segment_lengths[segment, None],
        lengths_m=(segment_lengths[segment] / counts[segment]),
        widths_mm=(1 - fraction) * crack.width_mm[segment] + fraction * crack.width_mm[segment + 1],
        surface=crack.surface,
    )
