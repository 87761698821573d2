# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Contents of the documents as plain values, all numbers already words: templates only place them on pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from crack_perception import __version__
from crack_perception.mapping.coverage.resolution import RELIABLE_WIDTH_PX
from crack_perception.mapping.evidence.decisions import Verdict
from crack_perception.mapping.evidence.photograph import Photograph
from crack_perception.mapping.export.crack_report import iso_time, middle_m, newest_day
from crack_perception.mapping.export.plan.facet_drawing import direction_words
from crack_perception.mapping.export.plan.symbols import LOST, class_texts, typeset
from crack_perception.recognition.severity import UNDETERMINED
from crack_perception.report.attributes import known
from crack_perception.report.condition_states import LIMITS_MM, STRIP_M, ConditionState, Material
from crack_perception.report.contents import ReportedCrack, Survey, gsd_range_mm_per_px
from crack_perception.report.document.changes import changes_values
from crack_perception.report.document.charts import SIGMAS, width_chart
from crack_perception.report.document.photographs import overlay
from crack_perception.report.georeference import Georeference
from crack_perception.report.quantities import ElementQuantities
from crack_perception.report.summary import facet_rows, severity_rows, summary_lines, width_words
from crack_perception.vision.annotate import severity_colour

PHOTOGRAPHS_OF_A_CRACK = 3

Picture = Callable[[Photograph], dict[str, Any] | None]
"""Puts a photograph into the document and returns how the template finds it; None where that is not possible."""


def payload(survey: Survey, georeference: Georeference, photographed_cracks: int, picture: Picture) -> dict[str, Any]:
    """All that the documents show but for the plans.

    Args:
        photographed_cracks: Number of cracks, the most urgent first, with photographs.
        picture: Called once for each photograph that is shown, in the order of the document.
    """
    cracks = [
        _crack(crack, survey, georeference, picture if index < photographed_cracks else None)
        for index, crack in enumerate(survey.cracks)
    ]
    return {
        "title": survey.notes.title,
        "owner": survey.notes.owner,
        "date": newest_day([crack.crack for crack in survey.cracks]),
        "summary": [list(line) for line in summary_lines(survey, georeference) if line[0] != "Coordinates"],
        "coordinates": georeference.statement,
        "severity": _severity(survey),
        "severity_note": "Existing cracks; lost ones are not counted. Classes by mean width.",
        "facets": _facets(survey),
        "table": [_row(crack, survey) for crack in survey.cracks],
        "cracks": cracks,
        "photograph_note": photograph_note(survey, photographed_cracks),
        "changes": None if survey.changes is None else changes_values(survey.changes),
        "states": _states(survey),
        "method": method_sentences(survey),
        "limits": limit_sentences(survey),
        "legend": [
            {"words": typeset(words), "colour": colour_of(verdict, survey)}
            for verdict, words in zip(
                survey.classes, [*class_texts(survey.scale), "undetermined: no class is certain"], strict=True
            )
        ],
        "program": f"crack_perception {__version__}",
    }


def colour_of(verdict: str, survey: Survey) -> str:
    """Colour of a severity class, as in the plan and the live picture."""
    blue, green, red = severity_colour(survey.scale.relative_severity(verdict))
    return f"#{red:02x}{green:02x}{blue:02x}"


def crack_colour(crack: ReportedCrack, survey: Survey) -> str:
    """Colour of a crack: of its severity class, or grey where it is lost."""
    return "#{:02x}{:02x}{:02x}".format(*LOST) if crack.is_lost else colour_of(crack.severity, survey)


def _severity(survey: Survey) -> list[dict[str, Any]]:
    rows = []
    words = dict(zip(survey.classes, [*class_texts(survey.scale), UNDETERMINED], strict=True))
    for verdict, count, length_m, max_mm in severity_rows(survey):
        assert isinstance(verdict, str) and isinstance(length_m, float)
        rows.append(
            {
                "class": typeset(words[verdict]),
                "colour": colour_of(verdict, survey),
                "count": str(count),
                "length": f"{length_m:.2f}",
                "width": f"{max_mm:.2f}" if isinstance(max_mm, float) else "–",
            }
        )
    return rows


