# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice of uncertain tiles that are worth labelling: few per frame, spread over time and place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MOST_DISTANCE = 1.5
"""Tiles are uncertain if the logit of their score is no further from that of the threshold."""
_LEAST_SCORE = 1e-6


def most_uncertain_tile(crack_score: npt.NDArray[np.float32], threshold: float) -> int | None:
    """Return the index of the tile whose score is nearest to the threshold; None if no tile is uncertain.

    Args:
        crack_score: ``(N,)``, ``nan`` for tiles that were not processed.
        threshold: Score from which a tile counts as cracked.
    """
    distances = np.abs(_logit(crack_score.astype(np.float64)) - _logit(np.array(threshold)))
    if not np.any(distances <= MOST_DISTANCE):
        return None
    return int(np.nanargmin(distances))


def _logit(score: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    limited = np.clip(score, _LEAST_SCORE, 1.0 - _LEAST_SCORE)
    return np.asarray(np.log(limited / (1.0 - limited)), np.float64)


class TileSpread:
    """Decides whether a view contributes a tile: not too soon after the last one, and not where one was taken.

    Args:
        interval_s: Least time between two tiles [s].
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._last_s: float | None = None
        self._places_m: list[npt.NDArray[np.float64]] = []

    def is_due(self, time_s: float) -> bool:
        """Return whether enough time has passed since the last tile, also after the clock has jumped back."""
        return self._last_s is None or not 0.0 <= time_s - self._last_s < self.interval_s

    def is_new_place(self, footprint_m: npt.NDArray[np.float64]) -> bool:
        """Return whether no tile was taken within half a view of a footprint ``(M, 3)`` in the map.

        A footprint without points, where the place is unknown, is always new.
        """
        if not len(footprint_m) or not self._places_m:
            return True
        reach_m = 0.5 * float(np.linalg.norm(np.ptp(footprint_m, axis=0)))
        distances_m = np.linalg.norm(np.array(self._places_m) - footprint_m.mean(axis=0), axis=1)
        return bool(distances_m.min() >= reach_m)

    def note(self, time_s: float, footprint_m: npt.NDArray[np.float64]) -> None:
        """Record that a tile was taken."""
        self._last_s = time_s
        if len(footprint_m):
            self._places_m.append(footprint_m.mean(axis=0))
