# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One survey as it is compared: the cracks that count, what a reviewer has rejected, and where images have been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.evidence.decisions import Review, Verdict
from crack_perception.mapping.footprint import Footprint
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.report.comparison.lines import LineSet

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# A crack this close to the border of an image may go on outside.
_BORDER_M = 0.03
_DEPTH_M = 0.3
_NEAR_CRACKS = 5

# Probability that a survey maps a crack, by its width in pixels of that survey: estimated from the recall of the map
# in simulated flights (docs/crack_map.md).
_SHOWN_WIDTH_PX = (0.5, 1.0, 1.5, 2.5)
_SHOWN_PROBABILITY = (0.02, 0.4, 0.95, 0.99)


@dataclass(frozen=True, eq=False)
class Survey:
    """The cracks of a map file that are compared with another one's.

    Attributes:
        cracks: Confirmed, new and accepted ones; neither rejected nor lost.
        rejected: What reviewers have rejected.
        reviews: State of the reviewed cracks, by id.
        footprints: Patches of surface that images have shown; none where the map holds none.
    """

    cracks: tuple[MappedCrack, ...]
    rejected: tuple[MappedCrack, ...]
    reviews: dict[int, Review]
    footprints: tuple[Footprint, ...]

    @property
    def lines(self) -> LineSet:
        """Lines of ``cracks``."""
        return LineSet([crack.line_m for crack in self.cracks], [crack.normal for crack in self.cracks])

    def is_confirmed(self, index: int) -> bool:
        """Whether a crack of ``cracks`` is reported on its own, apart from what it covers of the other survey's."""
        crack = self.cracks[index]
        return crack.state is CrackState.CONFIRMED or self._verdict(crack) is Verdict.ACCEPTED

    def _verdict(self, crack: MappedCrack) -> Verdict:
        return self.reviews.get(crack.id, Review()).verdict

    def shows(self, points_m: Array) -> Mask:
        """Which points (N, 3) images have shown, away from their borders; all of them where no image is known."""
        shown = np.zeros(len(points_m), np.bool_)
        if not self.footprints:
            return ~shown
        low, high = points_m.min(axis=0) - _DEPTH_M, points_m.max(axis=0) + _DEPTH_M
        for footprint in self.footprints:
            corners = footprint.corners_m
            if (corners.min(axis=0) <= high).all() and (corners.max(axis=0) >= low).all():
                shown |= footprint.shows(points_m, _BORDER_M, _DEPTH_M)
        return shown

    def gsd_mm_per_px_at(self, point_m: Array) -> float:
        """Ground sampling distance near a point (3,): of the cracks nearest to it; ``nan`` where none is known."""
        known = [crack for crack in self.cracks if np.isfinite(crack.gsd_mm_per_px)]
        if not known:
            return float("nan")
        middles = np.array([crack.line_m[len(crack.line_m) // 2] for crack in known])
        nearest = np.argsort(np.linalg.norm(middles - point_m, axis=1))[:_NEAR_CRACKS]
        return float(np.median([known[index].gsd_mm_per_px for index in nearest.tolist()]))

    def probability_to_show(self, width_mm: float, point_m: Array) -> float:
        """Probability that this survey would have mapped a crack of that width at a point inside its images."""
        gsd_mm = self.gsd_mm_per_px_at(point_m)
        if not (np.isfinite(width_mm) and np.isfinite(gsd_mm)):
            return _SHOWN_PROBABILITY[2]
        return float(np.interp(width_mm / gsd_mm, _SHOWN_WIDTH_PX, _SHOWN_PROBABILITY))

    def moved(self, points: Callable[[Array], Array], rotation: Array) -> Survey:
        """The survey in another frame; arguments as in ``MappedCrack.moved``."""
        outlines = (Footprint.of(points(footprint.corners_m)) for footprint in self.footprints)
        return Survey(
            tuple(crack.moved(points, rotation) for crack in self.cracks),
            tuple(crack.moved(points, rotation) for crack in self.rejected),
            self.reviews,
            tuple(outline for outline in outlines if outline is not None),
        )


def survey_of(
    cracks: tuple[MappedCrack, ...], reviews: dict[int, Review], inspected_areas_m: tuple[Array, ...]
) -> Survey:
    """The survey of cracks with merges and splits applied, the reviews of those that were reviewed, and the images."""
    verdicts = {crack.id: reviews.get(crack.id, Review()).verdict for crack in cracks}
    outlines = (Footprint.of(area_m) for area_m in inspected_areas_m)
    return Survey(
        cracks=tuple(
            crack
            for crack in cracks
            if verdicts[crack.id] is Verdict.ACCEPTED
            or (verdicts[crack.id] is Verdict.OPEN and crack.state is not CrackState.LOST)
        ),
        rejected=tuple(crack for crack in cracks if verdicts[crack.id] is Verdict.REJECTED),
        reviews=reviews,
        footprints=tuple(outline for outline in outlines if outline is not None),
    )
