# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The one set of facets of a map that plans, documents and the review page share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crack_perception.mapping.evidence.reviewed import ReviewedCrack
from crack_perception.mapping.export.plan.facets import Array, Facet, find_facets
from crack_perception.mapping.mapped_crack import MappedCrack


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The facets of a map, found from all its cracks as they were measured and its inspected areas.

    Rejected cracks are among them, so that the reviewers' decisions change neither facets nor their names.

    Attributes:
        facets: In walking order.
        facet_of: Crack id -> index of its facet.
    """

    facets: tuple[Facet, ...]
    facet_of: Mapping[int, int]

    @staticmethod
    def of(cracks: Sequence[MappedCrack], inspected_areas_m: Sequence[Array]) -> Surfaces:
        """The facets of all cracks of a map, as they were measured, and its inspected areas (M, 3)."""
        facets = tuple(find_facets(cracks, inspected_areas_m))
        return Surfaces(facets, {crack.id: index for index, facet in enumerate(facets) for crack in facet.cracks})

    def place(self, reviewed: ReviewedCrack) -> int | None:
        """Index of the facet that a crack is drawn on; None where it lies on none."""
        return next((self.facet_of[part] for part in reviewed.parts if part in self.facet_of), None)

    def of_reviewed(self, reviewed: Iterable[ReviewedCrack]) -> Surfaces:
        """The same facets, with the ids of reviewed cracks (merged ones, parts that were split off)."""
        places = ((each.id, self.place(each)) for each in reviewed)
        return Surfaces(self.facets, {crack_id: place for crack_id, place in places if place is not None})

    def cracks_on(self, cracks: Iterable[MappedCrack]) -> list[list[MappedCrack]]:
        """The cracks of each facet, in the order of ``facets``; those on no facet are left out."""
        found: list[list[MappedCrack]] = [[] for _ in self.facets]
        for crack in cracks:
            if crack.id in self.facet_of:
                found[self.facet_of[crack.id]].append(crack)
        return found
