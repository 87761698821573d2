# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Figures and sentences of a survey that documents and tables share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from crack_perception.mapping.coverage.resolution import RELIABLE_WIDTH_PX
from crack_perception.mapping.evidence.decisions import Verdict
from crack_perception.mapping.export.crack_report import iso_time
from crack_perception.mapping.export.plan.facet_drawing import direction_words
from crack_perception.recognition.severity import PRESETS_MM, UNDETERMINED, SeverityScale
from crack_perception.report.attributes import Column, Value
from crack_perception.report.contents import (
    ReportedCrack,
    Survey,
    gsd_range_mm_per_px,
    totals,
)
from crack_perception.report.coverage import CoveredArea, area_by_class, class_range_mm, class_words
from crack_perception.report.georeference import Georeference

SEVERITY_COLUMNS = (
    Column("severity", str),
    Column("cracks", int),
    Column("length_m", float, 2),
    Column("max_width_mm", float, 2),
)
FACET_COLUMNS = (
    Column("facet", str),
    Column("description", str),
    Column("cracks", int),
    Column("length_m", float, 2),
    Column("max_width_mm", float, 2),
    Column("inspected_area_m2", float, 2),
    Column("length_per_area_m_per_m2", float, 3),
    Column("finest_gsd_mm_per_px", float, 2),
    Column("coarsest_gsd_mm_per_px", float, 2),
)

COVERAGE_COLUMNS = (
    Column("facet", str),
    Column("resolvable_from_mm", float, 2),
    Column("resolvable_to_mm", float, 2),
    Column("resolution", str),
    Column("area_m2", float, 2),
)


def summary_lines(survey: Survey, georeference: Georeference) -> list[tuple[str, str]]:
    """Names and values of the survey's main figures, for readers."""
    cracks = survey.cracks
    all_of_them = totals([crack for crack in cracks if not crack.is_lost])
    area_m2 = survey.inspected_area_m2
    lines = [
        ("Owner", survey.notes.owner),
        ("Survey", survey_period(survey)),
        ("Cracks", crack_count_words(survey)),
        ("Review", review_words(survey)),
        ("Total length", f"{all_of_them.length_m:.2f} m"),
        ("Greatest width", width_words(all_of_them.max_width_mm)),
        ("Inspected area", "not recorded" if area_m2 is None else f"{area_m2:.1f} m²"),
        ("Crack length per area", "" if not area_m2 else f"{all_of_them.length_m / area_m2:.3f} m/m²"),
        ("Finest resolvable width", resolution_words(survey)),
        ("Severity classes", scale_words(survey.scale)),
        ("Photographs", photograph_words(survey)),
        ("Models", ", ".join(model_names(survey))),
        ("Coordinates", georeference.statement),
        ("Map file", survey.map_path.name),
    ]
    return [(name, value) for name, value in lines if value]


def severity_rows(survey: Survey) -> Iterator[tuple[Value, ...]]:
    """Number, length and greatest width of the existing cracks of each class."""
    for verdict in survey.classes:
        group = totals([crack for crack in survey.cracks if crack.severity == verdict and not crack.is_lost])
        if group.count or verdict != UNDETERMINED:
            yield verdict, group.count, group.length_m, group.max_width_mm


def facet_rows(survey: Survey) -> Iterator[tuple[Value, ...]]:
    """Figures of each facet."""
    for letter, facet in survey.shown_facets.items():
        members = cracks_of(survey, letter)
        group = totals([crack for crack in members if not crack.is_lost])
        area_m2 = survey.areas_m2.get(letter)
        gsd = gsd_range_mm_per_px(members) or (None, None)
        density = group.length_m / area_m2 if area_m2 else None
        words = direction_words(facet, survey.notes.x_heading_deg)
        yield letter, words, group.count, group.length_m, group.max_width_mm, area_m2, density, *gsd


