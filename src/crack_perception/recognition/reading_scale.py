# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Scale at which tiles are read, from the ground sampling distance of a frame."""

from __future__ import annotations

import math

TILE_GSD_MM = 0.25
"""Ground sampling distance of the photographs that most training tiles come from [mm/px]."""
MOST_REDUCTION = 8
LEAST_GSD_MM, MOST_GSD_MM = 0.001, 100.0
"""Plausible ground sampling distances [mm/px]: of a microscope, and where a crack of half a metre is a few pixels."""
_HYSTERESIS = 0.1
_ROUNDING = 1e-6


class ReadingScale:
    """Whole-number reduction of the frames of a stream, so that a tile shows about as much surface as in the training.

    A reduction is kept while the ground sampling distance varies by less than 10 % around a limit, so that a steady
    flight does not change it from frame to frame.

    Args:
        tile_gsd_mm: Coarsest ground sampling distance that a frame is reduced to [mm/px]; 0: frames are not reduced.
    """

    def __init__(self, tile_gsd_mm: float) -> None:
        self.tile_gsd_mm = tile_gsd_mm
        self._reduction: int | None = None

    def reduction(self, gsd_mm_per_px: float | None) -> int:
        """Return how many pixels of the frame form one pixel of a tile, 1 to ``MOST_REDUCTION``.

        Args:
            gsd_mm_per_px: Ground sampling distance of the frame [mm/px]; None, ``nan`` or 0 where it is unknown, which
                gives 1.
        """
        if gsd_mm_per_px is None or not gsd_mm_per_px > 0 or not math.isfinite(gsd_mm_per_px):
            self._reduction = None
            return 1
        ratio = self.tile_gsd_mm / gsd_mm_per_px
        chosen = math.floor(ratio + _ROUNDING)
        if self._reduction is not None:
            least, most = (math.floor(ratio * (1.0 + share)) for share in (-_HYSTERESIS, _HYSTERESIS))
            chosen = min(max(self._reduction, least), most)
        self._reduction = min(max(chosen, 1), MOST_REDUCTION)
        return self._reduction


def gsd_problem(gsd_mm_per_px: float) -> str:
    """Return why a number is no ground sampling distance of an image of cracks, after "is"; empty if it can be one."""
    if LEAST_GSD_MM <= gsd_mm_per_px <= MOST_GSD_MM:
        return ""
    return f"not from {LEAST_GSD_MM:g} to {MOST_GSD_MM:g} mm/px: 1000 times the distance [m] / the focal length [px]"
