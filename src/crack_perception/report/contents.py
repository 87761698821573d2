# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Contents of all deliverables: the cracks of a map as reviewed, with facets, photographs and figures."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.coverage.resolution import RELIABLE_WIDTH_PX
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage
from crack_perception.mapping.evidence.decisions import Decision, Review, Verdict
from crack_perception.mapping.evidence.photograph import Photograph, photograph_folder
from crack_perception.mapping.evidence.reviewed import ReviewedCrack, reviewed_cracks, without_rejected
from crack_perception.mapping.export.crack_report import CrackReport, crack_reports
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.mapping.export.plan.surfaces import Surfaces
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.recognition.severity import UNDETERMINED, Severity, SeverityScale
from crack_perception.report.comparison.alignment import Prior
from crack_perception.report.comparison.files import ComparedMaps, compare_maps
from crack_perception.report.coverage import CoveredArea, covered_areas
from crack_perception.report.elements import FacetElement
from crack_perception.report.orthophoto.index import FacetOrthophoto, orthophoto_folder, read_index
from crack_perception.report.quantities import Quantities, quantities

Array = npt.NDArray[np.float64]

_MOST_LETTERS = 2000
_OUTLINE_M = 0.01


@dataclass(frozen=True)
class Notes:
    """What the user adds to a map.

    Attributes:
        title: Of the documents, for example the structure's name.
        owner: Of the structure, or "".
        map_frame: Name of the frame of the map's coordinates.
        x_heading_deg: Direction of the map's x axis, clockwise from north; None where unknown.
    """

    title: str = "Crack survey"
    owner: str = ""
    map_frame: str = "map"
    x_heading_deg: float | None = None


@dataclass(frozen=True, eq=False)
class ReportedCrack:
    """A crack that the documents show.

    Attributes:
        reviewed: Line and widths, merged or cut as reviewed, with its photographs; name and comments as one line each.
        summary: Its figures; ``severity.verdict`` is the reviewer's class where there is one.
        measured_severity: Class by the measured mean width.
        facet: Letter of the facet it lies on, or "".
    """

    reviewed: ReviewedCrack
    summary: CrackReport
    measured_severity: str
    facet: str

    @property
    def crack(self) -> MappedCrack:
        """Its line and widths."""
        return self.reviewed.crack

    @property
    def review(self) -> Review:
        """The reviewer's verdict, name and comments."""
        return self.reviewed.review

    @property
    def photographs(self) -> tuple[Photograph, ...]:
        """Photographs, the best first."""
        return self.reviewed.photographs

    @property
    def parts(self) -> tuple[int, ...]:
        """Ids of the map's cracks that it consists of."""
        return self.reviewed.parts

    @property
    def id(self) -> int:
        """Id of the crack."""
        return self.crack.id

    @property
    def verdict(self) -> Verdict:
        """The reviewer's verdict."""
        return self.review.verdict

    @property
    def name(self) -> str:
        """The reviewer's name of the crack, or ""."""
        return self.review.name

    @property
    def title(self) -> str:
        """The crack's id, and its name where it has one."""
        return f"{self.id} · {self.name}" if self.name else f"{self.id}"

    @property
    def severity(self) -> str:
        """The reviewer's severity class, or the measured one."""
        return self.summary.severity.verdict

    @property
    def is_overridden(self) -> bool:
        """Whether a reviewer replaced the measured severity class."""
        return self.severity != self.measured_severity

    @property
    def is_lost(self) -> bool:
        """Whether later frames did not show it where it was."""
        return self.crack.state is CrackState.LOST

    @property
    def reliable_width_mm(self) -> float | None:
        """Width from which cracks were found reliably at the best distance to this one; None where unknown."""
        gsd = self.summary.gsd_mm_per_px
        return None if gsd is None else RELIABLE_WIDTH_PX * gsd


