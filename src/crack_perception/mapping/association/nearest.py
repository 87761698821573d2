# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The mapped crack that a single line of a frame shows, for a line that comes without its frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.polylines import nearest_squares
from crack_perception.mapping.tracks.track import Track

Array = npt.NDArray[np.float64]

# A distance at which a vertex counts half, about the error of a frame's position against the map.
_HALF_M = 0.04
# Mean closeness of a line that lies about twice as far from its crack.
_LEAST_CLOSENESS = 0.2
_FARTHEST_M = 0.3


def nearest_crack(line_m: Array, tracks: Sequence[Track]) -> int | None:
    """Id of the crack along which a line (N, 3) runs; None where none does.

    The frame's error shifts all of the line, so that the crack is the one that is near to most of it, not the one that
    a part of it touches.
    """
    best, closest = None, _LEAST_CLOSENESS
    for track in tracks:
        squares = np.maximum(nearest_squares(line_m, track.vertices.point_m), 0.0)
        closeness = 1.0 / (1.0 + squares / _HALF_M**2)
        mean = float(np.where(squares < _FARTHEST_M**2, closeness, 0.0).mean())
        if mean > closest:
            best, closest = track.id, mean
    return best
