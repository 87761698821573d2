# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Batched products of small vectors, with less overhead than numpy's general functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def dot(a: Array, b: Array) -> Array:
    """Return scalar products (...) of vectors (..., M), broadcast against each other."""
    return np.asarray(np.einsum("...i,...i->...", a, b))


def lengths(vectors: Array) -> Array:
    """Return lengths (...) of vectors (..., M)."""
    return np.sqrt(dot(vectors, vectors))


def cross(a: Array, b: Array) -> Array:
    """Return vector products (..., 3) of vectors (..., 3), broadcast against each other."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
