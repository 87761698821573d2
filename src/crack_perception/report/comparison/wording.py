# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sentences and terms for the readers of a comparison."""

from __future__ import annotations

import math

from crack_perception.report.comparison.changes import Comparison, CrackChange, Status

TERMS = {
    Status.NEW: "new",
    Status.GROWN: "grown",
    Status.REDUCED: "shorter or narrower",
    Status.UNCHANGED: "unchanged",
    Status.GONE: "gone",
    Status.NOT_INSPECTED: "not inspected this time",
    Status.FIRST_INSPECTED: "inspected for the first time",
}

PROBABILITY_SENTENCE = (
    "The probability that a crack is longer also allows for what the other survey may have missed by chance, the "
    "change itself does not."
)

_LEAST_AGREEING = 0.6
_MOST_SURPRISE = 3.0


def summary(result: Comparison) -> list[str]:
    """The comparison in a few sentences."""
    counted = ", ".join(f"{len(result.of(status))} {TERMS[status]}" for status in Status if result.of(status))
    return [
        f"{len(result.changes)} cracks: {counted}." if result.changes else "Neither survey has a crack to compare.",
        *warnings(result),
        alignment_sentence(result),
        bias_sentence(result),
        *_left_out(result),
    ]


def warnings(result: Comparison) -> list[str]:
    """What makes the comparison doubtful."""
    found = []
    if result.is_continuation:
        found.append(
            "WARNING: the new map goes on from the old one, so its widths contain the old measurements and growth is "
            "underestimated; begin an empty map for each survey."
        )
    if result.is_reversed:
        found.append(
            "WARNING: the new map begins before the old one: the maps are swapped, or a clock was wrong. If they are "
            "swapped, what is called grown and new has become smaller and gone."
        )
    if result.agreeing_share < _LEAST_AGREEING:
        found.append(
            f"WARNING: only {100 * result.agreeing_share:.0f} % of the cracks where both surveys have images lie along "
            "each other: the maps may be of two structures, differ in scale, or be aligned wrongly. Check the "
            "alignment on the plan, and the scale of both."
        )
    if result.width_bias.surprise > _MOST_SURPRISE:
        found.append(
            "WARNING: the widths of all cracks differ alike, and by more than those of two surveys usually do. Growth "
            "that all cracks share looks the same, and is subtracted here: check the scale of both surveys, and "
            "measure some cracks by hand."
        )
    if result.width_bias.cracks > 0 and result.width_bias.weight < 5:
        found.append(
            "Fewer than five unchanged cracks: a common error of the widths could hardly be estimated, so only large "
            "changes are significant."
        )
    return found


def alignment_sentence(result: Comparison) -> str:
    """Place of the new map in the old one, with its uncertainty."""
    alignment = result.alignment
    place = " x ".join(f"{value:.3f}" for value in alignment.translation_m.tolist())
    sigma_mm = 1000 * float(alignment.sigma_m.max())
    residual = (
        ""
        if math.isnan(alignment.residual_m)
        else (f"; aligned lines are {1000 * alignment.residual_m:.0f} mm apart in the root mean square")
    )
    return (
        f"Alignment: the new map's origin lies at {place} m in the old map, turned by {alignment.heading_deg:.2f} "
        f"degrees (standard deviations {sigma_mm:.0f} mm and {alignment.heading_sigma_deg:.2f} degrees); "
        f"{alignment.matched_m:.1f} m of cracks ({100 * alignment.matched_share:.0f} %) agree{residual}."
    )


def bias_sentence(result: Comparison) -> str:
    """What the new survey measures differently everywhere."""
    width, tip = result.width_bias, result.length_bias
    if not width.cracks:
        return "No crack has widths in both surveys: a common error of the widths is not known."
    offset_mm, share = width.coefficients.tolist()
    return (
        f"Common differences, which are subtracted: the new survey measures a crack {offset_mm:+.3f} mm and "
        f"{100 * share:+.1f} % wider than the old one (standard deviation of the constant "
        f"{math.sqrt(float(width.covariance[0, 0])):.3f} mm; from {width.cracks} cracks), and follows it "
        f"{1000 * float(tip.coefficients[0]):+.0f} mm farther at each end."
    )


def chance_sentence(result: Comparison) -> str:
    """From which probability on growth is reported, and how often that is wrong."""
    wrong = 100 * (1 - result.confidence)
    return (
        f"Growth is reported where its probability is at least {100 - wrong / 2:.1f} % for the length or for the "
        f"width, so that about {wrong:.0f} % of the unchanged cracks are reported by chance."
    )


def _left_out(result: Comparison) -> list[str]:
    parts = []
    if result.rejected_again:
        parts.append(f"{len(result.rejected_again)} rejected in the old survey and mapped again")
    if result.rejected_since:
        parts.append(f"{len(result.rejected_since)} rejected in the new survey")
    if result.unconfirmed:
        parts.append(f"{result.unconfirmed} unconfirmed ones that only one survey has")
    return [f"Left out: {', '.join(parts)}."] if parts else []


def change_words(change: CrackChange) -> str:
    """Short text of the label of a crack."""
    if change.status is not Status.GROWN:
        return TERMS[change.status]
    parts = []
    if change.length is not None and change.length.change > 0 and "longer" in " ".join(change.remarks):
        parts.append(f"+{100 * change.length.change:.1f} cm")
    if change.width is not None and change.width.change > 0 and "wider" in " ".join(change.remarks):
        parts.append(f"+{change.width.change:.2f} mm")
    return " ".join(parts) or "grown"