@dataclass(frozen=True, eq=False)
class Survey:
    """Contents of a map for its documents.

    Attributes:
        notes: The user's.
        map_path: The map file.
        scale: Severity classes.
        cracks: By urgency: existing before lost ones, then by greatest width and length.
        rejected: Number of cracks that a reviewer rejected; they are in no document.
        facets: Flat parts of the structure by their letter; rejected cracks have facets too, so that letters stay.
        inspected_areas_m: Polygons (M, 3), map frame.
        decisions: Of reviewers.
        missing_photographs: Number of photographs whose files are not in the map's folder.
        coverage: Finest resolution of each surface.
        orthophotos: That lie beside the map.
        changes: Against an earlier survey; None without one.
        elements: Structural elements for the quantities; without any, every facet is one.
    """

    notes: Notes
    map_path: Path
    scale: SeverityScale
    cracks: tuple[ReportedCrack, ...]
    rejected: int
    facets: dict[str, Facet]
    inspected_areas_m: tuple[Array, ...]
    decisions: tuple[Decision, ...] = ()
    missing_photographs: int = 0
    coverage: tuple[SurfaceCoverage, ...] = ()

    @cached_property
    def covered_areas(self) -> tuple[CoveredArea, ...]:
        """Inspected areas by the finest crack width that their images resolve."""
        return tuple(covered_areas(self.coverage, self.facets))

    orthophotos: tuple[FacetOrthophoto, ...] = ()
    changes: ComparedMaps | None = None
    elements: tuple[FacetElement, ...] = ()

    @cached_property
    def areas_m2(self) -> dict[str, float]:
        """Inspected area of each facet by its letter, overlaps counted once; without those of unknown area."""
        return {letter: inspected_area_m2(facet) for letter, facet in self.facets.items() if facet.seen_m}

    @cached_property
    def quantities(self) -> Quantities:
        """Quantities by facet and condition state."""
        index = {letter: place for place, letter in enumerate(self.facets)}
        return quantities(
            [crack.crack for crack in self.cracks],
            {crack.id: crack.review for crack in self.cracks},
            self.inspected_areas_m,
            self.scale,
            self.elements,
            Surfaces(
                tuple(self.facets.values()), {crack.id: index[crack.facet] for crack in self.cracks if crack.facet}
            ),
        )

    @property
    def shown_facets(self) -> dict[str, Facet]:
        """Facets that documents show: those with a reported crack or an inspected area."""
        with_cracks = {crack.facet for crack in self.cracks}
        return {letter: facet for letter, facet in self.facets.items() if letter in with_cracks or facet.seen_m}

    @property
    def inspected_area_m2(self) -> float | None:
        """Inspected area of the whole structure; None where the map holds none."""
        return sum(self.areas_m2.values()) if self.areas_m2 else None

    @property
    def photograph_folder(self) -> Path:
        """Folder of the photographs' files."""
        return photograph_folder(self.map_path)

    @property
    def classes(self) -> tuple[str, ...]:
        """Severity classes, slightest first, then ``undetermined``."""
        return (*self.scale.labels, UNDETERMINED)

    def photographs(self) -> Iterator[tuple[ReportedCrack, Photograph]]:
        """Every photograph with the crack that it shows; of two cracks in one file, both."""
        for crack in self.cracks:
            for photograph in crack.photographs:
                yield crack, photograph


def read_survey(path: Path, scale: SeverityScale, notes: Notes, earlier: Path | None = None) -> Survey:
    """Read a map file and apply its reviewers' decisions.

    Args:
        earlier: Map file of an earlier survey to compare it with.

    Raises:
        UserError: No such file, no crack map, or a damaged one; or a damaged index of orthophotos; or the
            earlier map cannot be compared.
    """
    snapshot = read_snapshot(path)
    files = _files_in(photograph_folder(path))
    photographs = [photograph for photograph in snapshot.photographs if photograph.file in files]
    reviewed = reviewed_cracks(snapshot.cracks, photographs, snapshot.decisions)
    shown = without_rejected(reviewed)
    surfaces = Surfaces.of(snapshot.cracks, snapshot.inspected_areas_m).of_reviewed(shown)
    summaries = crack_reports([each.crack for each in shown], scale)
    cracks = [
        _reported(each, summary, scale, _letter(surfaces, each.id))
        for each, summary in zip(shown, summaries, strict=True)
    ]
    return Survey(
        notes=replace(notes, title=clean(notes.title), owner=clean(notes.owner), map_frame=clean(notes.map_frame)),
        map_path=path,
        scale=scale,
        cracks=tuple(sorted(cracks, key=_urgency)),
        rejected=len(reviewed) - len(shown),
        facets={facet.name: facet for facet in surfaces.facets},
        inspected_areas_m=snapshot.inspected_areas_m,
        decisions=snapshot.decisions,
        missing_photographs=len(snapshot.photographs) - len(photographs),
        coverage=snapshot.coverage,
        orthophotos=tuple(read_index(orthophoto_folder(path))),
        changes=None if earlier is None else compare_maps(earlier, path, Prior()),
    )


