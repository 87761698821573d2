# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tile scheduling under a time budget: priority of tiles, and counters of what was processed and skipped."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from crack_perception.vision.tiling import TileGrid

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Every fourth place of the order belongs to the tile that has waited longest, so that cracked tiles cannot starve the
# others: even at one tile a frame, each tile is processed once in as many frames as there are tiles.
_PLACES_PER_OLDEST = 4

_WINDOW_FRAMES = 30
# A single frame that arrived early is no shortage; a twentieth of the tiles missing in every frame is.
_MIN_FRAMES, _SHORT_BELOW = 10, 0.95


class TileSchedule:
    """Priority of tiles from frame to frame; not thread-safe.

    Cracks stay in view for many frames, so tiles of cracked regions and their neighbours come first. Within these, and
    among all others, the tile that was processed longest ago comes first.
    """

    def __init__(self) -> None:
        self._grid: TileGrid | None = None
        self._frame = 0
        self._last_processed = np.empty(0, np.int64)
        self._flagged = np.empty(0, np.bool_)

    def order(self, grid: TileGrid) -> Indices:
        """Return all tile indices of a frame (grid.count,), most urgent first; a new grid resets the schedule."""
        if grid != self._grid:
            self._grid = grid
            self._last_processed = np.zeros(grid.count, np.int64)
            self._flagged = np.zeros(grid.count, np.bool_)
        oldest = np.argsort(self._last_processed, kind="stable")
        if not self._flagged.any():
            return oldest
        urgent = np.flatnonzero(with_neighbours(self._flagged, grid))
        urgent = urgent[np.lexsort((self._last_processed[urgent], ~self._flagged[urgent]))]
        return _interleaved(oldest, urgent)

    def record(self, processed: Mask, flagged: Mask) -> None:
        """Store the result of a frame on the grid of the last call of :meth:`order`.

        Args:
            processed: (grid.count,) tiles that were processed.
            flagged: (grid.count,) which of these are cracked; the other tiles keep their previous state.
        """
        self._frame += 1
        self._last_processed[processed] = self._frame
        self._flagged[processed] = flagged[processed]


def with_neighbours(mask: Mask, grid: TileGrid, itself: bool = True) -> Mask:
    """Dilate a mask of tiles by one tile in all eight directions, (grid.count,).

    Args:
        itself: Keep tiles of the mask without a neighbour in it.
    """
    padded = np.pad(mask.reshape(grid.rows, grid.columns), 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    if itself:
        return windows.any(axis=(2, 3)).ravel()
    return np.asarray(windows.sum(axis=(2, 3)).ravel() > mask)


def _interleaved(oldest: Indices, urgent: Indices) -> Indices:
    """Return every tile once: urgent tiles in their order, with every fourth place given to the oldest tile."""
    queues = [oldest.tolist(), urgent.tolist()]
    ahead = [0, 0]
    taken: dict[int, None] = {}
    while len(taken) < len(oldest):
        queue = int(len(taken) % _PLACES_PER_OLDEST != 0 and ahead[1] < len(urgent))
        tile = queues[queue][ahead[queue]]
        ahead[queue] += 1
        taken.setdefault(tile)
    return np.array(list(taken), np.int64)


class TileCoverage:
    """Counters of processed and skipped tiles over all frames; written by one thread, may be read by another."""

    def __init__(self) -> None:
        self.processed = 0
        """Tiles processed so far, in all frames."""
        self.skipped = 0
        """Tiles skipped so far for lack of time, in all frames."""
        self.second_looks = 0
        """Tiles that got a second look so far, in all frames."""
        self.no_structure = 0
        """Tiles that showed no structure so far, in all frames."""
        self._recent: deque[float] = deque(maxlen=_WINDOW_FRAMES)

    def count(self, processed: Mask, second_looks: int = 0, no_structure: int = 0) -> None:
        """Add a frame: which of its tiles (count,) were processed, how many got a second look or show no structure."""
        self.second_looks += second_looks
        self.no_structure += no_structure
        number = int(np.count_nonzero(processed))
        self.processed += number
        self.skipped += len(processed) - number
        self._recent.append(number / len(processed))

    @property
    def share(self) -> float:
        """Mean share of tiles processed in the last 30 frames; 1 before the first frame."""
        recent = tuple(self._recent)
        return sum(recent) / len(recent) if recent else 1.0

    @property
    def is_short(self) -> bool:
        """Whether tiles were skipped in most of the recent frames."""
        return len(self._recent) >= _MIN_FRAMES and self.share < _SHORT_BELOW


def largest_processed_rectangle(grid: TileGrid, processed: Mask) -> tuple[int, int, int, int]:
    """Return the rectangle with the most tiles in which every tile was processed.

    Args:
        grid: Tiles of the frame.
        processed: (grid.count,), at least one of them true.

    Returns:
        Left, top, right, bottom in pixels, right and bottom exclusive.

    Raises:
        ValueError: No tile was processed.
    """
    if not processed.any():
        raise ValueError("no tile was processed")
    tiles = processed.reshape(grid.rows, grid.columns)
    most, best = 0, (0, 0, 0, 0)
    for top in range(grid.rows):
        for bottom in range(top + 1, grid.rows + 1):
            first, length = _longest_run(np.logical_and.reduce(tiles[top:bottom]))
            if length * (bottom - top) > most:
                most, best = length * (bottom - top), (first, top, first + length, bottom)
    left, top, right, bottom = best
    corner, opposite = grid.boxes()[[top * grid.columns + left, (bottom - 1) * grid.columns + right - 1]].tolist()
    return corner[0], corner[1], opposite[2], opposite[3]


def _longest_run(row: Mask) -> tuple[int, int]:
    """Return first index and length of the longest run of true values; length 0 when there is none."""
    gaps = np.flatnonzero(np.concatenate([[True], ~row, [True]]))
    longest = int(np.argmax(np.diff(gaps)))
    return int(gaps[longest]), int(gaps[longest + 1] - gaps[longest] - 1)
