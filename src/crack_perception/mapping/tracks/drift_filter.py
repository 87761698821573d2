# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recursive least squares for positions whose errors are correlated in time.

A view of a point ``x`` measures ``z = x + d + w``. The drift ``d`` is a first-order Gauss-Markov process of variance
``(1 - white) R`` that decays to 1/e within ``error_correlation_s``, one for each source; ``w`` is white, of variance
``white R``. For a constant ``x``, the views and a column of ones pass through the same Kalman filter of ``d``; its
innovations are independent and linear in ``x`` (Rosenberg 1973; Harvey, "Forecasting, structural time series models
and the Kalman filter", 1989, section 3.4.2). Hence many views within a moment count little more than one, views of
separate passes count in full, and white noise averages out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.polylines import inverses

Array = npt.NDArray[np.float64]

# After this many correlation times a drift has decayed.
_DECAYED = 10.0


@dataclass(frozen=True, eq=False)
class Drift:
    """Estimated drift of one source at N vertices, conditional on the mapped positions.

    Attributes:
        table: (N, 6) one row a vertex, read through the properties below.
    """

    table: Array

    @property
    def seen_s(self) -> Array:
        """(N,) time of the source's last view of the vertex, ``-inf`` if there was none."""
        return self.table[:, 0]

    @property
    def gain(self) -> Array:
        """(N,) by how much the expected drift changes against a shift of the vertex."""
        return self.table[:, 1]

    @property
    def variance(self) -> Array:
        """(N,) variance of the drift, in units of a view's covariance."""
        return self.table[:, 2]

    @property
    def offset_m(self) -> Array:
        """(N, 3) expected drift at that time."""
        return self.table[:, 3:]

    @classmethod
    def unknown(cls, count: int) -> Drift:
        """Drift at vertices that the source has not seen."""
        table = np.zeros((count, 6))
        table[:, 0], table[:, 2] = -np.inf, 1.0
        return cls(table)

    @classmethod
    def joined(cls, drifts: Sequence[Drift]) -> Drift:
        """Several drifts, concatenated."""
        return cls(np.concatenate([drift.table for drift in drifts]))

    def is_over(self, now_s: float, noise: NoiseProcess) -> bool:
        """Return whether the drift has decayed at all vertices."""
        return float(np.abs(now_s - self.seen_s).min()) > _DECAYED * noise.error_correlation_s


@dataclass(frozen=True)
class NoiseProcess:
    """Error process of a source: decay time, and the share of the variance that is white."""

    error_correlation_s: float
    white_share: float


@dataclass(frozen=True, eq=False)
class FusedViews:
    """Vertices after a view: their shift (N, 3), their covariance (N, 3, 3) and the source's drift."""

    shift_m: Array
    covariance_m2: Array
    drift: Drift


def fuse(
    covariance_m2: Array,
    offset_m: Array,
    view_m2: Array,
    alignment_m2: Array,
    drift: Drift,
    now_s: float,
    noise: NoiseProcess,
) -> FusedViews:
    """Update the positions of N vertices with a view.

    Args:
        covariance_m2: (N, 3, 3) of the vertices before.
        offset_m: (N, 3) from the vertices to their positions in the view.
        view_m2: (N, 3, 3) covariance of the view.
        alignment_m2: (N, 3, 3) covariance of the measured offset; very large along a straight line.
        drift: Of the view's source at these vertices.
        now_s: Time of the view; a time before the last one is treated like one equally long after it.
    """
    white = noise.white_share
    memory = np.exp(-np.minimum(np.abs(now_s - drift.seen_s) / noise.error_correlation_s, 50.0))
    square = memory**2
    variance = np.minimum(square * drift.variance + (1 - square) * (1 - white), 1 - white)
    expected = memory[:, None] * drift.table[:, 1:]
    gain, offset_before = expected[:, 0], expected[:, 2:]
    innovation, share = offset_m - offset_before, 1 - gain
    total = variance + white

    weight = share[:, None, None]
    seen = weight**2 * covariance_m2 + total[:, None, None] * view_m2 + alignment_m2
    kalman = weight * covariance_m2 @ inverses(seen)
    shift = (kalman @ innovation[:, :, None])[:, :, 0]
    after = covariance_m2 - weight * (kalman @ covariance_m2)
    after = 0.5 * (after + after.transpose(0, 2, 1))

    drift_gain = variance / np.maximum(total, 1e-12)
    table = np.empty_like(drift.table)
    table[:, 0] = now_s
    table[:, 1] = gain + drift_gain * share
    table[:, 2] = (1 - drift_gain) * variance
    table[:, 3:] = offset_before + drift_gain[:, None] * innovation - table[:, 1:2] * shift
    return FusedViews(shift, after, Drift(table))


def first_drift(count: int, now_s: float, noise: NoiseProcess) -> Drift:
    """Drift at vertices that a view has just added to the map: it equals their position error."""
    white = noise.white_share
    table = np.zeros((count, 6))
    table[:, 0], table[:, 1], table[:, 2] = now_s, 1 - white, white * (1 - white)
    return Drift(table)