def _files_in(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()


def clean(text: str) -> str:
    """A person's text as one line that every file format can hold: no control characters, no lone surrogates."""
    shown = "".join(" " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter for letter in text)
    shown = "".join(letter for letter in shown if ord(letter) & 0xFFFE != 0xFFFE)
    shown = " ".join(shown.split())
    return shown if len(shown) <= _MOST_LETTERS else f"{shown[: _MOST_LETTERS - 1]}…"


def _reported(each: ReviewedCrack, summary: CrackReport, scale: SeverityScale, facet: str) -> ReportedCrack:
    measured = summary.severity.verdict
    severity = Severity(each.severity(measured, scale), summary.severity.probabilities)
    comments = tuple(
        replace(comment, author=clean(comment.author), value={"text": clean(str(comment.value.get("text", "")))})
        for comment in each.review.comments
    )
    return ReportedCrack(
        reviewed=replace(each, review=replace(each.review, name=clean(each.review.name), comments=comments)),
        summary=replace(summary, severity=severity),
        measured_severity=measured,
        facet=facet,
    )


def _letter(surfaces: Surfaces, crack_id: int) -> str:
    return surfaces.facets[surfaces.facet_of[crack_id]].name if crack_id in surfaces.facet_of else ""


def _urgency(crack: ReportedCrack) -> tuple[bool, float, float, int]:
    return crack.is_lost, -(crack.summary.max_width_mm or 0.0), -crack.summary.length_m, crack.id


@dataclass(frozen=True)
class Totals:
    """Figures of a group of cracks.

    Attributes:
        count: Of the cracks.
        length_m: Of all together.
        max_width_mm: Greatest width; None where none is known.
    """

    count: int
    length_m: float
    max_width_mm: float | None


def totals(cracks: Sequence[ReportedCrack]) -> Totals:
    """Number, length and greatest width of cracks."""
    widths_mm = [crack.summary.max_width_mm for crack in cracks if crack.summary.max_width_mm is not None]
    length_m = math.fsum(crack.summary.length_m for crack in cracks)
    return Totals(len(cracks), length_m, max(widths_mm, default=None))


def inspected_area_m2(facet: Facet) -> float:
    """Area of the union of a facet's inspected areas."""
    return float(_inspected_union(facet).area)


def inspected_outlines_m(facet: Facet) -> list[tuple[Array, bool]]:
    """Rings (N, 2) around the union of a facet's inspected areas, in its coordinates, and whether each is a hole."""
    if not facet.seen_m:
        return []
    union = _inspected_union(facet).simplify(_OUTLINE_M)
    polygons = [part for part in getattr(union, "geoms", [union]) if part.geom_type == "Polygon"]
    outer = [(polygon.exterior, False) for polygon in sorted(polygons, key=lambda polygon: -polygon.area)]
    holes = [(ring, True) for polygon in polygons for ring in polygon.interiors]
    rings = [(np.asarray(ring.coords)[:-1, :2], is_hole) for ring, is_hole in (*outer, *holes)]
    return [(ring, is_hole) for ring, is_hole in rings if len(ring) >= 3]


def _inspected_union(facet: Facet) -> Any:
    from shapely import make_valid, polygons, union_all

    return union_all([make_valid(polygons(area_m)) for area_m in facet.seen_m])


def gsd_range_mm_per_px(cracks: Sequence[ReportedCrack]) -> tuple[float, float] | None:
    """Finest and coarsest of the best ground sampling distances of cracks; None where none is known."""
    known = [crack.summary.gsd_mm_per_px for crack in cracks if crack.summary.gsd_mm_per_px is not None]
    return (min(known), max(known)) if known else None
