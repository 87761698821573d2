# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measured differences of cracks that both surveys have, and what one survey measures differently everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.report.comparison.families import CommonWidths, Family, Track, common_widths
from crack_perception.report.comparison.growth import (
    Bias,
    Difference,
    estimate_bias,
    growth_probability,
    without_bias,
)
from crack_perception.report.comparison.survey import Survey

Array = npt.NDArray[np.float64]

# Where a tip is found depends on the contrast of its last pixels, and on the step of mapped lines.
_TIP_SIGMA_PX = 8.0
_LEAST_TIP_SIGMA_M = 0.006
# A crack narrower than this fades out earlier or later by chance, and each gap in a line may hide a part of it.
_CLEAR_WIDTH_PX = 1.5
_GAP_SIGMA_M = 0.015
_SCALE_SIGMA = 0.01
_UNKNOWN_GSD_MM = 1.0
_UNKNOWN_POSITION_SIGMA_M = 0.05
# Standard deviations of the biases before any crack is compared.
_WIDTH_BIAS_PX = 0.1
_WIDTH_BIAS_SHARE = 0.03
_TIP_BIAS_M = 0.01
_LEAST_COMMON_WIDTHS_M = 0.03
_TRIMMED_SHARE = 0.1
_TAPER_M = 0.07
# Probability that the other survey would have found a piece, from which on it counts as resolved there.
_RESOLVED = 0.5
_TIP_PREDICTORS = np.array([2.0])


@dataclass(frozen=True)
class ExtraLength:
    """Length that one survey has and the other one's images show without it.

    Attributes:
        resolved_m: Length of the pieces that the other survey resolves.
        unresolved_m: Length of the pieces that are too fine for it.
        expected_m, variance_m2: Expectation and variance of the length that it would have found.
    """

    resolved_m: float
    unresolved_m: float
    expected_m: float
    variance_m2: float


@dataclass(frozen=True, eq=False)
class Measured:
    """A crack that both surveys have, before the bias is known.

    Attributes:
        family: Its lines in both surveys.
        widths: Widths along the common line; None where too few are known.
        gsd_mm: Ground sampling distance, the coarser one.
        length_m: Length that both surveys have.
        gained, lost: What only the new survey has, and what only the old one has.
        place_sigma_m: Standard deviation of the change of length by the place of one line along the other.
    """

    family: Family
    widths: CommonWidths | None
    gsd_mm: float
    length_m: float
    gained: ExtraLength
    lost: ExtraLength
    place_sigma_m: float

    @property
    def length_change_m(self) -> float:
        """Measured change of the length, of what both surveys resolve."""
        return self.gained.resolved_m - self.lost.resolved_m

    @property
    def length_sigma_m(self) -> float:
        """Standard deviation of ``length_change_m``."""
        tip_m = max(_LEAST_TIP_SIGMA_M, _TIP_SIGMA_PX * self.gsd_mm / 1000)
        if self.widths is not None:
            tip_m *= max(1.0, _CLEAR_WIDTH_PX * self.gsd_mm / max(float(self.widths.old_mm.mean()), 0.01))
        pieces = max(sum(len(track.lines) for track in tracks) for tracks in (self.family.old, self.family.new))
        gaps_m = _GAP_SIGMA_M * math.sqrt(pieces - 1)
        return math.hypot(2 * tip_m, gaps_m, _SCALE_SIGMA * self.length_m, self.place_sigma_m)

    @property
    def expected_change_m(self) -> float:
        """Change of the length as far as the other survey would have found it."""
        return self.gained.expected_m - self.lost.expected_m

    @property
    def missed_sigma_m(self) -> float:
        """Standard deviation of ``expected_change_m`` by what was missed by chance."""
        return math.sqrt(self.gained.variance_m2 + self.lost.variance_m2)

    @property
    def width_change_mm(self) -> float:
        """Change of the mean width."""
        assert self.widths is not None
        return _trimmed_mean(self.widths.new_mm - self.widths.old_mm)

    @property
    def width_sigma_mm(self) -> float:
        """Errors along a line are alike, so the mean is as uncertain as its parts."""
        assert self.widths is not None
        return max(math.hypot(float(self.widths.old_sigma_mm.mean()), float(self.widths.new_sigma_mm.mean())), 1e-3)

    @property
    def width_predictors(self) -> Array:
        """(2,) of the bias of the width."""
        assert self.widths is not None
        return np.array([1.0, float(self.widths.old_mm.mean())])

    def length_difference(self, bias: Bias) -> Difference:
        """The measured change of the length, with the probability of growth from what was findable."""
        change_m, sigma_m = without_bias(self.length_change_m, self.length_sigma_m, _TIP_PREDICTORS, bias)
        # The errors of unchanged cracks say nothing of what was missed, so the latter is added afterwards.
        expected_m = self.expected_change_m - bias.of(_TIP_PREDICTORS)
        return Difference(change_m, sigma_m, growth_probability(expected_m, math.hypot(sigma_m, self.missed_sigma_m)))

    def width_difference(self, bias: Bias) -> Difference | None:
        """The change of the mean width; None where it is not known."""
        if self.widths is None:
            return None
        measured = without_bias(self.width_change_mm, self.width_sigma_mm, self.width_predictors, bias)
        return Difference(*measured, growth_probability(*measured))


