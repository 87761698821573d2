"""How much of the frames was looked at, and which part of one can be called sound where nothing was found."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from crack_perception.vision.tiling import TileGrid

_WINDOW_FRAMES = 30
# One frame that came too soon after another is no shortage; one in which a twentieth is always missing is.
_LEAST_FRAMES, _SHORT_BELOW = 10, 0.95


class TileCoverage:
    """Counts tiles over many frames; written by one thread, may be read by another."""

    def __init__(self) -> None:
        self.looked_at = 0
        """Tiles that were looked at, in all frames so far."""
        self.left_out = 0
        """Tiles that were left out for want of time, in all frames so far."""
        self._recent: deque[float] = deque(maxlen=_WINDOW_FRAMES)

    def count(self, looked: npt.NDArray[np.bool_]) -> None:
        """Add a frame: which of its tiles (count,) were looked at."""
        number = int(np.count_nonzero(looked))
        self.looked_at += number
        self.left_out += len(looked) - number
        self._recent.append(number / len(looked))

    @property
    def share(self) -> float:
        """Mean share of the last frames that was looked at; 1 before the first."""
        recent = tuple(self._recent)
        return sum(recent) / len(recent) if recent else 1.0

    @property
    def is_short(self) -> bool:
        """Whether tiles have been missing for many frames."""
        return len(self._recent) >= _LEAST_FRAMES and self.share < _SHORT_BELOW


def largest_looked_rectangle(grid: TileGrid, looked: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The rectangle with the most tiles of which every one was looked at.

    Args:
        looked: (grid.count,), at least one of them.

    Returns:
        Left, top, right, bottom in pixels, right and bottom exclusive.

    Raises:
        ValueError: No tile was looked at.
    """
    if not looked.any():
        raise ValueError("no tile was looked at")
    tiles = looked.reshape(grid.rows, grid.columns)
    most, best = 0, (0, 0, 0, 0)
    for top in range(grid.rows):
        for bottom in range(top + 1, grid.rows + 1):
            first, length = _longest_run(np.logical_and.reduce(tiles[top:bottom]))
            if length * (bottom - top) > most:
                most, best = length * (bottom - top), (first, top, first + length, bottom)
    left, top, right, bottom = best
    corner, opposite = grid.boxes()[[top * grid.columns + left, (bottom - 1) * grid.columns + right - 1]].tolist()
    return corner[0], corner[1], opposite[2], opposite[3]


def _longest_run(row: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """First index and length of the longest run of true values; length 0 when there is none."""
    gaps = np.flatnonzero(np.concatenate([[True], ~row, [True]]))
    longest = int(np.argmax(np.diff(gaps)))
    return int(gaps[longest]), int(gaps[longest + 1] - gaps[longest] - 1)
