"""The centre line of a crack in an image, with the width along it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from crack_perception.vision.polylines import arc_lengths

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CrackLine:
    """One measured crack line, in pixels of the original image.

    Attributes:
        points_px: (N, 2) sub-pixel vertices (x, y) in order along the crack, N >= 2.
        width_px: (N,) width of the crack at the vertices, ``nan`` where it could not be measured.
        width_sigma_px: (N,) its standard deviation.
        strength: Contrast of the line in units of the surroundings' noise; weak lines are doubtful.
    """

    points_px: Array
    width_px: Array
    width_sigma_px: Array
    strength: float

    @cached_property
    def length_px(self) -> float:
        """Length along the vertices."""
        return float(arc_lengths(self.points_px)[-1])
