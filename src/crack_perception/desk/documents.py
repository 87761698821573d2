# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Contents of the page as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.desk.history import history
from crack_perception.mapping.coverage.surface_grid import SurfaceCoverage
from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.evidence.reviewed import ReviewedCrack
from crack_perception.mapping.export.crack_report import crack_report, iso_time
from crack_perception.mapping.export.plan.facet_drawing import direction_words
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.mapping.export.plan.layout import Box, PlacedFacet
from crack_perception.mapping.export.plan.surfaces import Surfaces
from crack_perception.mapping.export.plan.symbols import class_texts, typeset
from crack_perception.mapping.polylines import arc_lengths
from crack_perception.recognition.severity import UNDETERMINED, SeverityScale
from crack_perception.report import coverage as resolution
from crack_perception.vision.annotate import severity_colour

Array = npt.NDArray[np.float64]
Plain = Any
"""A value that JSON can contain."""

_AXES = ("x", "y", "z")
_ALONG_AXIS = math.cos(math.radians(1))
# Lines on the plan may stray from the measured ones by this much.
_PLAN_TOLERANCE_M = 0.002
_AREA_TOLERANCE_M = 0.01
_BORDER_M = 0.3


def facet_document(facet: Facet) -> dict[str, Plain]:
    """Name, words, size, axes and inspected areas of a facet."""
    low, high = facet.bounds_m()
    low, high = low - _BORDER_M, high + _BORDER_M
    name = facet.name
    placed = PlacedFacet(name, facet, Box(0.0, 0.0, float(high[0] - low[0]), float(high[1] - low[1])), low, high, 1.0)
    return {
        "name": name,
        "words": typeset(direction_words(placed.facet, None)),
        "low": _rounded(low),
        "high": _rounded(high),
        "axes": [_axis(facet.u_axis, "along"), _axis(facet.v_axis, "z" if facet.is_wall else "across")],
        "seen": [_rounded(_simplified(area_m, _AREA_TOLERANCE_M, closed=True)) for area_m in facet.seen_m],
    }


def coverage_documents(
    coverage: Sequence[SurfaceCoverage], facets: Sequence[Facet]
) -> dict[str, list[dict[str, Plain]]]:
    """Inspected areas of each facet by its name: class of finest resolvable width, and corners on the facet."""
    by_name = {facet.name: facet for facet in facets}
    found: dict[str, list[dict[str, Plain]]] = {name: [] for name in by_name}
    for area in resolution.covered_areas(coverage, by_name):
        if area.facet:
            corners = by_name[area.facet].flat(area.corners_m)
            found[area.facet].append({"label": area.label, "corners": _rounded(corners, 3)})
    return found


def coverage_classes_document() -> list[dict[str, Plain]]:
    """Words and colour of each class of finest resolvable width, the finest first."""
    return [
        {"words": resolution.missed_words(label), "colour": "#{:02x}{:02x}{:02x}".format(*colour)}
        for label, colour in enumerate(resolution.COLOURS)
    ]


def severity_document(scale: SeverityScale) -> list[dict[str, Plain]]:
    """The severity classes, slightest first, and ``undetermined``, with their colours as in annotated pictures."""
    names = (*scale.labels, UNDETERMINED)
    texts = (*map(typeset, class_texts(scale)), UNDETERMINED)
    colours = [severity_colour(scale.relative_severity(name)) for name in names]
    return [
        {"name": name, "text": text, "colour": f"#{red:02x}{green:02x}{blue:02x}"}
        for name, text, (blue, green, red) in zip(names, texts, colours, strict=True)
    ]


def crack_document(reviewed: ReviewedCrack, surfaces: Surfaces, scale: SeverityScale) -> dict[str, Plain]:
    """A crack as the list and the plan show it."""
    crack, review = reviewed.crack, reviewed.review
    report = crack_report(crack, scale)
    facet = surfaces.place(reviewed)
    line: Plain = []
    if facet is not None:
        line = _rounded(_simplified(surfaces.facets[facet].flat(crack.line_m), _PLAN_TOLERANCE_M))
    return {
        "id": crack.id,
        "name": review.name,
        "verdict": review.verdict.value,
        "severity": reviewed.severity(report.severity.verdict, scale),
        "measured": report.severity.verdict,
        "chosen": review.severity,
        "state": crack.state.value,
        "length_m": _number(report.length_m, 4),
        "width_mm": _number(report.mean_width_mm, 4),
        "sigma_mm": _number(report.mean_width_sigma_mm, 4),
        "max_mm": _number(report.max_width_mm, 4),
        "score": _number(report.score, 4),
        "views": report.views,
        "last_seen": report.last_seen,
        "facet": facet,
        "line": line,
        "parts": list(reviewed.parts),
        "photographs": len(reviewed.photographs),
        "comments": len(review.comments),
        "structural_review": review.structural_review,
        "merged_into": review.merged_into,
    }


