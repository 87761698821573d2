# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""State of a mapped line, vertex by vertex, in tables that are resampled and concatenated as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.polylines import interpolated
from crack_perception.mapping.tracks.drift_filter import Drift

Array = npt.NDArray[np.float64]

POINT, COVARIANCE, SHAPE_WEIGHT = slice(0, 3), slice(3, 12), 12
"""Columns of ``Vertices.geometry``."""
EVIDENCE, JUDGED, WIDTH, WIDTH_SIGMA, WIDTH_GSD, WIDTH_VIEWS, SHOWN = range(7)
"""Columns of ``Vertices.states``."""
WIDTHS = slice(WIDTH, WIDTH_VIEWS + 1)
"""Columns of ``Vertices.states`` with the width and its origin."""


@dataclass(eq=False)
class Vertices:
    """State of the N vertices of a line; the properties are views of its two tables.

    Attributes:
        geometry: (N, 13) values that are interpolated between vertices: position, covariance, shape weight.
        states: (N, 7) values that are taken from the nearest vertex: evidence, time, width, views.
        drift: By source.
        parallel_views: By the id of another crack, the number (N,) of frames that showed a line of that crack
            parallel to this one.
    """

    geometry: Array
    states: Array
    drift: dict[str, Drift]
    parallel_views: dict[int, Array] = field(default_factory=dict)

    @classmethod
    def new(
        cls, point_m: Array, covariance_m2: Array, shape_weight: Array | float, drift: dict[str, Drift]
    ) -> Vertices:
        """Vertices without evidence, width or views.

        Args:
            point_m: (N, 3) positions.
            covariance_m2: (N, 3, 3) of the positions.
            shape_weight: (N,) or one for all vertices.
        """
        count = len(point_m)
        geometry = np.empty((count, 13))
        geometry[:, POINT], geometry[:, COVARIANCE] = point_m, covariance_m2.reshape(count, 9)
        geometry[:, SHAPE_WEIGHT] = shape_weight
        states = np.zeros((count, 7))
        states[:, JUDGED] = -np.inf
        states[:, WIDTH:WIDTH_VIEWS] = np.nan
        return cls(geometry, states, drift)

    def __len__(self) -> int:
        return len(self.geometry)

    @property
    def point_m(self) -> Array:
        """(N, 3) positions in the map frame."""
        return self.geometry[:, POINT]

    @property
    def covariance_m2(self) -> Array:
        """(N, 3, 3) of the positions."""
        return self.geometry[:, COVARIANCE].reshape(-1, 3, 3)

    @property
    def shape_weight(self) -> Array:
        """(N,) sum of 1 / GSD^2 of the views that the shape comes from."""
        return self.geometry[:, SHAPE_WEIGHT]

    @property
    def evidence(self) -> Array:
        """(N,) log-odds that there is a crack."""
        return self.states[:, EVIDENCE]

    @property
    def judged_s(self) -> Array:
        """(N,) time of the last change of the evidence, ``-inf`` if there was none since the start."""
        return self.states[:, JUDGED]

    @property
    def width_mm(self) -> Array:
        """(N,) crack width, ``nan`` where unknown."""
        return self.states[:, WIDTH]

    @property
    def width_sigma_mm(self) -> Array:
        """(N,) standard deviation of the width."""
        return self.states[:, WIDTH_SIGMA]

    @property
    def width_gsd_mm(self) -> Array:
        """(N,) ground sampling distance of the views that the width comes from."""
        return self.states[:, WIDTH_GSD]

    @property
    def width_views(self) -> Array:
        """(N,) number of these views."""
        return self.states[:, WIDTH_VIEWS]

    @property
    def shown(self) -> Array:
        """(N,) number of frames since the start that showed the vertex."""
        return self.states[:, SHOWN]

    def at(self, positions: Array) -> Vertices:
        """Values at fractional indices (M,), constant beyond the ends."""
        nearest = np.minimum(np.maximum(np.rint(positions), 0), len(self) - 1).astype(int)
        return Vertices(
            interpolated(self.geometry, positions),
            self.states[nearest],
            {source: Drift(drift.table[nearest]) for source, drift in self.drift.items()},
            {other: views[nearest] for other, views in self.parallel_views.items()},
        )

    def part(self, start: int, stop: int) -> Vertices:
        """Copy of the vertices from ``start`` to before ``stop``."""
        at = slice(start, stop)
        return Vertices(
            self.geometry[at].copy(),
            self.states[at].copy(),
            {source: Drift(drift.table[at].copy()) for source, drift in self.drift.items()},
            {other: views[at].copy() for other, views in self.parallel_views.items()},
        )

    def copy(self) -> Vertices:
        """The same vertices in arrays of their own."""
        return self.part(0, len(self))

    def joined(self, other: Vertices) -> Vertices:
        """These vertices followed by the other ones."""
        return Vertices(
            np.concatenate([self.geometry, other.geometry]),
            np.concatenate([self.states, other.states]),
            {
                source: Drift.joined([v.drift.get(source) or Drift.unknown(len(v)) for v in (self, other)])
                for source in {**self.drift, **other.drift}
            },
            {
                crack: np.concatenate([self.parallel_views_of(crack), other.parallel_views_of(crack)])
                for crack in {**self.parallel_views, **other.parallel_views}
            },
        )

    def parallel_views_of(self, crack: int) -> Array:
        """Number (N,) of frames that showed a line of that crack parallel to this one."""
        return self.parallel_views.get(crack, np.zeros(len(self)))

    def reversed(self) -> Vertices:
        """The same line from its other end."""
        return Vertices(
            self.geometry[::-1].copy(),
            self.states[::-1].copy(),
            {source: Drift(drift.table[::-1].copy()) for source, drift in self.drift.items()},
            {other: views[::-1].copy() for other, views in self.parallel_views.items()},
        )


def bounds_of(parts: Sequence[Vertices]) -> list[int]:
    """First row of each part in their concatenation, and the total number of rows."""
    bounds = [0]
    for part in parts:
        bounds.append(bounds[-1] + len(part.geometry))
    return bounds
