# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Lens distortion: distorted image coordinates at depth 1, with derivatives.

The formulas are those of OpenCV's calib3d and fisheye modules, whose coefficients CameraInfo carries: Brown-Conrady
with rational radial part, thin prism and tilted sensor, and Kannala-Brandt. Coordinates are passed as separate x
and y, which is fastest for long arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_BROWN_COEFFICIENTS = 14


class Distorted(NamedTuple):
    """Distorted coordinates, each (N,), and derivatives: ``xy`` is that of x with respect to the undistorted y."""

    x: Array
    y: Array
    xx: Array
    xy: Array
    yx: Array
    yy: Array


class Lens(Protocol):
    """Distortion model of a lens."""

    def distorted(self, x: Array, y: Array) -> Distorted:
        """Distort coordinates (N,), (N,)."""
        ...


@dataclass(frozen=True)
class BrownLens:
    """Brown-Conrady model: k1, k2, p1, p2, k3, denominator k4 to k6, thin prism s1 to s4, sensor tilts [rad].

    Attributes:
        d: Those 14 coefficients.
        tilt: (3, 3) homography of the tilted sensor; None where it is not tilted.
    """

    d: tuple[float, ...]
    tilt: Array | None

    @staticmethod
    def of(coefficients: Sequence[float]) -> BrownLens:
        """Create from up to 14 coefficients; missing ones are zero."""
        d = (*map(float, coefficients), *[0.0] * (_BROWN_COEFFICIENTS - len(coefficients)))
        return BrownLens(d, _tilt(*d[12:]) if any(d[12:]) else None)

    def distorted(self, x: Array, y: Array) -> Distorted:
        """As in ``Lens``."""
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, _, _ = self.d
        r2 = x * x + y * y
        radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = k1 + r2 * (2.0 * k2 + r2 * (3.0 * k3))
        if k4 or k5 or k6:
            below = 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6))
            radial = radial / below
            slope = (slope - radial * (k4 + r2 * (2.0 * k5 + r2 * (3.0 * k6)))) / below
        # The tangential part is 2 (p1 y + p2 x) along the radius, and p2 r^2, p1 r^2 besides.
        scale = radial + 2.0 * (p1 * y + p2 * x)
        scale_x, scale_y = 2.0 * (x * slope + p2), 2.0 * (y * slope + p1)
        besides_x, besides_y = p2 + s1 + s2 * r2, p1 + s3 + s4 * r2
        along_x, along_y = 2.0 * (besides_x + s2 * r2), 2.0 * (besides_y + s4 * r2)
        bent = Distorted(
            x * scale + besides_x * r2,
            y * scale + besides_y * r2,
            scale + x * (scale_x + along_x),
            x * scale_y + y * along_x,
            y * scale_x + x * along_y,
            scale + y * (scale_y + along_y),
        )
        return bent if self.tilt is None else _on_tilted_sensor(self.tilt, bent)


@dataclass(frozen=True)
class FisheyeLens:
    """Kannala-Brandt model: the radius is an odd polynomial of the angle to the axis, with coefficients k1 to k4."""

    k: tuple[float, ...]

    def distorted(self, x: Array, y: Array) -> Distorted:
        """As in ``Lens``."""
        k1, k2, k3, k4 = self.k
        r = np.hypot(x, y)
        angle = np.arctan(r)
        a2 = angle * angle
        distance = angle * (1.0 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4))))
        by_angle = 1.0 + a2 * (3.0 * k1 + a2 * (5.0 * k2 + a2 * (7.0 * k3 + a2 * (9.0 * k4))))
        along = by_angle / (1.0 + r * r)
        is_centre = r == 0.0
        safe_r = np.where(is_centre, 1.0, r)
        across = np.where(is_centre, 1.0, distance / safe_r)
        unit_x, unit_y = x / safe_r, y / safe_r
        more = along - across
        mixed = more * unit_x * unit_y
        return Distorted(
            x * across, y * across, across + more * unit_x * unit_x, mixed, mixed, across + more * unit_y * unit_y
        )


def _tilt(about_x_rad: float, about_y_rad: float) -> Array:
    """Return the homography (3, 3) from the untilted to the tilted sensor."""
    cos_x, sin_x, cos_y, sin_y = np.cos(about_x_rad), np.sin(about_x_rad), np.cos(about_y_rad), np.sin(about_y_rad)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cos_x, sin_x], [0.0, -sin_x, cos_x]])
    about_y = np.array([[cos_y, 0.0, -sin_y], [0.0, 1.0, 0.0], [sin_y, 0.0, cos_y]])
    turned = about_y @ about_x
    onto = np.array([[turned[2, 2], 0.0, -turned[0, 2]], [0.0, turned[2, 2], -turned[1, 2]], [0.0, 0.0, 1.0]])
    return np.asarray(onto @ turned)


def _on_tilted_sensor(tilt: Array, flat: Distorted) -> Distorted:
    """Apply the homography to coordinates and derivatives."""
    (a, b, c), (d, e, f), (g, h, i) = tilt.tolist()
    depth = g * flat.x + h * flat.y + i
    x, y = (a * flat.x + b * flat.y + c) / depth, (d * flat.x + e * flat.y + f) / depth
    by_x, by_y = ((a - x * g) / depth, (d - y * g) / depth), ((b - x * h) / depth, (e - y * h) / depth)
    return Distorted(
        x,
        y,
        by_x[0] * flat.xx + by_y[0] * flat.yx,
        by_x[0] * flat.xy + by_y[0] * flat.yy,
        by_x[1] * flat.xx + by_y[1] * flat.yx,
        by_x[1] * flat.xy + by_y[1] * flat.yy,
    )
