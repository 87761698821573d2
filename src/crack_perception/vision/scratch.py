# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reused work memory: the first access to fresh pages costs more than most computations on them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

# One float plane of a 1080p frame. Larger regions are rare; their memory is freed.
_LARGEST_KEPT_BYTES = 9 * 2**20


class Scratch:
    """Arrays for intermediate results, each valid until the next request for the same use. Not thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[str, npt.NDArray[np.uint8]] = {}

    def array(self, use: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an uninitialised array; it overlaps the previous one for the same use."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size > _LARGEST_KEPT_BYTES:
            return np.empty(shape, dtype)
        kept = self._kept.get(use)
        if kept is None or kept.size < size:
            kept = self._kept[use] = np.empty(size, np.uint8)
        return kept[:size].view(dtype).reshape(shape)
