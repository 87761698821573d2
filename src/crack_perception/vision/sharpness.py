# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sharpness of a part of a picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_FINE_SIGMA_PX, _COARSE_SIGMA_PX = 1.0, 4.0
# Share of the contrast up to the coarse scale that the finest details of a sharp picture of concrete have.
_SHARP_SHARE = 0.5


def sharpness(picture: npt.NDArray[np.uint8]) -> float:
    """Return the contrast of the finest details relative to the picture's contrast, 0 (blurred) to 1.

    Args:
        picture: BGR (H, W, 3) or grey (H, W).
    """
    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    values = grey.astype(np.float32)
    fine = values - cv2.GaussianBlur(values, (0, 0), _FINE_SIGMA_PX)
    details = values - cv2.GaussianBlur(values, (0, 0), _COARSE_SIGMA_PX)
    contrast = float(details.std())
    return min(float(fine.std()) / contrast / _SHARP_SHARE, 1.0) if contrast > 0.0 else 0.0