def detail_document(
    reviewed: ReviewedCrack, surfaces: Surfaces, scale: SeverityScale, decisions: Sequence[Decision]
) -> dict[str, Plain]:
    """Everything about one crack: widths along it, photographs, facts and history."""
    crack = reviewed.crack
    report = crack_report(crack, scale)
    facet = surfaces.place(reviewed)
    related = {crack.id, *reviewed.parts, *_split_offs(crack.id, decisions)}
    return {
        **crack_document(reviewed, surfaces, scale),
        "along_m": _rounded(arc_lengths(crack.line_m)),
        "widths_mm": _numbers(crack.width_mm),
        "sigmas_mm": _numbers(crack.width_sigma_mm),
        "whole_line": [] if facet is None else _rounded(surfaces.facets[facet].flat(crack.line_m)),
        "start_m": _rounded(crack.line_m[0]),
        "end_m": _rounded(crack.line_m[-1]),
        "probabilities": [round(each, 4) for each in report.severity.probabilities],
        "position_sigma_m": _number(report.position_sigma_m, 4),
        "gsd_mm_per_px": _number(report.gsd_mm_per_px, 4),
        "misses": report.misses,
        "first_seen": report.first_seen,
        "photograph_list": [photograph_document(each) for each in reviewed.photographs],
        "comment_list": [
            {"author": each.author, "time": _time(each), "text": str(each.value["text"]), "decision": each.id}
            for each in reviewed.review.comments
        ],
        "history": [
            {
                "decision": entry.decision.id,
                "author": entry.decision.author,
                "time": _time(entry.decision),
                "words": entry.words,
                "counts": entry.counts,
            }
            for entry in history(decisions, related)
        ],
    }


def photograph_document(photograph: Photograph) -> dict[str, Plain]:
    """A photograph's record for readers, and its lines."""
    return {
        "file": photograph.file,
        "crack_id": photograph.crack_id,
        "time": iso_time(photograph.stamp_ns) if 0 <= photograph.stamp_ns < 2**63 else "",
        "source": photograph.source,
        "model": photograph.model,
        "size_px": list(photograph.size_px),
        "gsd_mm_per_px": _number(photograph.gsd_mm_per_px, 4),
        "obliquity_deg": _number(photograph.obliquity_deg, 1),
        "sharpness": _number(photograph.sharpness, 3),
        "completeness": _number(photograph.completeness, 3),
        "score": _number(photograph.score, 3),
        "lines": [
            {
                "points_px": _rounded(line.points_px[np.isfinite(line.points_px).all(axis=1)], 1),
                "widths_mm": _numbers(line.width_mm[np.isfinite(line.points_px).all(axis=1)]),
            }
            for line in photograph.lines
        ],
    }


def _split_offs(crack_id: int, decisions: Sequence[Decision]) -> set[int]:
    """The crack that a split-off part came from."""
    return {
        decision.crack_id
        for decision in decisions
        if decision.action is Action.SPLIT and decision.value["new_id"] == crack_id
    }


def _time(decision: Decision) -> str:
    return datetime.fromtimestamp(decision.time_ns // 1_000_000_000, timezone.utc).isoformat().replace("+00:00", "Z")


def _axis(axis: Array, other: str) -> dict[str, Plain]:
    """The map axis that this is, and its sign; else another name."""
    index = int(np.abs(axis).argmax())
    if abs(axis[index]) > _ALONG_AXIS:
        return {"name": _AXES[index], "sign": 1 if axis[index] > 0 else -1}
    return {"name": other, "sign": 1}


def _simplified(points: Array, tolerance_m: float, closed: bool = False) -> Array:
    """(M, 2) of a simplified line; single precision is used near the line, where it is exact enough."""
    origin = points[0]
    kept = cv2.approxPolyDP((points - origin).astype(np.float32), tolerance_m, closed)[:, 0] + origin
    return np.asarray(kept, np.float64) if len(kept) >= 2 else points[[0, -1]]


def _rounded(values: Array, digits: int = 4) -> Plain:
    return np.round(values, digits).tolist()


def _numbers(values: Array) -> list[float | None]:
    return [_number(value, 4) for value in values.tolist()]


def _number(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
