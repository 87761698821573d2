# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Plane of a facet, fitted to everything that the map has on it, over the coordinates of the facet's plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.export.plan.facets import Facet

Array = npt.NDArray[np.float64]

# Standard deviation of single points of the map off the plane [m], and of the plane's slopes to that of the plan.
_POINT_SIGMA_M = 0.02
_SLOPE_SIGMA = 0.05
# Points that lie farther off count less (Huber).
_OUTLIER_M = 0.04
_ITERATIONS = 10
# More points of a crack say no more about the plane.
_MOST_VERTICES = 20


@dataclass(frozen=True, eq=False)
class FacetSurface:
    """A plane: ``origin_m + u * u_m + v * v_m`` is the map point of the facet's coordinates (u, v).

    Attributes:
        origin_m, u_m, v_m: (3,) each; ``u_m`` and ``v_m`` are no unit vectors where the plane leans.
        residual_m: 95th percentile of the distances of the map's points from the plane.
    """

    origin_m: Array
    u_m: Array
    v_m: Array
    residual_m: float

    @cached_property
    def normal(self) -> Array:
        """(3,) unit normal towards the camera."""
        normal = np.cross(self.u_m, self.v_m)
        return np.asarray(normal / np.linalg.norm(normal))

    def to_map(self, flat_m: Array) -> Array:
        """Map points (..., 3) of facet coordinates (..., 2)."""
        return np.asarray(self.origin_m + flat_m @ np.stack([self.u_m, self.v_m]))

    def to_flat(self, points_m: Array) -> Array:
        """Facet coordinates (..., 2) of map points (..., 3), projected along the normal."""
        axes = np.stack([self.u_m, self.v_m])
        inverse = np.linalg.inv(axes @ axes.T)
        return np.asarray((points_m - self.origin_m) @ axes.T @ inverse)


def fit_surface(facet: Facet) -> FacetSurface:
    """Fit the plane: height over the plan's plane, linear in its coordinates, robust against single wrong points."""
    points = [
        patch.points_m[np.unique(np.linspace(0, len(patch.points_m) - 1, _MOST_VERTICES).astype(int))]
        for patch in facet.patches
    ]
    points_m = np.concatenate(points)
    flat_m, height_m = facet.flat(points_m), points_m @ facet.normal
    centre_m = flat_m.mean(axis=0)
    predictors = np.column_stack([np.ones(len(flat_m)), flat_m - centre_m])
    prior = np.diag([0.0, 1.0, 1.0]) * (_POINT_SIGMA_M / _SLOPE_SIGMA) ** 2
    weights = np.ones(len(flat_m))
    coefficients = np.zeros(3)
    for _ in range(_ITERATIONS):
        weighted = predictors * weights[:, None]
        coefficients = np.linalg.solve(weighted.T @ predictors + prior, weighted.T @ height_m)
        off_m = np.abs(height_m - predictors @ coefficients)
        weights = _OUTLIER_M / np.maximum(off_m, _OUTLIER_M)
    level_m, slope_u, slope_v = coefficients
    at_origin_m = level_m - slope_u * centre_m[0] - slope_v * centre_m[1]
    shift_u, shift_v = facet.shift_m
    return FacetSurface(
        origin_m=at_origin_m * facet.normal - shift_u * facet.u_axis - shift_v * facet.v_axis,
        u_m=facet.u_axis + slope_u * facet.normal,
        v_m=facet.v_axis + slope_v * facet.normal,
        residual_m=float(np.quantile(np.abs(height_m - predictors @ coefficients), 0.95)),
    )