def measure(family: Family, old: Survey, new: Survey, alignment_sigma_m: float) -> Measured:
    """Measure a crack that both surveys have.

    Args:
        family: Its lines.
        old, new: The surveys in the old one's frame.
        alignment_sigma_m: Standard deviation of the new one's place in it.
    """
    points_m = np.concatenate([track.points_m for track in family.new])
    gsds_mm = [survey.gsd_mm_per_px_at(points_m.mean(axis=0)) for survey in (old, new)]
    gsd_mm = max((gsd for gsd in gsds_mm if math.isfinite(gsd)), default=_UNKNOWN_GSD_MM)
    widths = common_widths(family, old, new)
    if widths is not None and len(widths.old_mm) * widths.step_m < _LEAST_COMMON_WIDTHS_M:
        widths = None
    length_m = max(sum(track.covered_m for track in tracks) for tracks in (family.old, family.new))
    gained, lost = _extra(family.new, new, old), _extra(family.old, old, new)
    place_variance_m2 = 0.0
    is_longer = gained.expected_m > lost.expected_m
    hidden_m = sum(track.hidden_m for track in (family.old if is_longer else family.new))
    if hidden_m > 0:
        place_variance_m2 = min(_place_variance_m2(family, old, new, alignment_sigma_m), hidden_m**2)
    return Measured(family, widths, gsd_mm, length_m, gained, lost, math.sqrt(place_variance_m2))


def _place_variance_m2(family: Family, old: Survey, new: Survey, alignment_sigma_m: float) -> float:
    """Variance of the place of one line along the other.

    A shift along the line adds at one end what it takes at the other; where images do not show the latter, it looks
    like growth.
    """
    points_m = np.concatenate([track.points_m for track in family.new])
    along = points_m[-1] - points_m[0]
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    variance_m2 = alignment_sigma_m**2
    for tracks, survey in ((family.old, old), (family.new, new)):
        cracks = [survey.cracks[index] for track in tracks for index in track.lines]
        known = [crack.covariance_m2 for crack in cracks if np.isfinite(crack.covariance_m2).all()]
        variance_m2 += float(along @ np.mean(known, axis=0) @ along) if known else _UNKNOWN_POSITION_SIGMA_M**2
    return variance_m2


def _extra(tracks: Sequence[Track], own: Survey, other: Survey) -> ExtraLength:
    """The length that only one survey has and the other one's images show.

    A piece that is too fine for the other survey is no change. Every crack tapers to its tip; there, its mean width
    decides.
    """
    resolved_m, unresolved_m, expected_m, variance_m2 = 0.0, 0.0, 0.0, 0.0
    for track in tracks:
        taper = round(_TAPER_M / track.step_m)
        for start, stop, is_end in track.extra_runs():
            length_m = float(track.shown[start:stop].sum()) * track.step_m
            if length_m == 0:
                continue
            first, last = start, stop
            if is_end:
                first, last = (start + taper, stop) if start == 0 else (start, stop - taper)
            if first >= last:
                first, last = 0, len(track.line)
            widths_mm = track.widths_mm(own, first, last)
            width_mm = float(np.median(widths_mm)) if len(widths_mm) else math.nan
            share = other.probability_to_show(width_mm, track.points_m[start:stop].mean(axis=0))
            if share >= _RESOLVED:
                resolved_m += length_m
            else:
                unresolved_m += length_m
            expected_m += share * length_m
            variance_m2 += share * (1 - share) * length_m**2
    return ExtraLength(resolved_m, unresolved_m, expected_m, variance_m2)


def width_bias(both: Sequence[Measured]) -> Bias:
    """By how much the new survey measures wider: a constant [mm] and a share of the width."""
    known = [each for each in both if each.widths is not None]
    gsd_mm = float(np.median([each.gsd_mm for each in known])) if known else _UNKNOWN_GSD_MM
    return estimate_bias(
        np.array([each.width_change_mm for each in known]),
        np.array([each.width_sigma_mm for each in known]),
        np.array([each.width_predictors for each in known]).reshape(-1, 2),
        np.array([_WIDTH_BIAS_PX * gsd_mm, _WIDTH_BIAS_SHARE]),
    )


def length_bias(both: Sequence[Measured]) -> Bias:
    """By how much the new survey follows a crack farther at each end [m]."""
    return estimate_bias(
        np.array([each.expected_change_m for each in both]),
        np.array([math.hypot(each.length_sigma_m, each.missed_sigma_m) for each in both]),
        np.tile(_TIP_PREDICTORS, (len(both), 1)),
        np.array([_TIP_BIAS_M]),
    )


def _trimmed_mean(values: Array) -> float:
    """Mean without the tenth of the values at either end: one place where another crack crosses does not decide."""
    cut = int(_TRIMMED_SHARE * len(values))
    return float(np.sort(values)[cut : len(values) - cut].mean())
