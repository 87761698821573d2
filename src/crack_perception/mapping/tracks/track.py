# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A crack of the map while it is tracked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.polylines import arc_lengths, even_positions, hairpins, interpolated, length_of
from crack_perception.mapping.tracks.existence import ExistenceProbability
from crack_perception.mapping.tracks.vertices import Vertices

Array = npt.NDArray[np.float64]

ENOUGH_FRAMES = 4
"""Frames that must have shown two cracks before the share that showed them parallel is used."""
TWO_SHARE = 0.25
"""Two cracks are parallel in at least this share of the frames that show them."""
_KNOT_M = 0.1
_HAIRPIN_M = 0.1


@dataclass(eq=False)
class Track:
    """One crack of the map while it is tracked; the attributes are those of ``MappedCrack``."""

    id: int
    state: CrackState
    vertices: Vertices
    normal: Array
    existence: ExistenceProbability
    gsd_mm: float
    coarsest_gsd_mm: float
    views: int
    misses: int
    first_seen_ns: int
    last_seen_ns: int
    apart_from: set[int] = field(default_factory=set)
    snapshot: MappedCrack | None = None
    """Result of ``mapped`` for the present state; None after a change."""

    @property
    def length_m(self) -> float:
        """Length of the line."""
        return length_of(self.vertices.point_m)

    def add_view(self, lines: Sequence[ViewLine], vertices: Vertices, independence: float, stamp_ns: int) -> None:
        """Update with a frame that shows the crack.

        Args:
            lines: The frame's lines that show it.
            vertices: Its vertices after the update.
            independence: Share of an independent view that the frame counts for.
            stamp_ns: Of the frame.
        """
        self.vertices = vertices
        for line in lines:
            self.existence.add_view(line.score, independence)
            if math.isfinite(line.gsd_mm):
                self.gsd_mm = min(line.gsd_mm, self.gsd_mm) if math.isfinite(self.gsd_mm) else line.gsd_mm
                coarsest = self.coarsest_gsd_mm
                self.coarsest_gsd_mm = max(line.gsd_mm, coarsest) if math.isfinite(coarsest) else line.gsd_mm
            normal = self.views * self.normal + line.normal
            self.normal = normal / math.sqrt(normal @ normal)
        self.views += 1
        self.misses = 0
        self.first_seen_ns = min(self.first_seen_ns, stamp_ns)
        self.last_seen_ns = max(self.last_seen_ns, stamp_ns)
        self.snapshot = None

    def set_vertices(self, vertices: Vertices, step_m: float) -> None:
        """Replace the line, with vertices at even distances of about ``step_m``."""
        self.vertices = vertices
        self.even_out(step_m)
        self.snapshot = None

    def is_apart_from(self, other: Track) -> bool:
        """Return whether frames have shown the two parallel: more than a few of those that showed this one."""
        frames = float(self.vertices.shown.mean())
        if frames < ENOUGH_FRAMES:
            return other.id in self.apart_from
        return float(self.vertices.parallel_views_of(other.id).mean()) > TWO_SHARE * frames

    def even_out(self, step_m: float) -> None:
        """Resample the line if vertices are too close to or too far from each other."""
        along = arc_lengths(self.vertices.point_m)
        steps = np.diff(along)
        if steps.max() > 1.8 * step_m or (steps.min() < 0.5 * step_m and len(steps) > 1):
            self.vertices = self.vertices.at(even_positions(along, step_m))

    def unfolded(self, step_m: float) -> list[Vertices]:
        """Parts of a line that turns back on itself, longest first; one part where it does not."""
        v = self.vertices
        turns = hairpins(v.point_m, max(2, round(_HAIRPIN_M / step_m)))
        if not len(turns):
            return [v]
        bounds = [0, *turns.tolist(), len(v) - 1]
        return sorted((v.part(a, b + 1) for a, b in pairwise(bounds)), key=len, reverse=True)

    def mapped(self, floor_m: float) -> MappedCrack:
        """Return the crack as the map reports it, its standard deviations at least ``floor_m``."""
        if self.snapshot is None:
            v = self.vertices
            knots = np.linspace(0, len(v) - 1, max(2, round(self.length_m / _KNOT_M) + 1))
            self.snapshot = MappedCrack(
                id=self.id,
                state=self.state,
                line_m=v.point_m.copy(),
                width_mm=v.width_mm.copy(),
                width_sigma_mm=v.width_sigma_mm.copy(),
                normal=self.normal.copy(),
                covariance_m2=v.covariance_m2.mean(axis=0) + floor_m**2 * np.eye(3),
                score=self.existence.score,
                gsd_mm_per_px=self.gsd_mm,
                views=self.views,
                misses=self.misses,
                first_seen_ns=self.first_seen_ns,
                last_seen_ns=self.last_seen_ns,
                covariance_knots_m2=interpolated(v.covariance_m2, knots),
                evidence=v.evidence.copy(),
                shape_weight=v.shape_weight.copy(),
                width_gsd_mm_per_px=v.width_gsd_mm.copy(),
                width_views=v.width_views.copy(),
                coarsest_gsd_mm_per_px=self.coarsest_gsd_mm,
                view_log_odds=self.existence.log_odds,
                score_views=self.existence.views,
                shown_views=self.existence.shown,
                missing_views=self.existence.missing,
                apart_from=np.array(sorted(self.apart_from), np.int64),
            )
        return self.snapshot


def track_of(crack: MappedCrack, evidence: float) -> Track:
    """The track of a stored crack; ``evidence`` is used where the crack has none of its own."""
    count = len(crack.line_m)
    gsd_mm = crack.gsd_mm_per_px
    weight = gsd_mm**-2 * max(crack.views, 1) if gsd_mm > 0 else 1.0
    known = np.isfinite(crack.width_mm)
    knots = crack.covariance_knots_m2 if len(crack.covariance_knots_m2) else crack.covariance_m2[None]
    coarsest = crack.coarsest_gsd_mm_per_px

    def stored(values: Array, otherwise: float | Array) -> Array:
        usable = values.shape == (count,)
        return np.array(values if usable else np.broadcast_to(otherwise, count), dtype=np.float64)

    vertices = Vertices.new(
        np.array(crack.line_m, dtype=np.float64),
        interpolated(knots, np.linspace(0, len(knots) - 1, count)),
        stored(crack.shape_weight, weight),
        {},
    )
    vertices.evidence[:] = stored(crack.evidence, evidence)
    vertices.width_mm[:], vertices.width_sigma_mm[:] = crack.width_mm, crack.width_sigma_mm
    vertices.width_gsd_mm[:] = stored(crack.width_gsd_mm_per_px, np.where(known, gsd_mm, np.nan))
    vertices.width_views[:] = stored(crack.width_views, known.astype(float))
    return Track(
        id=crack.id,
        state=crack.state,
        vertices=vertices,
        normal=np.array(crack.normal, dtype=np.float64),
        existence=_existence_of(crack),
        gsd_mm=gsd_mm,
        coarsest_gsd_mm=coarsest if np.isfinite(coarsest) else gsd_mm,
        views=crack.views,
        misses=crack.misses,
        first_seen_ns=crack.first_seen_ns,
        last_seen_ns=crack.last_seen_ns,
        apart_from=set(crack.apart_from.tolist()),
    )


def _existence_of(crack: MappedCrack) -> ExistenceProbability:
    """The stored values; a crack without them counts as seen once with its score."""
    if not (math.isfinite(crack.view_log_odds) and crack.score_views > 0.0):
        return ExistenceProbability.of(crack.score)
    return ExistenceProbability(crack.view_log_odds, crack.score_views, crack.shown_views, crack.missing_views)
