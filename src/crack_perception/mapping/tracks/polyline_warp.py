# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Shifts of parts of mapped lines that taper off along the line instead of breaking it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.tracks.vertices import COVARIANCE, Vertices

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

_TAPER_M = 0.5
"""Over this length from the shifted part the shift of its neighbourhood decays to 1/e."""
_NEGLIGIBLE = 4
"""This many of these lengths away nothing moves."""


@dataclass(frozen=True)
class WarpedPart:
    """Vertices ``start`` to before ``stop`` are shifted; those from ``low`` to before ``high`` follow."""

    start: int
    stop: int
    low: int
    high: int


def warp(variance: Array, parts: Sequence[WarpedPart], shift_m: Array, shifted_variance: Array, step_m: float) -> Array:
    """Shifts (N, 3) of all vertices when parts of them are shifted.

    Vertices beside a part follow it the less, the further away and the more accurate they are.

    Args:
        variance: (N,) traces of the vertices' covariances.
        parts: At least one, rising; what they take along follows each other without gaps and covers all vertices.
        shift_m: (K, 3) of the K vertices of all parts.
        shifted_variance: (K,) traces of their covariances.
        step_m: Distance of neighbouring vertices.
    """
    index = np.arange(len(variance))
    sizes = [part.high - part.low for part in parts]
    starts, stops = [part.start for part in parts], [part.stop for part in parts]
    rows = np.cumsum([0, *(part.stop - part.start for part in parts[:-1])])
    bounds = np.repeat(np.array([starts, stops, rows - starts]), sizes, axis=1)
    edge = np.minimum(np.maximum(index, bounds[0]), bounds[1] - 1)
    source = edge + bounds[2]
    distance = np.abs(index - edge)
    ratio = np.minimum(1.0, variance / np.maximum(shifted_variance[source], 1e-12))
    taper = np.exp(distance * (-step_m / _TAPER_M)) * ratio
    taper[distance == 0] = 1.0
    taper[distance > int(_NEGLIGIBLE * _TAPER_M / step_m)] = 0.0
    return np.asarray(taper[:, None] * shift_m[source])


def warp_line(v: Vertices, start: int, stop: int, shift_m: Array, step_m: float) -> None:
    """Shift the vertices from ``start`` to before ``stop`` of a line, and those beside them as ``warp`` does.

    Args:
        shift_m: (stop - start, 3).
        step_m: Distance of neighbouring vertices.
    """
    variance = traces(v.geometry)
    part = WarpedPart(start, stop, 0, len(v))
    shift = warp(variance, [part], shift_m, variance[start:stop], step_m)
    v.point_m[:] += shift
    for drift in v.drift.values():
        drift.offset_m[:] -= drift.gain[:, None] * shift


def traces(geometry: Array) -> Array:
    """Traces (N,) of the covariances in a geometry table (N, 13)."""
    first = COVARIANCE.start
    return geometry[:, first] + geometry[:, first + 4] + geometry[:, first + 8]
