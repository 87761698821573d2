"""Which lines are near a place: a hash grid over their vertices."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Cell = int

# Cell numbers of 21 bits an axis packed into one integer: 1e6 cells to either side of the origin.
_BITS = 21
_HALF = 1 << (_BITS - 1)
_SHIFTS = np.array([1 << (2 * _BITS), 1 << _BITS, 1], np.int64)


class SpatialIndex:
    """Ids by the cells of a cubic grid that their vertices lie in.

    Args:
        cell_m: Edge of a cell.
    """

    def __init__(self, cell_m: float) -> None:
        self._cell_m = cell_m
        self._ids: dict[Cell, set[int]] = {}
        self._cells: dict[int, frozenset[Cell]] = {}

    def put(self, identifier: int, points: Array) -> None:
        """Set the vertices (N, 3) of an id, replacing those it had."""
        cells = frozenset(np.unique(self._packed(self._numbers(points))).tolist())
        before = self._cells.get(identifier, frozenset())
        if cells == before:
            return
        self._leave(identifier, before - cells)
        for cell in cells - before:
            self._ids.setdefault(cell, set()).add(identifier)
        self._cells[identifier] = cells

    def remove(self, identifier: int) -> None:
        """Forget an id; one that is not there is nothing to forget."""
        self._leave(identifier, self._cells.pop(identifier, frozenset()))

    def near(self, points: Array, reach_m: float) -> set[int]:
        """Ids with a vertex within ``reach_m`` of one of the points (N, 3), and some that are a little further."""
        reach = int(np.ceil(reach_m / self._cell_m))
        low = np.full(3, -reach)
        own = np.unique(self._packed(self._numbers(points)))
        return self._in_cells(set((own[:, None] + self._block(low, -low)).ravel().tolist()))

    def in_box(self, low: Array, high: Array) -> set[int]:
        """Ids with a vertex in the axis-aligned box from ``low`` (3,) to ``high`` (3,), and some around it."""
        first, last = self._numbers(np.stack([low, high]))
        sizes = last - first + 1
        if np.prod(sizes.astype(float)) > len(self._ids):
            # Looking at every cell in use is cheaper than asking for each one in the box.
            used = np.fromiter(self._ids, np.int64, len(self._ids))
            numbers = np.stack([used >> (2 * _BITS), used >> _BITS, used], axis=1) & (2 * _HALF - 1)
            inside = np.all((numbers >= first + _HALF) & (numbers <= last + _HALF), axis=1)
            return self._in_cells(used[inside].tolist())
        return self._in_cells((self._block(first, last) + int(self._packed(np.zeros(3, np.int64)))).tolist())

    def _numbers(self, points: Array) -> npt.NDArray[np.int64]:
        cells = np.floor(np.asarray(points) / self._cell_m)
        return np.clip(cells, -_HALF + 64, _HALF - 65).astype(np.int64)

    def _packed(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.asarray((numbers + _HALF) @ _SHIFTS)

    def _block(self, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Packed differences of all cells from ``first`` to ``last`` (3,) to the one in the middle of the grid."""
        x, y, z = (np.arange(a, b + 1) * shift for a, b, shift in zip(first, last, _SHIFTS, strict=True))
        return np.asarray(x[:, None, None] + y[None, :, None] + z[None, None]).ravel()

    def _in_cells(self, cells: Iterable[Cell]) -> set[int]:
        found: set[int] = set()
        for cell in cells:
            ids = self._ids.get(cell)
            if ids:
                found |= ids
        return found

    def _leave(self, identifier: int, cells: Iterable[Cell]) -> None:
        for cell in cells:
            ids = self._ids[cell]
            ids.discard(identifier)
            if not ids:
                del self._ids[cell]