def _facets(survey: Survey) -> list[dict[str, Any]]:
    facets = []
    for letter, words, count, length_m, max_mm, area_m2, density, finest, _ in facet_rows(survey):
        facets.append(
            {
                "letter": letter,
                "words": typeset(words),
                "count": str(count),
                "length": _number(length_m, 2),
                "width": _number(max_mm, 2),
                "area": _number(area_m2, 1),
                "density": _number(density, 3),
                "reliable": _number(RELIABLE_WIDTH_PX * finest if isinstance(finest, float) else None, 2),
            }
        )
    return facets


def _row(crack: ReportedCrack, survey: Survey) -> dict[str, str]:
    summary = crack.summary
    return {
        "id": str(crack.id),
        "name": crack.name,
        "facet": crack.facet or "–",
        "length": f"{summary.length_m:.2f}",
        "mean": plus_minus(summary.mean_width_mm, summary.mean_width_sigma_mm),
        "max": _number(summary.max_width_mm, 2),
        "severity": typeset(crack.severity) + (" *" if crack.is_overridden else ""),
        "colour": crack_colour(crack, survey),
        "state": summary.state.value,
        "verdict": ("" if crack.verdict is Verdict.OPEN else crack.verdict.value)
        + (" †" if crack.review.structural_review else ""),
    }


def _crack(crack: ReportedCrack, survey: Survey, georeference: Georeference, picture: Picture | None) -> dict[str, Any]:
    photographs = []
    offered = crack.photographs[:PHOTOGRAPHS_OF_A_CRACK] if picture is not None else ()
    placed_ones = [(each, placed) for each in offered if picture is not None and (placed := picture(each)) is not None]
    is_small = len(placed_ones) > 1  # beside the first one without its line
    for index, (photograph, placed) in enumerate(placed_ones):
        rgb = tuple(bytes.fromhex(crack_colour(crack, survey)[1:]))
        shown = {
            **placed,
            "caption": _caption(photograph),
            "name": photograph.file,
            "alt": f"Photograph of crack {crack.id} with its measured line",
            "overlay": overlay(photograph, (rgb[0], rgb[1], rgb[2]), is_small),
            "plain": overlay(photograph, None, is_small) if index == 0 else None,
        }
        photographs.append(shown)
    return {
        "id": str(crack.id),
        "title": crack.name or f"Crack {crack.id}",
        "number": str(crack.id) if crack.name else "",
        "colour": crack_colour(crack, survey),
        "severity": typeset(crack.severity),
        "verdict": "not reviewed" if crack.verdict is Verdict.OPEN else crack.verdict.value,
        "facts": [list(fact) for fact in _facts(crack, survey, georeference)],
        "chart": None if picture is None else width_chart(crack.crack, survey.scale),
        "is_short": picture is None,
        "photographs": photographs,
        "comments": [
            {
                "text": str(comment.value["text"]),
                "by": ", ".join(filter(None, [comment.author, iso_time(comment.time_ns)[:10]])),
            }
            for comment in crack.review.comments
        ],
    }


