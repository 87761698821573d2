"""Moving part of a mapped line without breaking it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.tracks.track import Vertices

Array = npt.NDArray[np.float64]

_TAPER_M = 0.5
"""Over this length a shift of one part of a line takes its neighbourhood along."""
_NEGLIGIBLE = 4
"""So many of these lengths away nothing moves."""


def warp_line(
    v: Vertices,
    start: int,
    stop: int,
    shift_m: Array,
    step_m: float,
    *,
    low: int = 0,
    high: int | None = None,
    known_to: str | None = None,
) -> None:
    """Shift the vertices from ``start`` to before ``stop``, and those beside them the less, the further they are.

    What is surer than the shifted part moves less.

    Args:
        shift_m: (stop - start, 3).
        step_m: Distance of neighbouring vertices.
        low, high: Vertices outside of these stay.
        known_to: The source whose drift at the shifted vertices has been told of it already.
    """
    high = len(v) if high is None else high
    reach = int(_NEGLIGIBLE * _TAPER_M / step_m)
    low, high = max(low, start - reach), min(high, stop + reach)
    shift = np.empty((high - low, 3))
    shift[start - low : stop - low] = shift_m
    for part, end, distance in (
        (slice(low, start), start, np.arange(start - low, 0, -1)),
        (slice(stop, high), stop - 1, np.arange(1, high - stop + 1)),
    ):
        if len(distance):
            sure, unsure = np.einsum("nii->n", v.covariance_m2[part]), np.trace(v.covariance_m2[end])
            taper = np.exp(distance * (-step_m / _TAPER_M)) * np.minimum(1.0, sure / max(unsure, 1e-12))
            shift[part.start - low : part.stop - low] = taper[:, None] * shift_m[end - start]
    v.point_m[low:high] += shift
    for source, drift in v.drift.items():
        told = drift.gain[low:high, None] * shift
        if source == known_to:
            told[start - low : stop - low] = 0.0
        drift.offset_m[low:high] -= told