def coverage_rows(survey: Survey) -> Iterator[tuple[Value, ...]]:
    """Rows of ``COVERAGE_COLUMNS``: inspected area of each facet by the finest width that its images resolve."""
    for letter, by_class in area_by_class(survey.covered_areas).items():
        for label, area_m2 in enumerate(by_class):
            if area_m2 > 0.0:
                yield letter, *class_range_mm(label), class_words(label), area_m2


def coverage_values(area: CoveredArea) -> tuple[Value, ...]:
    """Values of ``COVERAGE_COLUMNS`` of one area."""
    return area.facet, *class_range_mm(area.label), class_words(area.label), area.area_m2


def cracks_of(survey: Survey, letter: str) -> list[ReportedCrack]:
    """The cracks on a facet, in the survey's order."""
    return [crack for crack in survey.cracks if crack.facet == letter]


def survey_period(survey: Survey) -> str:
    """First and last day (UTC) on which cracks were seen."""
    if not survey.cracks:
        return ""
    first = iso_time(min(crack.crack.first_seen_ns for crack in survey.cracks))[:10]
    last = iso_time(max(crack.crack.last_seen_ns for crack in survey.cracks))[:10]
    return first if first == last else f"{first} to {last}"


def crack_count_words(survey: Survey) -> str:
    """How many cracks there are in which state."""
    states = Counter(crack.summary.state.value for crack in survey.cracks)
    words = ", ".join(f"{states[name]} {name}" for name in ("confirmed", "new", "lost") if states[name])
    return f"{len(survey.cracks)} ({words})" if words else "none"


def review_words(survey: Survey) -> str:
    """How many cracks a person has accepted or rejected."""
    verdicts = Counter(crack.verdict for crack in survey.cracks)
    if not survey.decisions:
        return "not reviewed by a person"
    left_out = f"{survey.rejected} rejected and left out of this report"
    return f"{verdicts[Verdict.ACCEPTED]} accepted, {verdicts[Verdict.OPEN]} open, {left_out}"


def photograph_words(survey: Survey) -> str:
    """How many photographs there are, and how many are missing."""
    count = len({photograph.file for _, photograph in survey.photographs()})
    missing = f"; {survey.missing_photographs} more are recorded, but their files are missing"
    return f"{count}{missing if survey.missing_photographs else ''}"


def width_words(width_mm: float | None) -> str:
    """A width for readers."""
    return "unknown" if width_mm is None else f"{width_mm:.2f} mm"


def resolution_words(survey: Survey) -> str:
    """Width from which cracks are found reliably, by the ground sampling distances of the survey."""
    known = gsd_range_mm_per_px(survey.cracks)
    if known is None:
        return "unknown (no ground sampling distance recorded)"
    low_mm, high_mm = (RELIABLE_WIDTH_PX * gsd for gsd in known)
    if high_mm - low_mm < 0.005:
        return f"{low_mm:.2f} mm"
    return f"{low_mm:.2f} mm at the closest views, {high_mm:.2f} mm at the farthest"


def scale_words(scale: SeverityScale) -> str:
    """The severity classes: preset, class edges and confidence."""
    names = [name for name, edges in PRESETS_MM.items() if edges == scale.edges_mm]
    edges = ", ".join(f"{edge:g}" for edge in scale.edges_mm)
    preset = f"{PRESET_TITLES.get(names[0], names[0])}: " if names else ""
    plural = "edges" if len(scale.edges_mm) > 1 else "edge"
    return f"{preset}class {plural} at {edges} mm mean width, assigned at {100 * scale.confidence:g} % confidence"


PRESET_TITLES = {
    "gb50204": "GB 50204-2015",
    "fine": "Fine classes",
    "aci224r": "ACI 224R-01, table 4.1",
    "ec2": "EN 1992-1-1, table 7.1N",
    "aashto": "AASHTO bridge element inspection",
}
"""Standard of each severity preset."""


def model_names(survey: Survey) -> list[str]:
    """Name and shortened hash of the models that took the photographs."""
    models = {(photograph.model, photograph.model_sha256) for _, photograph in survey.photographs()}
    return [f"{name} (SHA-256 {sha256[:16]}…)" if sha256 else name for name, sha256 in sorted(models)]
