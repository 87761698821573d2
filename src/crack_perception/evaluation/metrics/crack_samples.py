"""Truth cracks cut into short pieces that can be counted."""

from __future__ import annotations

from dataclasses import dataclass

from crack_perception.evaluation.metrics.line_pieces import cut_line
from crack_perception.evaluation.replay.detections import FloatArray
from crack_perception.simulation.flight.truth import TruthCrack

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
    pieces = cut_line(crack.polyline_m, spacing_m)
    return CrackSamples(
        crack_id=crack.id,
        points_m=pieces.points_m,
        directions=pieces.directions,
        lengths_m=pieces.lengths_m,
        widths_mm=pieces.at(crack.width_mm),
        surface=crack.surface,
    )
