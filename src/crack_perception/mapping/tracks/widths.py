# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Robust fusion of crack widths from many views: the sharpest views decide, outliers have little weight."""

from __future__ import annotations

import math
from statistics import median

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.lines import MAX_LOG_WIDTH_RATIO

Array = npt.NDArray[np.float64]

# Views this much sharper replace the present width; views this much coarser are ignored.
_SHARPER, _COARSER = 0.67, 1.5
# Differences beyond this many standard deviations have less weight (Huber 1964).
_USUAL_SIGMAS = 3.0
# Width errors have causes that all views share (blur, edge shape): this share of a view's sigma always remains.
_SHARED_SIGMA = 0.5
_UNKNOWN_GSD_MM = 1e3
# The width at an end is that of so many vertices next to it, without the outermost ones.
_END_VERTICES, _UNSURE_VERTICES = 8, 2


def fuse_widths(widths: Array, width_mm: Array, sigma_mm: Array, gsd_mm: Array) -> None:
    """Update the widths at N vertices with those of a view.

    Args:
        widths: (N, 4) width, standard deviation, ground sampling distance and number of views; changed in place.
        width_mm, sigma_mm: (N,) of the view, ``nan`` where unknown.
        gsd_mm: (N,) ground sampling distance of the view, ``nan`` where unknown.
    """
    fresh = np.isfinite(width_mm)
    if not fresh.any():
        return
    gsd_mm = np.where(np.isfinite(gsd_mm), gsd_mm, _UNKNOWN_GSD_MM)
    old, old_sigma, old_gsd, views = widths.T.copy()
    old_gsd[~np.isfinite(old_gsd)] = _UNKNOWN_GSD_MM
    replaced = fresh & (~np.isfinite(old) | (gsd_mm < _SHARPER * old_gsd))
    averaged = fresh & ~replaced & (gsd_mm <= _COARSER * old_gsd)

    at = replaced.nonzero()[0]
    if len(at):
        widths[at] = np.stack([width_mm[at], sigma_mm[at], gsd_mm[at], np.ones(len(at))], axis=1)

    at = averaged.nonzero()[0]
    if not len(at):
        return
    mean, sigma, new_sigma, new_gsd = old[at], old_sigma[at], sigma_mm[at], gsd_mm[at]
    difference = width_mm[at] - mean
    usual = _USUAL_SIGMAS * np.sqrt(new_sigma**2 + sigma**2 + (0.1 * mean) ** 2)
    trust = np.minimum(1.0, usual / np.maximum(np.abs(difference), 1e-12))
    weight = views[at] / old_gsd[at] ** 2
    added = trust / new_gsd**2
    share = added / (weight + added)
    independent = np.hypot((1 - share) * sigma, share * new_sigma)
    fused = np.empty((len(at), 4))
    fused[:, 0] = mean + share * difference
    fused[:, 1] = np.maximum(independent, np.minimum(sigma, _SHARED_SIGMA * new_sigma))
    fused[:, 2] = np.minimum(old_gsd[at], new_gsd)
    fused[:, 3] = views[at] + trust
    widths[at] = fused


def end_width_mm(width_mm: Array, at_end: bool) -> float:
    """Median of the known widths next to an end of a line; ``nan`` where none is known.

    The very end of a line often lies on another crack and shows its width.

    Args:
        width_mm: (N,) widths along the line, ``nan`` where unknown.
        at_end: Whether the end is the last vertex, not the first.
    """
    inward = width_mm[::-1] if at_end else width_mm
    known = inward[_UNSURE_VERTICES : _UNSURE_VERTICES + _END_VERTICES].tolist()
    # Several times faster than numpy on so few values.
    return median(finite) if (finite := [width for width in known if math.isfinite(width)]) else math.nan


def are_alike(one_mm: float, other_mm: float, gsd_mm: float) -> bool:
    """Return whether two widths may belong to one crack; unknown ones may.

    Args:
        one_mm, other_mm: The widths.
        gsd_mm: Ground sampling distance of the coarser view: fractions of a pixel are no difference.
    """
    return not abs(math.log((one_mm + gsd_mm) / (other_mm + gsd_mm))) > MAX_LOG_WIDTH_RATIO
