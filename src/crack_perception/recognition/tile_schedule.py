"""Which tiles of a frame are looked at first, so that one without time for all still shows what matters most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.vision.tiling import TileGrid

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# The first of every four places is the oldest tile's, so that no number of cracks keeps the others from being looked
# at: even with one tile a frame, the turn of each comes within as many frames as there are tiles.
_PLACES_AN_OLDEST = 4


class TileSchedule:
    """Remembers when each tile was looked at last and what was seen there; used by one thread.

    Cracks stay in view for many frames, so that the tiles of cracked regions and their neighbours come first. Among
    themselves, and for all others, the one that was looked at least recently goes before.
    """

    def __init__(self) -> None:
        self._grid: TileGrid | None = None
        self._frame = 0
        self._last_look = np.empty(0, np.int64)
        self._flagged = np.empty(0, np.bool_)

    def order(self, grid: TileGrid) -> Indices:
        """All tiles of a frame (grid.count,), the most urgent first; another grid than before starts anew."""
        if grid != self._grid:
            self._grid = grid
            self._last_look = np.zeros(grid.count, np.int64)
            self._flagged = np.zeros(grid.count, np.bool_)
        oldest = np.argsort(self._last_look, kind="stable")
        if not self._flagged.any():
            return oldest
        urgent = np.flatnonzero(_with_neighbours(self._flagged, grid))
        urgent = urgent[np.lexsort((self._last_look[urgent], ~self._flagged[urgent]))]
        return _interleaved(oldest, urgent)

    def record(self, looked: Mask, flagged: Mask) -> None:
        """Remember a frame of the grid that was last ordered.

        Args:
            looked: (grid.count,) which tiles were looked at.
            flagged: (grid.count,) which of these are cracked; the others keep what was seen in them before.
        """
        self._frame += 1
        self._last_look[looked] = self._frame
        self._flagged[looked] = flagged[looked]


def _with_neighbours(mask: Mask, grid: TileGrid) -> Mask:
    """The tiles of a mask and all that touch them by an edge or a corner, (grid.count,)."""
    padded = np.pad(mask.reshape(grid.rows, grid.columns), 1)
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).any(axis=(2, 3)).ravel()


def _interleaved(oldest: Indices, urgent: Indices) -> Indices:
    """Every tile once: the urgent ones in their order, but for the first of every four places."""
    queues = [oldest.tolist(), urgent.tolist()]
    ahead = [0, 0]
    taken: dict[int, None] = {}
    while len(taken) < len(oldest):
        queue = int(len(taken) % _PLACES_AN_OLDEST != 0 and ahead[1] < len(urgent))
        tile = queues[queue][ahead[queue]]
        ahead[queue] += 1
        taken.setdefault(tile)
    return np.array(list(taken), np.int64)
