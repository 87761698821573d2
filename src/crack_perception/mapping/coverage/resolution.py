# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Relation of the ground sampling distance (GSD) and the finest crack width that images resolve."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RELIABLE_WIDTH_PX = 1.5
"""Crack width from which the map holds nearly the whole length of cracks [px] (docs/crack_map.md)."""


class CellState(IntEnum):
    """State of a cell of a coverage grid; the values are those of nav_msgs/OccupancyGrid."""

    UNSEEN = -1
    DONE = 0
    TOO_COARSE = 100


def resolvable_width_mm(gsd_mm_per_px: npt.ArrayLike) -> Array:
    """Finest crack width that is found reliably at ground sampling distances of any shape."""
    return np.asarray(RELIABLE_WIDTH_PX * np.asarray(gsd_mm_per_px, np.float64))


def gsd_for_width(width_mm: float) -> float:
    """Coarsest ground sampling distance [mm/px] at which cracks of a width are found reliably."""
    return width_mm / RELIABLE_WIDTH_PX


def cell_states(gsd_mm_per_px: npt.NDArray[np.floating], wanted_width_mm: float) -> npt.NDArray[np.int8]:
    """Return the ``CellState`` of cells of any shape.

    Args:
        gsd_mm_per_px: Finest GSD of each cell; ``nan`` where it was not seen, ``inf`` where the resolution is unknown.
        wanted_width_mm: Crack width that is to be resolved.
    """
    states = np.full(gsd_mm_per_px.shape, CellState.TOO_COARSE, np.int8)
    # Grids are stored with three digits: the width itself must count as resolved after a restart, too.
    states[gsd_mm_per_px <= 1.001 * gsd_for_width(wanted_width_mm)] = CellState.DONE
    states[np.isnan(gsd_mm_per_px)] = CellState.UNSEEN
    return states
