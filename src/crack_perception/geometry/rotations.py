# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Unit quaternions ``(x, y, z, w)`` and rotation matrices, as in REP 103."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

IDENTITY_QUATERNION: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)

# Rotation from the optical frame (x right, y down, z forward) of a forward-looking camera to the body frame
# (x forward, y left, z up), REP 103.
FORWARD_LOOKING_OPTICAL: tuple[float, float, float, float] = (-0.5, 0.5, -0.5, 0.5)

# Half a turn about the bisector of north and east converts north-east-down to east-north-up axes, and back.
ENU_FROM_NED: tuple[float, float, float, float] = (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)

# Half a turn about the forward axis converts front-right-down to front-left-up axes, and back.
FLU_FROM_FRD: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)

# A component of a quaternion that is larger is no rounding error but a damaged number.
_LARGEST_COMPONENT = 1e6


def normalise(quaternion: npt.ArrayLike) -> Array:
    """Normalise a quaternion.

    Raises:
        ValueError: It is not four finite numbers, has (almost) no length or is far too long.
    """
    q = np.asarray(quaternion, dtype=np.float64)
    if q.shape != (4,) or not np.all(np.isfinite(q)):
        raise ValueError(f"a quaternion is four finite numbers, got {quaternion!r}")
    # Before the length, whose squares could overflow.
    if np.abs(q).max() > _LARGEST_COMPONENT:
        raise ValueError(f"a quaternion with a component of {np.abs(q).max():g} is no rotation")
    length = float(np.linalg.norm(q))
    if length < 1e-6:
        raise ValueError("a quaternion of length zero is no rotation")
    return q / length


def multiply(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """Return the Hamilton product: the rotation ``b`` followed by ``a``."""
    ax, ay, az, aw = np.asarray(a, dtype=np.float64)
    bx, by, bz, bw = np.asarray(b, dtype=np.float64)
    return np.array(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ]
    )


def conjugate(quaternion: npt.ArrayLike) -> Array:
    """Return the inverse rotation of a unit quaternion."""
    x, y, z, w = np.asarray(quaternion, dtype=np.float64)
    return np.array([-x, -y, -z, w])


def to_matrix(quaternion: npt.ArrayLike) -> Array:
    """Return the 3x3 rotation matrix of a quaternion (normalised first)."""
    x, y, z, w = normalise(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_matrix(matrix: npt.ArrayLike) -> Array:
    """Return the unit quaternion of a rotation matrix, with ``w >= 0`` (Shepperd's method)."""
    (a, b, c), (d, e, f), (g, h, i) = np.asarray(matrix, dtype=np.float64).tolist()
    squares = (a, e, i, a + e + i)
    pivot = squares.index(max(squares))
    if pivot == 3:
        q = (h - f, c - g, d - b, 1 + squares[3])
    elif pivot == 0:
        q = (1 + a - e - i, d + b, g + c, h - f)
    elif pivot == 1:
        q = (b + d, 1 + e - i - a, h + f, c - g)
    else:
        q = (c + g, f + h, 1 + i - a - e, d - b)
    length = math.hypot(*q)
    return np.array(q) / (-length if q[3] < 0 else length)


def from_rotation_vector(rotation_vector_rad: npt.ArrayLike) -> Array:
    """Return the quaternion of a rotation given as axis times angle in radians, shape (3,)."""
    vector = np.asarray(rotation_vector_rad, dtype=np.float64)
    angle = float(np.linalg.norm(vector))
    # sin(a/2)/a tends to 1/2: np.sinc keeps full precision down to zero.
    return np.append(vector * 0.5 * np.sinc(angle / (2 * np.pi)), np.cos(angle / 2))


def from_euler(roll_rad: float, pitch_rad: float, yaw_rad: float) -> Array:
    """Return the quaternion of fixed-axis roll, pitch, yaw (REP 103)."""
    about_x = from_rotation_vector((roll_rad, 0.0, 0.0))
    about_y = from_rotation_vector((0.0, pitch_rad, 0.0))
    about_z = from_rotation_vector((0.0, 0.0, yaw_rad))
    return multiply(about_z, multiply(about_y, about_x))


def slerp(a: npt.ArrayLike, b: npt.ArrayLike, fraction: float) -> Array:
    """Interpolate spherically from ``a`` (0) to ``b`` (1) along the shorter arc."""
    start, end = normalise(a), normalise(b)
    dot = float(start @ end)
    if dot < 0:
        end, dot = -end, -dot
    if dot > 1 - 1e-9:  # where the sines below lose their digits a straight line is exact
        return normalise(start + fraction * (end - start))
    angle = np.arccos(dot)
    return np.asarray((np.sin((1 - fraction) * angle) * start + np.sin(fraction * angle) * end) / np.sin(angle))


def skew(vector: npt.ArrayLike) -> Array:
    """Return the matrix ``[v]x`` with ``skew(v) @ u == cross(v, u)``."""
    x, y, z = np.asarray(vector, dtype=np.float64)
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
