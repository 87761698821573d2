"""Areas of polygons in a plane."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def overlap_area(a: FloatArray, b: FloatArray) -> float:
    """Area shared by two convex polygons (N, 2)."""
    area, _ = cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))
    return float(area)


def polygon_area(corners: FloatArray) -> float:
    """Area of a simple polygon (N, 2) by the shoelace formula."""
    x, y = corners.T
    return float(0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