def _facts(crack: ReportedCrack, survey: Survey, georeference: Georeference) -> Sequence[tuple[str, str]]:
    summary = crack.summary
    middle = georeference.coordinates(middle_m(crack.crack)[None])[0].tolist()
    digits = (8, 8, 2) if georeference.axes[0].endswith("_deg") else (2, 2, 2)
    names = [axis.rsplit("_", 1)[0] for axis in georeference.axes]
    place = ", ".join(
        f"{name[0].upper() if georeference.epsg else name} {round(value, places) + 0.0:.{places}f}"
        for name, value, places in zip(names, middle, digits, strict=True)
    )
    sigma = "" if summary.position_sigma_m is None else f" ± {summary.position_sigma_m:.2f} m"
    facet = survey.facets.get(crack.facet)
    where = "–" if facet is None else f"{crack.facet}, {typeset(direction_words(facet, survey.notes.x_heading_deg))}"
    probabilities = dict(zip(survey.scale.labels, summary.severity.probabilities, strict=False))
    probability = probabilities.get(crack.measured_severity)
    measured = typeset(crack.measured_severity) + ("" if probability is None else f" ({100 * probability:.0f} %)")
    state = crack.summary.state.value + (f", missed {summary.misses} times" if crack.is_lost else "")
    facts = [
        ("Length", f"{summary.length_m:.2f} m"),
        ("Mean width", f"{plus_minus(summary.mean_width_mm, summary.mean_width_sigma_mm)} mm"),
        ("Greatest width", width_words(summary.max_width_mm)),
        ("Severity", f"{typeset(crack.severity)}, by a reviewer" if crack.is_overridden else ""),
        ("Measured severity" if crack.is_overridden else "Severity", measured),
        ("Structural review", "needed, by a reviewer: condition state CS4" if crack.review.structural_review else ""),
        ("Facet", where),
        ("Middle", place + sigma),
        ("State", f"{state}, {summary.views} views"),
        ("Seen (UTC)", seen_words(crack.crack.first_seen_ns, crack.crack.last_seen_ns)),
        ("Best resolution", "" if summary.gsd_mm_per_px is None else f"{summary.gsd_mm_per_px:.2f} mm/px"),
        ("Reliable from", "" if crack.reliable_width_mm is None else f"{crack.reliable_width_mm:.2f} mm width"),
        ("Crack probability", "" if summary.score is None else f"{100 * summary.score:.0f} %"),
        ("Parts in the map", ", ".join(map(str, crack.parts)) if crack.parts != (crack.id,) else ""),
    ]
    return [(name, value) for name, value in facts if value]


def seen_words(first_ns: int, last_ns: int) -> str:
    """First and last time (UTC), the day once where it is the same."""
    first, last = (iso_time(each)[:19].replace("T", " ") for each in (first_ns, last_ns))
    if first == last:
        return first
    return f"{first} to {last[11:] if first[:10] == last[:10] else last}"


def _caption(photograph: Photograph) -> str:
    gsd, angle = known(photograph.gsd_mm_per_px), known(photograph.obliquity_deg)
    words = [
        iso_time(photograph.stamp_ns)[:19].replace("T", " "),
        "" if gsd is None else f"{gsd:.2f} mm/px",
        "" if angle is None else f"{angle:.0f}° oblique",
    ]
    return " · ".join(filter(None, words))


def photograph_note(survey: Survey, photographed_cracks: int) -> str:
    """What the document says about cracks without photographs and charts; "" where it shows all."""
    if len(survey.cracks) <= photographed_cracks:
        return ""
    return (
        f"Photographs and charts are shown for the {photographed_cracks} most urgent of {len(survey.cracks)} cracks; "
        "the photographs and widths of the others are in the folder photographs and in cracks.xlsx."
    )


