"""A texture at several resolutions, so that a camera farther away averages over its pixels instead of skipping."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LEVELS_PER_OCTAVE = 2


class TexturePyramid:
    """Resolutions half an octave apart, each made by exact area averaging when it is first needed.

    Args:
        texture: ``(H, W, 3)`` uint8 at the finest resolution.
        mm_per_px: Its pixel size.
    """

    def __init__(self, texture: NDArray[np.uint8], mm_per_px: float) -> None:
        self._mm_per_px = mm_per_px
        self._levels = {0: texture}

    def at(self, gsd_mm_per_px: float) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The coarsest level that is still at least as fine as the image.

        Returns:
            The level's picture, and the matrix (3, 3) from surface metres (u, v, 1) to its pixels.
        """
        octaves = np.log2(max(gsd_mm_per_px / self._mm_per_px, 1.0))
        level = int(octaves * _LEVELS_PER_OCTAVE)
        if level not in self._levels:
            finest = self._levels[0]
            height, width = (max(1, round(n / 2 ** (level / _LEVELS_PER_OCTAVE))) for n in finest.shape[:2])
            resized = cv2.resize(finest, (width, height), interpolation=cv2.INTER_AREA)
            self._levels[level] = np.asarray(resized, np.uint8)
        picture = self._levels[level]
        size_m = np.array(self._levels[0].shape[1::-1]) * self._mm_per_px / 1000
        scale_x, scale_y = np.array(picture.shape[1::-1]) / size_m
        return picture, np.array([[scale_x, 0.0, -0.5], [0.0, scale_y, -0.5], [0.0, 0.0, 1.0]])
