"""Positions from views whose errors are partly alike: generalised least squares, one view at a time.

A view of a point ``x`` measures ``z = x + d + w``. The drift ``d`` is a first-order Gauss-Markov process of variance
``(1 - white) R`` that decays to 1/e within ``error_correlation_s``, one for each source; ``w`` is white, of variance
``white R``. For a constant ``x``, the views and a column of ones pass through the same Kalman filter of ``d``; its
innovations are independent and linear in ``x`` (Rosenberg 1973; Harvey, "Forecasting, structural time series models
and the Kalman filter", 1989, section 3.4.2). Many views within a moment hence count little more than one, views of
separate passes count in full, and white noise averages out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# After so many correlation times nothing is left of a drift.
_DECAYED = 10.0


@dataclass(eq=False)
class Drift:
    """What is known of one source's drift at N vertices, given that they are where the map has them.

    Attributes:
        seen_s: (N,) when the source saw the vertex last, ``-inf`` if never.
        offset_m: (N, 3) expected drift then.
        gain: (N,) how far that moves against a shift of the vertex.
        variance: (N,) of the drift, in units of a view's covariance.
    """

    seen_s: Array
    offset_m: Array
    gain: Array
    variance: Array

    @classmethod
    def unknown(cls, count: int) -> Drift:
        """Of vertices that the source has not seen."""
        return cls(np.full(count, -np.inf), np.zeros((count, 3)), np.zeros(count), np.ones(count))

    def map(self, change: Callable[[Array], Array]) -> Drift:
        """The drift after a change that is the same for all arrays."""
        return Drift(change(self.seen_s), change(self.offset_m), change(self.gain), change(self.variance))

    @classmethod
    def joined(cls, drifts: Sequence[Drift]) -> Drift:
        """Several drifts one after the other."""
        return cls(
            np.concatenate([drift.seen_s for drift in drifts]),
            np.concatenate([drift.offset_m for drift in drifts]),
            np.concatenate([drift.gain for drift in drifts]),
            np.concatenate([drift.variance for drift in drifts]),
        )

    def part(self, at: slice) -> Drift:
        """The drift at some of the vertices."""
        return Drift(self.seen_s[at], self.offset_m[at], self.gain[at], self.variance[at])

    def is_over(self, now_s: float, noise: NoiseProcess) -> bool:
        """Whether nothing is left of it now."""
        return float(np.abs(now_s - self.seen_s).min()) > _DECAYED * noise.error_correlation_s

    def put(self, at: slice, part: Drift) -> None:
        """Replace the values of some vertices."""
        self.seen_s[at], self.offset_m[at] = part.seen_s, part.offset_m
        self.gain[at], self.variance[at] = part.gain, part.variance


@dataclass(frozen=True)
class NoiseProcess:
    """How the errors of a source go on: decay time and share of the variance that is white."""

    error_correlation_s: float
    white_share: float


@dataclass(frozen=True, eq=False)
class FusedViews:
    """Vertices after a view: how far they move (N, 3), their covariance (N, 3, 3) and the source's drift."""

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
    """Take a view of N vertices into their position.

    Args:
        covariance_m2: (N, 3, 3) of the vertices before.
        offset_m: (N, 3) from the vertices to where the view has them.
        view_m2: (N, 3, 3) covariance of the view.
        alignment_m2: (N, 3, 3) covariance of finding the offset; very large along a straight line.
        drift: Of the view's source at these vertices.
        now_s: Time of the view; a time before the last one counts as one as far after it.
    """
    white = noise.white_share
    memory = np.exp(-np.minimum(np.abs(now_s - drift.seen_s) / noise.error_correlation_s, 50.0))
    variance = memory**2 * drift.variance + (1 - memory**2) * (1 - white)
    variance = np.minimum(variance, 1 - white)
    expected, gain = memory[:, None] * drift.offset_m, memory * drift.gain
    innovation, share = offset_m - expected, 1 - gain
    spread = variance + white

    weight = share[:, None, None]
    seen = weight**2 * covariance_m2 + spread[:, None, None] * view_m2 + alignment_m2
    # K = c P seen^-1, both symmetric: solve seen K^T = c P.
    kalman = np.linalg.solve(seen, weight * covariance_m2).transpose(0, 2, 1)
    shift = np.einsum("nij,nj->ni", kalman, innovation)
    after = covariance_m2 - weight * np.einsum("nij,njk->nik", kalman, covariance_m2)
    after = 0.5 * (after + after.transpose(0, 2, 1))

    drift_gain = variance / np.maximum(spread, 1e-12)
    gain = gain + drift_gain * share
    offset = expected + drift_gain[:, None] * innovation - gain[:, None] * shift
    seen_s = np.full(len(gain), now_s)
    return FusedViews(shift, after, Drift(seen_s, offset, gain, (1 - drift_gain) * variance))


def first_drift(count: int, now_s: float, noise: NoiseProcess) -> Drift:
    """The drift at vertices that a view has just put into the map: it is then what the vertices are off by."""
    white = noise.white_share
    return Drift(
        np.full(count, now_s), np.zeros((count, 3)), np.full(count, 1 - white), np.full(count, white * (1 - white))
    )
