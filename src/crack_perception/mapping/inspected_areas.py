# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Inspected areas of the surface, without near duplicates to bound the memory of a long flight."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.footprint import Footprint

Array = npt.NDArray[np.float64]

# Footprints whose centres lie in one cell, this share of their size wide, are near duplicates.
_CELL_SHARE = 0.1


class InspectedAreas:
    """Footprints of frames; only the first of near duplicates is kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], Array] = {}

    def add(self, corners_m: Array) -> None:
        """Add a footprint (M, 3); one without area is ignored."""
        footprint = Footprint.of(corners_m)
        if footprint is None:
            return
        size = round(math.log2(footprint.area_m2) / 2.0)
        cell_m = _CELL_SHARE * 2.0**size
        place = np.round(footprint.corners_m.mean(axis=0) / cell_m).astype(int)
        facing = np.round(2.0 * footprint.normal).astype(int)
        self._kept.setdefault((size, *place.tolist(), *facing.tolist()), footprint.corners_m)

    def polygons_m(self) -> tuple[Array, ...]:
        """Corners (M, 3) of each footprint, in the order in which they were added."""
        return tuple(self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Remove all footprints."""
        self._kept.clear()
