# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera models of photogrammetry programs as those of OpenCV, which the package computes with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from crack_perception.errors import UserError
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.photographs.table import Unusable

# Error in pixels up to which a lens may be approximated.
_MOST_ERROR_PX = 0.5
_SAMPLES = 200


def brown_camera(
    size_px: tuple[int, int],
    focal_px: tuple[float, float],
    centre_px: tuple[float, float],
    radial: Sequence[float],
    tangential: tuple[float, float] = (0.0, 0.0),
) -> CameraModel:
    """Return the camera of a Brown-Conrady lens.

    Args:
        size_px: Width and height.
        focal_px: In x and y.
        centre_px: Principal point; (0, 0) is the centre of the first pixel.
        radial: Coefficients of r^2, r^4, r^6 and r^8; missing ones are zero.
        tangential: p1 and p2 in OpenCV's order: p1 belongs to ``r^2 + 2 y^2``.

    Raises:
        Unusable: Numbers that are no camera, or a term of r^8 that OpenCV's models cannot follow.
    """
    k = [*radial, 0.0, 0.0, 0.0, 0.0][:4]
    if not k[3]:
        return _checked(size_px, focal_px, centre_px, [k[0], k[1], *tangential, k[2]], "plumb_bob")
    above, below = _as_quotient(k, size_px, focal_px)
    d = [above[0], above[1], *tangential, above[2], *below]
    return _checked(size_px, focal_px, centre_px, d, "rational_polynomial")


def fisheye_camera(
    size_px: tuple[int, int],
    focal_px: tuple[float, float],
    centre_px: tuple[float, float],
    coefficients: Sequence[float],
) -> CameraModel:
    """Return the camera of an equidistant fisheye with coefficients of theta^3, theta^5, theta^7 and theta^9.

    Raises:
        Unusable: Numbers that are no camera.
    """
    return _checked(size_px, focal_px, centre_px, [*coefficients, 0.0, 0.0, 0.0, 0.0][:4], "equidistant")


def _checked(
    size_px: tuple[int, int],
    focal_px: tuple[float, float],
    centre_px: tuple[float, float],
    d: Sequence[float],
    name: str,
) -> CameraModel:
    k = [[focal_px[0], 0.0, centre_px[0]], [0.0, focal_px[1], centre_px[1]], [0.0, 0.0, 1.0]]
    try:
        camera = CameraModel.of(size_px[0], size_px[1], k, d, name)
    except UserError as error:
        raise Unusable("unsupported_camera", error.problem.replace("camera_info", "the calibration")) from error
    if not 0.05 * max(size_px) <= camera.focal_px <= 200.0 * max(size_px):
        raise Unusable(
            "unsupported_camera", f"a focal length of {camera.focal_px:g} px for {size_px[0]}x{size_px[1]} px"
        )
    return camera


def _as_quotient(
    k: list[float], size_px: tuple[int, int], focal_px: tuple[float, float]
) -> tuple[list[float], list[float]]:
    """Return the coefficients of the quotient of two polynomials that agrees with four coefficients (least squares).

    Raises:
        Unusable: They deviate by more than half a pixel somewhere.
    """
    farthest = 0.5 * math.hypot(*size_px) / min(focal_px)
    r2 = (np.arange(1, _SAMPLES + 1) / _SAMPLES * farthest) ** 2
    powers = np.stack([r2, r2**2, r2**3, r2**4], axis=1)
    radius = np.sqrt(r2)
    wanted = 1.0 + powers @ np.array(k)
    # wanted = (1 + above) / (1 + below), multiplied by the denominator.
    system = np.hstack([powers[:, :3], -wanted[:, None] * powers[:, :3]])
    found = np.linalg.lstsq(system * radius[:, None], (wanted - 1.0) * radius, rcond=None)[0]
    denominator = 1.0 + powers[:, :3] @ found[3:]
    error_px = float(np.abs(((1.0 + powers[:, :3] @ found[:3]) / denominator - wanted) * radius).max() * max(focal_px))
    if not (error_px <= _MOST_ERROR_PX and denominator.min() > 0.0):
        raise Unusable("unsupported_camera", f"a radial term of the eighth order, {error_px:.1f} px in the corners")
    return found[:3].tolist(), found[3:].tolist()