def _states(survey: Survey) -> dict[str, Any]:
    quantities = survey.quantities
    reinforced, prestressed = LIMITS_MM[Material.REINFORCED], LIMITS_MM[Material.PRESTRESSED]
    left_out = quantities.unconfirmed
    elements = "" if survey.elements else " Each facet counts as an element of reinforced concrete."
    notes = [
        "Condition states by crack width, as in the AASHTO Manual for Bridge Element Inspection. Reinforced concrete: "
        f"CS2 from {reinforced[0]:.2f} mm, CS3 above {reinforced[1]:.2f} mm; prestressed concrete: CS2 from "
        f"{prestressed[0]:.2f} mm, CS3 above {prestressed[1]:.2f} mm. {_cs4_words(survey)}",
        f"Area: a strip of {STRIP_M:.2f} m along each crack in its state, the worse state where strips overlap, and "
        f"CS1 for the rest of the inspected surface.{elements}",
    ]
    if left_out:
        plural = "s are" if left_out > 1 else " is"
        notes.append(f"{left_out} crack{plural} not counted here: new or lost, and not accepted by a reviewer.")
    shown = [ConditionState.CS1, ConditionState.CS2, ConditionState.CS3, ConditionState.CS4, ConditionState.UNKNOWN]
    if not quantities.total.length_by_state_m[ConditionState.UNKNOWN]:
        shown.remove(ConditionState.UNKNOWN)
    members = [*quantities.elements, quantities.total] if len(quantities.elements) > 1 else [quantities.total]
    return {
        "states": [state.value for state in shown],
        "rows": [_state_row(member, shown) for member in members],
        "notes": notes,
    }


def _cs4_words(survey: Survey) -> str:
    count = sum(crack.review.structural_review for crack in survey.cracks)
    if not count:
        return "CS4, the need of a structural review, is an inspector's decision; nobody has taken it for any crack."
    return f"CS4: {count} crack{'s' if count > 1 else ''} that an inspector has marked for a structural review."


def _state_row(member: ElementQuantities, shown: Sequence[ConditionState]) -> dict[str, Any]:
    areas = member.area_by_state_m2
    return {
        "element": member.element,
        "count": str(member.cracks),
        "density": _number(member.density_m_per_m2, 3),
        "length": [f"{member.length_by_state_m[state]:.2f}" for state in shown],
        "area": ["–" if areas is None else f"{areas[state]:.2f}" for state in shown],
    }


def method_sentences(survey: Survey) -> list[str]:
    """How the figures came about."""
    sentences = [
        "Cracks were found in the images of a flight by a recognition model and measured across their centreline; "
        "observations of the same crack were fused into one line with one width at each place.",
        f"Widths are given with their standard deviation; the band in the charts is ±{SIGMAS:g} standard deviations, "
        "about 95 %. The errors along a crack are correlated: blur, resolution and range affect all of it alike.",
        "Severity is the class of the mean width. It is undetermined where no class is certain enough.",
        "A confirmed crack was seen in several views, a new one was not yet; a lost one was not seen again where it "
        "should have been.",
    ]
    if any(crack.is_overridden for crack in survey.cracks):
        sentences.append("A star marks severity classes that a reviewer has set in place of the measured one.")
    if any(crack.review.structural_review for crack in survey.cracks):
        sentences.append("A dagger (†) marks cracks that need a structural review, as an inspector has decided.")
    return sentences


def limit_sentences(survey: Survey) -> list[str]:
    """What the survey cannot show."""
    gsd = gsd_range_mm_per_px(survey.cracks)
    if gsd is None:
        finest = "The resolution of the images is not known, nor is the finest crack that could have been found."
    else:
        low_mm, high_mm = (RELIABLE_WIDTH_PX * each for each in gsd)
        finest = (
            f"Cracks narrower than about {low_mm:.2f} mm ({RELIABLE_WIDTH_PX:g} pixels at the closest view) may be "
            f"missing everywhere, those narrower than {high_mm:.2f} mm where the camera was farther away."
        )
    return [
        finest,
        "Only surface that the images show was inspected; the plans show it in grey. No mark elsewhere means not "
        "inspected, not intact.",
        "Joints, formwork marks, stains and spalling can be mistaken for cracks. Cracks that no person has accepted "
        "are results of a measurement, not of an inspection.",
        "Depth, cause and activity of a crack cannot be seen in an image.",
        "This report does not replace the inspection by an engineer.",
    ]


def plus_minus(value: float | None, sigma: float | None) -> str:
    """A value with its standard deviation."""
    if value is None:
        return "unknown"
    return f"{value:.2f}" if sigma is None else f"{value:.2f} ± {sigma:.2f}"


def _number(value: object, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, float) and math.isfinite(value) else "–"
