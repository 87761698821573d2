"""Lines on a facet that the camera looks along: hovering, and rows flown to and fro."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Path(Protocol):
    """Where the camera would look, without sway, as surface coordinates."""

    def at(self, times_s: FloatArray) -> FloatArray:
        """Surface points (N, 2) in metres at times (N,)."""


@dataclass(frozen=True)
class HoverPath:
    """A path that stays at one surface point."""

    u_m: float
    v_m: float

    def at(self, times_s: FloatArray) -> FloatArray:
        """The point, (N, 2)."""
        return np.tile([self.u_m, self.v_m], (len(times_s), 1))


@dataclass(frozen=True)
class SerpentinePath:
    """Level rows joined by half circles, flown at constant speed; at its end it is flown back.

    ``left_m, top_m`` is the start of the first row, ``row_m`` the length of the rows, ``spacing_m`` their distance.
    """

    left_m: float
    top_m: float
    row_m: float
    spacing_m: float
    rows: int
    speed_m_s: float

    @property
    def length_m(self) -> float:
        """Length of the path, flown once."""
        return self.rows * self.row_m + (self.rows - 1) * np.pi * self.spacing_m / 2

    def at(self, times_s: FloatArray) -> FloatArray:
        """Surface points (N, 2) in metres at times (N,); times below 0 are before the start, on the same line."""
        radius_m = self.spacing_m / 2
        turn_m = np.pi * radius_m
        length_m = self.length_m
        flown_m = np.abs(times_s) * self.speed_m_s % (2 * length_m) if length_m > 0 else np.zeros(len(times_s))
        flown_m = np.minimum(flown_m, 2 * length_m - flown_m)
        row = np.minimum(flown_m // (self.row_m + turn_m), self.rows - 1) if length_m > 0 else flown_m
        in_row_m = flown_m - row * (self.row_m + turn_m)
        straight_m = np.minimum(in_row_m, self.row_m)
        angle_rad = np.maximum(in_row_m - self.row_m, 0) / radius_m if radius_m > 0 else np.zeros(len(flown_m))
        forward_m = straight_m + radius_m * np.sin(angle_rad)
        u_m = self.left_m + np.where(row % 2 == 0, forward_m, self.row_m - forward_m)
        v_m = self.top_m + row * self.spacing_m + radius_m * (1 - np.cos(angle_rad))
        return np.column_stack([u_m, v_m])
