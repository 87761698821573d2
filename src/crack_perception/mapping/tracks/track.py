"""A crack of the map as the fusion works on it: everything it knows, vertex by vertex."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.association.view_lines import ViewLine
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.polylines import arc_lengths, even_positions, hairpins, interpolated, length_of
from crack_perception.mapping.tracks.drift_filter import Drift
from crack_perception.mapping.tracks.existence import ExistenceProbability

Array = npt.NDArray[np.float64]

ENOUGH_FRAMES = 4
"""Frames that must have shown two cracks before it counts that few showed them side by side."""
TWO_SHARE = 0.25
"""Two cracks are side by side in at least this share of the frames that show them."""
_KNOT_M = 0.1
_HAIRPIN_M = 0.1


@dataclass(eq=False)
class Vertices:
    """What is known at the N vertices of a line.

    Attributes:
        point_m: (N, 3) map frame.
        covariance_m2: (N, 3, 3) of the position.
        shape_weight: (N,) sum of 1 / GSD^2 of the views that the shape comes from.
        evidence: (N,) log-odds that there is a crack.
        judged_s: (N,) when the evidence was last added to, ``-inf`` if not since the start.
        width_mm, width_sigma_mm, width_gsd_mm, width_views: (N,) width, ``nan`` where unknown, and where it comes from.
        drift: By source.
        shown: (N,) frames since the start that showed it.
        parallel_views: By the id of another crack, how many of them (N,) showed a line of that one side by side.
    """

    point_m: Array
    covariance_m2: Array
    shape_weight: Array
    evidence: Array
    judged_s: Array
    width_mm: Array
    width_sigma_mm: Array
    width_gsd_mm: Array
    width_views: Array
    drift: dict[str, Drift]
    shown: Array
    parallel_views: dict[int, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.point_m)

    def at(self, positions: Array) -> Vertices:
        """The values at fractional indices (M,): constant beyond the ends, nearest where a mean has no meaning."""
        nearest = np.clip(np.rint(positions), 0, len(self) - 1).astype(int)

        def smooth(values: Array) -> Array:
            return interpolated(values, positions)

        def pick(values: Array) -> Array:
            return values[nearest]

        return Vertices(
            smooth(self.point_m),
            smooth(self.covariance_m2),
            smooth(self.shape_weight),
            pick(self.evidence),
            pick(self.judged_s),
            pick(self.width_mm),
            pick(self.width_sigma_mm),
            pick(self.width_gsd_mm),
            pick(self.width_views),
            {source: drift.map(pick) for source, drift in self.drift.items()},
            pick(self.shown),
            {other: pick(count) for other, count in self.parallel_views.items()},
        )

    def joined(self, other: Vertices) -> Vertices:
        """These vertices followed by the other ones."""

        def both(values: Callable[[Vertices], Array]) -> Array:
            return np.concatenate([values(self), values(other)])

        drift = {
            source: Drift.joined(
                [v.drift.get(source) or Drift.unknown(len(v)) for v in (self, other)],
            )
            for source in {**self.drift, **other.drift}
        }
        return Vertices(
            both(lambda v: v.point_m),
            both(lambda v: v.covariance_m2),
            both(lambda v: v.shape_weight),
            both(lambda v: v.evidence),
            both(lambda v: v.judged_s),
            both(lambda v: v.width_mm),
            both(lambda v: v.width_sigma_mm),
            both(lambda v: v.width_gsd_mm),
            both(lambda v: v.width_views),
            drift,
            both(lambda v: v.shown),
            {
                crack: np.concatenate([self.parallel_views_of(crack), other.parallel_views_of(crack)])
                for crack in {**self.parallel_views, **other.parallel_views}
            },
        )

    def parallel_views_of(self, crack: int) -> Array:
        """How many frames (N,) showed a line of that crack side by side."""
        return self.parallel_views.get(crack, np.zeros(len(self)))

    def reversed(self) -> Vertices:
        """The same line from its other end."""
        return self.at(np.arange(len(self))[::-1].astype(float))


@dataclass(eq=False)
class Track:
    """One crack of the map while it is being fused; the attributes are those of ``MappedCrack``."""

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
    """What ``mapped`` made of the track as it is now."""

    @property
    def length_m(self) -> float:
        """Length of the line."""
        return length_of(self.vertices.point_m)

    def see(self, line: ViewLine, weight: float) -> None:
        """Take note of a view's resolution, normal and probability of being a crack, which counts ``weight``."""
        self.existence.see(line.score, weight)
        if math.isfinite(line.gsd_mm):
            self.gsd_mm = min(line.gsd_mm, self.gsd_mm) if math.isfinite(self.gsd_mm) else line.gsd_mm
            coarsest = self.coarsest_gsd_mm
            self.coarsest_gsd_mm = max(line.gsd_mm, coarsest) if math.isfinite(coarsest) else line.gsd_mm
        normal = self.views * self.normal + line.normal
        self.normal = normal / math.sqrt(normal @ normal)

    def is_apart_from(self, other: Track) -> bool:
        """Whether frames have shown the two side by side: not just some of the many that showed this one."""
        frames = float(self.vertices.shown.mean())
        if frames < ENOUGH_FRAMES:
            return other.id in self.apart_from
        return float(self.vertices.parallel_views_of(other.id).mean()) > TWO_SHARE * frames

    def even_out(self, step_m: float) -> None:
        """Put the vertices back to even distances once they have come too near or too far from each other."""
        along = arc_lengths(self.vertices.point_m)
        steps = np.diff(along)
        if steps.max() > 1.8 * step_m or (steps.min() < 0.5 * step_m and len(steps) > 1):
            self.vertices = self.vertices.at(even_positions(along, step_m))

    def unfolded(self, step_m: float) -> list[Vertices]:
        """The parts of a line that turns back on itself, which cracks do not, longest first."""
        v = self.vertices
        turns = hairpins(v.point_m, max(2, round(_HAIRPIN_M / step_m)))
        if not len(turns):
            return [v]
        bounds = [0, *turns.tolist(), len(v) - 1]
        return sorted((v.at(np.arange(a, b + 1.0)) for a, b in pairwise(bounds)), key=len, reverse=True)

    def mapped(self, floor_m: float) -> MappedCrack:
        """The track as others see it, its covariance with a floor."""
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
    """The track of a stored crack; ``evidence`` stands in where the crack does not say its own."""
    count = len(crack.line_m)
    gsd_mm = crack.gsd_mm_per_px
    weight = gsd_mm**-2 * max(crack.views, 1) if gsd_mm > 0 else 1.0
    known = np.isfinite(crack.width_mm)
    knots = crack.covariance_knots_m2 if len(crack.covariance_knots_m2) else crack.covariance_m2[None]
    coarsest = crack.coarsest_gsd_mm_per_px

    def stored(values: Array, otherwise: float | Array) -> Array:
        usable = values.shape == (count,)
        return np.array(values if usable else np.broadcast_to(otherwise, count), dtype=np.float64)

    vertices = Vertices(
        point_m=np.array(crack.line_m, dtype=np.float64),
        covariance_m2=interpolated(knots, np.linspace(0, len(knots) - 1, count)),
        shape_weight=stored(crack.shape_weight, weight),
        evidence=stored(crack.evidence, evidence),
        judged_s=np.full(count, -np.inf),
        width_mm=np.array(crack.width_mm, dtype=np.float64),
        width_sigma_mm=np.array(crack.width_sigma_mm, dtype=np.float64),
        width_gsd_mm=stored(crack.width_gsd_mm_per_px, np.where(known, gsd_mm, np.nan)),
        width_views=stored(crack.width_views, known.astype(float)),
        drift={},
        shown=np.zeros(count),
    )
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
    """What is stored of it; a crack that does not say its own counts as seen once with its score."""
    if not (math.isfinite(crack.view_log_odds) and crack.score_views > 0.0):
        return ExistenceProbability.of(crack.score)
    return ExistenceProbability(crack.view_log_odds, crack.score_views, crack.shown_views, crack.missing_views)
