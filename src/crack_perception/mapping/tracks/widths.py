"""The width of a crack from many views: the sharpest ones decide, and one that went wrong does not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.tracks.track import Vertices

Array = npt.NDArray[np.float64]

# Views this much sharper replace what there is; views this much coarser add nothing to it.
_SHARPER, _COARSER = 0.67, 1.5
# Differences beyond so many standard deviations count less (Huber 1964).
_USUAL_SIGMAS = 3.0
# Width errors have causes that all views share (blur, the edge's shape): so much of a view's sigma always remains.
_SHARED_SIGMA = 0.5
_UNKNOWN_GSD_MM = 1e3


def fuse_widths(vertices: Vertices, at: npt.NDArray[np.intp], width_mm: Array, sigma_mm: Array, gsd_mm: float) -> None:
    """Take the widths (M,) of a view at the vertices ``at`` (M,) into ``vertices``; ``nan`` says nothing."""
    gsd_mm = gsd_mm if np.isfinite(gsd_mm) else _UNKNOWN_GSD_MM
    old, old_sigma = vertices.width_mm[at], vertices.width_sigma_mm[at]
    old_gsd = np.where(np.isfinite(vertices.width_gsd_mm[at]), vertices.width_gsd_mm[at], _UNKNOWN_GSD_MM)
    fresh = np.isfinite(width_mm)
    replaced = fresh & (~np.isfinite(old) | (gsd_mm < _SHARPER * old_gsd))
    averaged = fresh & ~replaced & (gsd_mm <= _COARSER * old_gsd)

    where = at[replaced]
    vertices.width_mm[where], vertices.width_sigma_mm[where] = width_mm[replaced], sigma_mm[replaced]
    vertices.width_gsd_mm[where], vertices.width_views[where] = gsd_mm, 1.0

    where = at[averaged]
    mean, sigma, new_sigma = old[averaged], old_sigma[averaged], sigma_mm[averaged]
    difference = width_mm[averaged] - mean
    usual = _USUAL_SIGMAS * np.sqrt(new_sigma**2 + sigma**2 + (0.1 * mean) ** 2)
    trust = np.minimum(1.0, usual / np.maximum(np.abs(difference), 1e-12))
    weight = vertices.width_views[where] / old_gsd[averaged] ** 2
    added = trust / gsd_mm**2
    share = added / (weight + added)
    vertices.width_mm[where] = mean + share * difference
    independent = np.hypot((1 - share) * sigma, share * new_sigma)
    vertices.width_sigma_mm[where] = np.maximum(independent, np.minimum(sigma, _SHARED_SIGMA * new_sigma))
    vertices.width_gsd_mm[where] = np.minimum(old_gsd[averaged], gsd_mm)
    vertices.width_views[where] += trust
