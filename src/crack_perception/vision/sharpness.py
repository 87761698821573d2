# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sharpness of a part of a picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

# Finer details are mostly noise, which blur does not remove.
_FINE_SIGMAS_PX = (1.0, 2.0)
_COARSE_WINDOW_PX = 55
# Share of the contrast that the finest details have in sharp and in very blurred pictures of concrete.
_SHARP_SHARE, _BLURRED_SHARE = 0.22, 0.06


def sharpness(picture: npt.NDArray[np.uint8]) -> float:
    """Return the contrast of the finest details relative to the picture's contrast, 0 (blurred) to 1.

    Args:
        picture: BGR (H, W, 3) or grey (H, W).
    """
    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    values = grey.astype(np.float32)
    contrast = float((values - cv2.blur(values, (_COARSE_WINDOW_PX, _COARSE_WINDOW_PX))).std())
    if contrast <= 0.0:
        return 0.0
    finer, coarser = (cv2.GaussianBlur(values, (0, 0), sigma) for sigma in _FINE_SIGMAS_PX)
    share = float((finer - coarser).std()) / contrast
    return min(max((share - _BLURRED_SHARE) / (_SHARP_SHARE - _BLURRED_SHARE), 0.0), 1.0)
