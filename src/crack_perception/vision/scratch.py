"""Memory used again and again: to touch fresh memory for the first time costs more than most sums done in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

# A plane of a whole 1080p frame; of larger regions there are few, and what they take is given back.
_LARGEST_KEPT_BYTES = 9 * 2**20


class Scratch:
    """Arrays for intermediate results, each good until its use comes round again. One thread at a time has it."""

    def __init__(self) -> None:
        self._kept: dict[str, npt.NDArray[np.uint8]] = {}

    def array(self, use: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array of any content; the one that was given for the same use before is overwritten with it."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size > _LARGEST_KEPT_BYTES:
            return np.empty(shape, dtype)
        kept = self._kept.get(use)
        if kept is None or kept.size < size:
            kept = self._kept[use] = np.empty(size, np.uint8)
        return kept[:size].view(dtype).reshape(shape)
