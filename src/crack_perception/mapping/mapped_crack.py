# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A crack of the map, estimated from all frames that showed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

_HALVES = np.array([0.5, 0.5])


class CrackState(Enum):
    """State of a crack in the map."""

    NEW = "new"
    CONFIRMED = "confirmed"
    LOST = "lost"


@dataclass(frozen=True, eq=False)
class MappedCrack:
    """One crack of the map.

    Attributes:
        id: Positive, never reused, not even after a restart.
        state: NEW until enough frames have shown it, LOST when frames that should have shown it did not.
        line_m: (N, 3) vertices in order along the crack, map frame, N >= 2.
        width_mm: (N,) crack width at the vertices from the views with the best resolution, ``nan`` where unknown.
        width_sigma_mm: (N,) its standard deviation.
        normal: (3,) unit surface normal towards the camera.
        covariance_m2: (3, 3) of the line's position, map axes.
        score: Probability that it is a crack.
        gsd_mm_per_px: Finest ground sampling distance of its views, ``nan`` where unknown.
        views: Frames that showed it.
        misses: Frames since the last of them that should have shown it and did not.
        first_seen_ns, last_seen_ns: Stamps of the first and the last frame that showed it.

    State of the fusion, to continue after a restart; each may be empty where unknown:
        covariance_knots_m2: (K, 3, 3) of the position at K places evenly distributed over the vertices, K >= 1.
        evidence: (N,) log-odds that the crack exists at the vertices.
        shape_weight: (N,) sum of 1 / GSD^2 (in mm/px) of the views that the line's shape comes from.
        width_gsd_mm_per_px, width_views: (N,) resolution and number of the views that the widths come from.
        coarsest_gsd_mm_per_px: Coarsest ground sampling distance of its views, ``nan`` where unknown.
        apart_from: Ids of cracks that a frame has shown parallel to this one.
        view_log_odds, score_views: Mean log-odds of the scores of its views, ``nan`` where unknown, and their number.
        shown_views, missing_views: Views that should have shown it and did, or did not.
    """

    id: int
    state: CrackState
    line_m: Array
    width_mm: Array
    width_sigma_mm: Array
    normal: Array
    covariance_m2: Array
    score: float
    gsd_mm_per_px: float
    views: int
    misses: int
    first_seen_ns: int
    last_seen_ns: int
    covariance_knots_m2: Array = field(default_factory=lambda: np.zeros((0, 3, 3)))
    evidence: Array = field(default_factory=lambda: np.zeros(0))
    shape_weight: Array = field(default_factory=lambda: np.zeros(0))
    width_gsd_mm_per_px: Array = field(default_factory=lambda: np.zeros(0))
    width_views: Array = field(default_factory=lambda: np.zeros(0))
    coarsest_gsd_mm_per_px: float = float("nan")
    apart_from: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    view_log_odds: float = float("nan")
    score_views: float = 0.0
    shown_views: float = 0.0
    missing_views: float = 0.0

    @property
    def length_m(self) -> float:
        """Length of the centre line."""
        return self._length_and_widths[0]

    @property
    def mean_width_mm(self) -> float:
        """Mean of the known widths along the line, weighted by length; ``nan`` where none is known."""
        return self._length_and_widths[1]

    @property
    def mean_width_sigma_mm(self) -> float:
        """Standard deviation of the mean width; ``nan`` where unknown.

        The errors along a line are correlated (blur, resolution, range), so the mean is as uncertain as its parts.
        """
        return self._length_and_widths[2]

    @property
    def max_width_mm(self) -> float:
        """Greatest known width; ``nan`` where none is known."""
        known_mm = self.width_mm[np.isfinite(self.width_mm)]
        return float(known_mm.max()) if known_mm.size else float("nan")

    def moved(self, points: Callable[[Array], Array], rotation: Array) -> MappedCrack:
        """Return the crack in another frame.

        Args:
            points: Moves points (N, 3).
            rotation: (3, 3) of that motion, for directions and covariances.
        """
        covariance_m2 = self.covariance_m2
        if np.isfinite(covariance_m2).all():
            covariance_m2 = rotation @ covariance_m2 @ rotation.T
        return replace(
            self,
            line_m=points(self.line_m),
            normal=rotation @ self.normal,
            covariance_m2=covariance_m2,
            covariance_knots_m2=rotation @ self.covariance_knots_m2 @ rotation.T,
        )

    @cached_property
    def _length_and_widths(self) -> tuple[float, float, float]:
        """Length, mean width and its standard deviation; kept, because messages and exports ask for them often."""
        steps = self.line_m[1:] - self.line_m[:-1]
        steps_m = np.sqrt((steps * steps).sum(axis=1))
        weights = np.convolve(steps_m, _HALVES) + 1e-12
        return float(steps_m.sum()), _mean(self.width_mm, weights), _mean(self.width_sigma_mm, weights)


def _mean(values: Array, weights: Array) -> float:
    """Weighted mean of the finite values (N,); ``nan`` where there are none."""
    known = np.isfinite(values)
    if not known.all():
        values, weights = values[known], weights[known]
    return float((values * weights).sum() / weights.sum()) if values.size else float("nan")
